//! The values of version 2. Each has a type, a length and that many bytes. Types that are not known here are skipped.

use crc::{CRC_32_ISCSI, Crc};

use super::v2::malformed;
use super::{Header, Malformed, Ssl};

const ALPN: u8 = 0x01;
const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;
const SSL_SIG_ALG: u8 = 0x24;
const SSL_KEY_ALG: u8 = 0x25;
const NETNS: u8 = 0x30;

const MAX_UNIQUE_ID: usize = 128;

/// The bytes of a checksum.
const SUM: usize = 4;

static CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Reads the values behind the addresses of `whole`, which are its last bytes.
pub(super) fn read(header: &mut Header, values: &[u8], whole: &[u8]) -> Result<(), Malformed> {
    let mut is_checked = false;
    let mut rest = values;
    while !rest.is_empty() {
        let (kind, value, behind) = next(rest)?;
        match kind {
            ALPN => once(kind, &mut header.alpn, value.into())?,
            AUTHORITY => once(kind, &mut header.authority, text(kind, value)?)?,
            CRC32C if is_checked => return Err(twice(kind)),
            CRC32C => {
                check(value, whole, whole.len() - behind.len())?;
                is_checked = true;
            }
            UNIQUE_ID if value.len() > MAX_UNIQUE_ID => {
                let expected = format!("a unique id of at most {MAX_UNIQUE_ID} bytes");
                return Err(malformed(expected, value.len().to_string()));
            }
            UNIQUE_ID => once(kind, &mut header.unique_id, value.into())?,
            SSL => once(kind, &mut header.ssl, ssl(value)?)?,
            NETNS => once(kind, &mut header.netns, text(kind, value)?)?,
            // Among them NOOP (04), which is padding.
            _ => {}
        }
        rest = behind;
    }
    Ok(())
}

/// The type and the bytes of the first value, and the values behind it.
fn next(values: &[u8]) -> Result<(u8, &[u8], &[u8]), Malformed> {
    let Some(([kind, high, low], rest)) = values.split_first_chunk() else {
        return Err(malformed("3 bytes of type and length of a value", values.len().to_string()));
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    match rest.split_at_checked(length) {
        Some((value, behind)) => Ok((*kind, value, behind)),
        None => {
            Err(malformed(format!("{length} bytes in the value of type {kind:02x}"), rest.len().to_string()))
        }
    }
}

/// Compares the checksum of the header, which has zeros in place of it. `end` is the position behind the checksum.
fn check(value: &[u8], whole: &[u8], end: usize) -> Result<(), Malformed> {
    let Ok(stated) = <[u8; SUM]>::try_from(value).map(u32::from_be_bytes) else {
        return Err(malformed(format!("{SUM} bytes of checksum"), value.len().to_string()));
    };
    let mut digest = CHECKSUM.digest();
    digest.update(whole.get(..end - SUM).unwrap_or_default());
    digest.update(&[0; SUM]);
    digest.update(whole.get(end..).unwrap_or_default());
    match digest.finalize() {
        computed if computed == stated => Ok(()),
        computed => Err(malformed(format!("the checksum {computed:08x}"), format!("{stated:08x}"))),
    }
}

/// Flags, the result of the verification, and values of their own.
fn ssl(value: &[u8]) -> Result<Ssl, Malformed> {
    let Some(([flags, verify @ ..], values)) = value.split_first_chunk::<5>() else {
        return Err(malformed(
            "5 bytes of flags and verification in the value of type 20",
            value.len().to_string(),
        ));
    };
    let [is_tls, has_certificate, session_has_certificate] = [1, 2, 4].map(|flag| flags & flag != 0);
    // A client without a certificate has nothing to verify, whatever the result.
    let is_verified = session_has_certificate && *verify == [0; 4];
    let mut ssl = Ssl { is_tls, has_certificate, session_has_certificate, is_verified, ..Ssl::default() };
    let mut rest = values;
    while !rest.is_empty() {
        let (kind, value, behind) = next(rest)?;
        let field = match kind {
            SSL_VERSION => Some(&mut ssl.version),
            SSL_CN => Some(&mut ssl.common_name),
            SSL_CIPHER => Some(&mut ssl.cipher),
            SSL_SIG_ALG => Some(&mut ssl.sig_alg),
            SSL_KEY_ALG => Some(&mut ssl.key_alg),
            _ => None,
        };
        field.map_or(Ok(()), |field| once(kind, field, text(kind, value)?))?;
        rest = behind;
    }
    Ok(ssl)
}

fn text(kind: u8, value: &[u8]) -> Result<Box<str>, Malformed> {
    let text = std::str::from_utf8(value).map(Box::from);
    text.map_err(|_| Malformed::text(2, format!("UTF-8 in the value of type {kind:02x}"), value))
}

/// Sets a field. With two values of a type, the load balancer and the server could each mean another one.
fn once<T>(kind: u8, field: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(kind)),
    }
}

fn twice(kind: u8) -> Malformed {
    malformed(format!("one value of type {kind:02x}"), "two")
}
