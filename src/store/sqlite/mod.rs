//! Reading messages back from the single file of former versions.

mod reader;

pub use self::reader::{Message, Reader, Selection, Summary};
