//! Segments: the files that hold the messages.
//!
//! | file | subject |
//! |---|---|
//! | `folder` | their names and their order |
//! | `segment` | a file: its tables, and whether it is sealed |
//! | `reader` | reading messages back, while a server writes |

pub mod folder;
pub mod reader;
#[cfg(test)]
pub(crate) mod sample;
pub mod segment;
