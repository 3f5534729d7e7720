//! Showing a run's evidence: JSON, JUnit XML, Markdown, and one self-contained HTML page.
//!
//! A rendering is a copy for reading. It says which signed records it was made from and whether they were checked;
//! every value in it is escaped, invisible and reordering characters included.
