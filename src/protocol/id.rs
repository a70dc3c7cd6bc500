//! Client and command ids. An id is validated once, at its entry; from then on its type guarantees that it is valid.

use std::borrow::Borrow;
use std::fmt;
use std::str::{Utf8Error, from_utf8};

use smol_str::SmolStr;

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
        check_begun(bytes, bytes.len()).map(Self)
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A device's id, kept: up to 23 bytes in place, more of them in memory that clones share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(SmolStr);

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
    #[error("invalid id length {got}, expected 1 to 255 bytes")]
    Length {
        /// The length in bytes.
        got: usize,
    },
    /// An id is text.
    #[error("invalid UTF-8 in id at byte {at}")]
    NotUtf8 {
        /// The position of the first invalid byte.
        at: usize,
    },
    /// An id must be printable on one line of a log.
    #[error("control character {found:?} in id")]
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

/// Checks the first bytes of an id of `len` bytes, and fails at the first byte that no id can have there. Returns their
/// text, without a character that is cut off at the end.
pub(super) fn check_begun(begun: &[u8], len: usize) -> Result<&str, BadClientId> {
    match from_utf8(begun) {
        Ok(text) => printable(text),
        Err(err) => check_cut(begun, err, len),
    }
}

fn check_cut(begun: &[u8], err: Utf8Error, len: usize) -> Result<&str, BadClientId> {
    let at = err.valid_up_to();
    let (valid, cut) = begun.split_at(at);
    // A control character stands before the byte that is not UTF-8, so it is the first mistake.
    let text = printable(from_utf8(valid).unwrap_or_default())?;
    let char_len = match cut.first() {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        _ => 2,
    };
    // The rest of a cut-off character does not make it a control character, but it must fit in.
    if err.error_len().is_some() || at + char_len > len {
        return Err(BadClientId::NotUtf8 { at });
    }
    Ok(text)
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
        assert_eq!(checked(b"a\nb\xff"), Err(BadClientId::Control { found: '\n' }));
        assert_eq!(checked(b"ab\xff\n"), Err(BadClientId::NotUtf8 { at: 2 }));
        assert_eq!(checked("a\u{85}".as_bytes()), Err(BadClientId::Control { found: '\u{85}' }));
    }

    #[test]
    fn a_character_may_be_cut_off_where_its_rest_fits_in() {
        let euro = "a€".as_bytes();
        assert_eq!(check_begun(euro.get(..3).unwrap(), 4), Ok("a"));
        assert_eq!(check_begun(euro.get(..2).unwrap(), 4), Ok("a"));
        assert_eq!(check_begun(euro.get(..2).unwrap(), 3), Err(BadClientId::NotUtf8 { at: 1 }));
    }

    #[test]
    fn text_is_checked_like_bytes() {
        for text in ["größe 7", "", "a\nb", "a\u{85}", &"a".repeat(256)] {
            assert_eq!(Id::try_from(text), Id::try_from(text.as_bytes()));
        }
    }
}
