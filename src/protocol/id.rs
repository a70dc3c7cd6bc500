//! Client and command ids. An id is validated once, at its entry; from then on its type guarantees that it is valid.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use super::MAX_ID;

/// A client or command id in borrowed text: 1 to 255 bytes of UTF-8 without control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// The id as text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Its length in bytes, as a frame states it.
    pub(super) const fn wire_len(self) -> u8 {
        // The checks bound it by MAX_ID.
        self.0.len() as u8
    }
}

impl<'a> TryFrom<&'a str> for Id<'a> {
    type Error = BadClientId;

    fn try_from(text: &'a str) -> Result<Self, BadClientId> {
        check_len(text.len())?;
        printable(text).map(Self)
    }
}

impl<'a> TryFrom<&'a [u8]> for Id<'a> {
    type Error = BadClientId;

    fn try_from(bytes: &'a [u8]) -> Result<Self, BadClientId> {
        check_len(bytes.len())?;
        let text =
            std::str::from_utf8(bytes).map_err(|err| BadClientId::NotUtf8 { at: err.valid_up_to() })?;
        printable(text).map(Self)
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A device's id, owned. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id in wire form.
    pub fn as_id(&self) -> Id<'_> {
        Id(&self.0)
    }
}

impl From<Id<'_>> for ClientId {
    fn from(id: Id<'_>) -> Self {
        Self(id.0.into())
    }
}

impl TryFrom<&str> for ClientId {
    type Error = BadClientId;

    fn try_from(text: &str) -> Result<Self, BadClientId> {
        Id::try_from(text).map(Self::from)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The reason why text or bytes are not a valid id. The same rules apply to client and command ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClientId {
    /// The length must be from 1 to [`MAX_ID`] bytes.
    #[error("an id has 1 to 255 bytes, this one has {got}")]
    Length {
        /// The length in bytes.
        got: usize,
    },
    /// The bytes must be UTF-8.
    #[error("invalid UTF-8 in id at byte {at}")]
    NotUtf8 {
        /// The position of the first invalid byte.
        at: usize,
    },
    /// An id must be printable on one line of a log.
    #[error("an id has no control characters, this one has {found:?}")]
    Control {
        /// The first control character.
        found: char,
    },
}

/// The length is known before the id is read.
pub(super) const fn check_len(got: usize) -> Result<usize, BadClientId> {
    match got {
        1..=MAX_ID => Ok(got),
        _ => Err(BadClientId::Length { got }),
    }
}

fn printable(text: &str) -> Result<&str, BadClientId> {
    // Nearly all ids are ASCII, and this check is faster.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(text);
    }
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(BadClientId::Control { found }),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8]) -> Result<&str, BadClientId> {
        Id::try_from(bytes).map(Id::as_str)
    }

    #[test]
    fn ids_have_a_length_are_text_and_can_be_printed() {
        assert_eq!(checked("größe 7".as_bytes()), Ok("größe 7"));
        assert_eq!(checked(&[b'a'; 255]).map(str::len), Ok(255));
        assert_eq!(checked(b""), Err(BadClientId::Length { got: 0 }));
        assert_eq!(checked(&[b'a'; 256]), Err(BadClientId::Length { got: 256 }));
        assert_eq!(checked(b"ab\xff"), Err(BadClientId::NotUtf8 { at: 2 }));
        assert_eq!(checked(b"a\nb"), Err(BadClientId::Control { found: '\n' }));
        assert_eq!(checked("a\u{85}".as_bytes()), Err(BadClientId::Control { found: '\u{85}' }));
    }

    #[test]
    fn text_is_checked_like_bytes() {
        for text in ["größe 7", "", "a\nb", "a\u{85}", &"a".repeat(256)] {
            assert_eq!(Id::try_from(text), Id::try_from(text.as_bytes()));
        }
    }
}
