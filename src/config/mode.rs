//! The permissions of a file, as `chmod` takes them.

use toml::de::DeValue;

use super::value::{Codec, Wrong};

/// Everybody may do everything.
const ALL: u32 = 0o777;

/// Permissions as an octal number in quotes. Without them, TOML would take it for another number.
pub(super) struct Mode;

impl Codec for Mode {
    type Value = u32;

    fn read(&self, value: &DeValue<'_>) -> Result<u32, Wrong> {
        let text = value.as_str().filter(|text| (3..=4).contains(&text.len()));
        let digits = text.filter(|text| text.bytes().all(|digit| (b'0'..=b'7').contains(&digit)));
        let mode = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok()).filter(|mode| *mode <= ALL);
        mode.ok_or_else(|| Wrong::Value("permissions as an octal number in quotes, such as \"0660\"".into()))
    }

    fn show(&self, value: &u32) -> String {
        format!("{value:04o}")
    }

    fn range(&self) -> String {
        "`\"0000\"` to `\"0777\"`".into()
    }
}
