//! A copy of the data in a folder of its own, made while a server runs, and its way back.
//!
//! The state is copied before the messages: what it says of messages (how far they were forwarded, for one) is then
//! true of the copy too. The manifest is written last, so a folder that has one is complete.
//!
//! | file | subject |
//! |---|---|
//! | `save` | making a backup |
//! | `restore` | copying a backup back |
//! | `manifest` | the content of a backup |
//! | `copy` | files: links, copies, snapshots |
//! | `failed` | why a backup or a restore failed |

mod copy;
mod failed;
mod manifest;
mod restore;
mod save;
#[cfg(test)]
mod tests;

use crate::store::segments::reader::Lost;

pub use self::failed::Failed;
pub use self::manifest::{File, Manifest};
pub use self::restore::restore;
pub use self::save::save;

/// The progress of a backup or a restore.
#[derive(Debug)]
pub enum Step {
    /// This many bytes will be copied.
    Total(u64),
    /// This many more bytes are copied.
    Copied(u64),
    /// Messages that the backup does not have, or that are unreadable.
    Lost(Lost),
}
