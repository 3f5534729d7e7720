//! Old samples of everything we write must still parse.
