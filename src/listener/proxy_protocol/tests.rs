//! | file | subject |
//! |---|---|
//! | `encoder` | headers as load balancers write them |
//! | `lines` `binary` `values` | version 1, version 2, and the values in it |
//! | `properties` | any header, any bytes, any split |
//! | `oracle` | the same bytes through the crate `ppp`, and each difference |

mod binary;
mod encoder;
mod lines;
mod oracle;
mod properties;
mod values;

use super::*;

fn parse(bytes: impl AsRef<[u8]>) -> Result<Parsed, Malformed> {
    Header::parse(bytes.as_ref())
}

/// The header that is all of `bytes`.
fn header(bytes: impl AsRef<[u8]>) -> Header {
    match parse(&bytes) {
        Ok(Parsed::Done(header, length)) if length == bytes.as_ref().len() => header,
        other => panic!("{other:?}"),
    }
}

fn mistake(bytes: impl AsRef<[u8]>) -> String {
    parse(bytes).unwrap_err().to_string()
}

fn proxied(source: &str, destination: &str) -> Header {
    let [source, destination] = [source, destination].map(|address| Some(address.parse().unwrap()));
    Header { command: Command::Proxy, source, destination, ..Header::default() }
}
