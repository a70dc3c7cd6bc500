//! Segments: the files that hold the messages.
//!
//! | file | subject |
//! |---|---|
//! | `folder` | their names and their order |
//! | `segment` | a file: its tables, and whether it is sealed |

pub mod folder;
pub mod segment;
