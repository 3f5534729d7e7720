//! Hermetic tests of the command line.
