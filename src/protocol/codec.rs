//! Decoding and encoding of frames. Decoding never indexes, never panics, and reads no further than necessary: an error
//! is found at the first byte that shows it.

use bytes::BufMut;

use super::frame::{Frame, Kind, Mode};
use super::id::{BadClientId, Id, check_begun, check_len};
use super::malformed::{Malformed, NotAFrame};
use super::reply::Reply;
use super::{MAX_DATA, MAX_ID};

/// The first byte of a PUBLISH and of a CMD that the server sends.
const PUBLISH: u8 = first_byte(Mode::Session, Kind::Publish);
const CMD: u8 = first_byte(Mode::Session, Kind::Cmd);

/// The result of decoding the available bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A complete frame, and the number of its bytes.
    Frame(Frame<'a>, usize),
    /// The beginning of a frame that is not complete yet.
    Partial(Option<Head>),
}

/// The head of a frame, available when its id is complete and valid, while its data is still arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Session or one-shot.
    pub mode: Mode,
    /// SEND, PUBLISH or an answer to a command: other frames carry no data.
    pub kind: Kind,
    /// Bytes of the whole frame, from its first byte to the last byte of its data.
    pub len: usize,
}

/// How many bytes of padding stand before the next frame.
pub fn padding(input: &[u8]) -> usize {
    input.iter().position(|&byte| byte != 0).unwrap_or(input.len())
}

/// Decodes the frame of a device at the start of `input`, which has no padding there. `max_data` is the maximum number
/// of data bytes per frame.
pub fn decode(input: &[u8], max_data: usize) -> Result<Decoded<'_>, Malformed> {
    decode_from(None, input, max_data)
}

/// The same for a device whose id is known. An id that equals it needs no other check, which saves a third of the time
/// that a small SEND takes.
pub fn decode_from<'a>(
    device: Option<Id<'a>>,
    input: &'a [u8],
    max_data: usize,
) -> Result<Decoded<'a>, Malformed> {
    decode_frame(device, input, max_data).map_err(|why| Malformed::new(why, input))
}

fn decode_frame<'a>(
    device: Option<Id<'a>>,
    input: &'a [u8],
    max_data: usize,
) -> Result<Decoded<'a>, NotAFrame> {
    let Some(&byte) = input.first() else {
        return Ok(Decoded::Partial(None));
    };
    let (mode, kind) = from_device(byte)?;
    match kind {
        Kind::Ping => Ok(two_bytes(input, Frame::Ping)),
        Kind::Connect => Ok(two_bytes(input, Frame::Connect)),
        Kind::Auth => auth(input),
        _ => with_data(device, input, mode, kind, max_data),
    }
}

fn from_device(byte: u8) -> Result<(Mode, Kind), NotAFrame> {
    let mode = match byte >> 6 {
        1 => Mode::Session,
        2 => Mode::OneShot,
        _ => return Err(NotAFrame::Mode { byte }),
    };
    match (mode, Kind::from_number(byte & 0x3f)) {
        (_, Some(Kind::Send)) => Ok((mode, Kind::Send)),
        (_, Some(Kind::Cmd)) | (_, None) | (Mode::OneShot, _) => Err(NotAFrame::Type { byte }),
        (Mode::Session, Some(kind)) => Ok((mode, kind)),
    }
}

fn two_bytes<'a>(input: &[u8], frame: Frame<'a>) -> Decoded<'a> {
    match input.len() {
        0 | 1 => Decoded::Partial(None),
        _ => Decoded::Frame(frame, 2),
    }
}

fn auth(input: &[u8]) -> Result<Decoded<'_>, NotAFrame> {
    let id_len = length(input, MAX_ID).map_err(|least| NotAFrame::IdTooLong { least })?;
    let (Some(id_len), Some((_, rest))) = (id_len, input.split_first_chunk::<3>()) else {
        return Ok(Decoded::Partial(None));
    };
    Ok(match split_id(None, rest, id_len)? {
        Some((client, _)) => Decoded::Frame(Frame::Auth { client }, 3 + id_len),
        None => Decoded::Partial(None),
    })
}

/// `first data_len:16 id_len:8 id data`
fn with_data<'a>(
    device: Option<Id<'a>>,
    input: &'a [u8],
    mode: Mode,
    kind: Kind,
    max_data: usize,
) -> Result<Decoded<'a>, NotAFrame> {
    let data_len =
        length(input, max_data).map_err(|least| NotAFrame::DataTooLong { least, max: max_data })?;
    let (Some(data_len), Some((&[.., id_len], rest))) = (data_len, input.split_first_chunk::<4>()) else {
        return Ok(Decoded::Partial(None));
    };
    let Some((id, rest)) = split_id(device, rest, id_len.into())? else {
        return Ok(Decoded::Partial(None));
    };
    let len = 4 + usize::from(id_len) + data_len;
    match rest.get(..data_len) {
        Some(data) => Ok(Decoded::Frame(frame(mode, kind, id, data), len)),
        None => Ok(Decoded::Partial(Some(Head { mode, kind, len }))),
    }
}

/// The length behind the first byte of a frame, once it is there. The error is the least value of a length above `most`: its first
/// byte may be enough, and is used even where the second has come, so that the error does not depend on the cut.
fn length(input: &[u8], most: usize) -> Result<Option<usize>, usize> {
    match *input {
        [_, high, ..] if usize::from(high) << 8 > most => Err(usize::from(high) << 8),
        [_, high, low, ..] => match u16::from_be_bytes([high, low]).into() {
            len if len > most => Err(len),
            len => Ok(Some(len)),
        },
        _ => Ok(None),
    }
}

/// The id of `len` bytes at the start of `input` and what stands behind it, if the id is whole.
fn split_id<'a>(
    device: Option<Id<'a>>,
    input: &'a [u8],
    len: usize,
) -> Result<Option<(Id<'a>, &'a [u8])>, BadClientId> {
    if let Some(id) = device
        && id.as_str().len() == len
        && let Some(behind) = input.strip_prefix(id.as_str().as_bytes())
    {
        return Ok(Some((id, behind)));
    }
    check_len(len)?;
    match input.split_at_checked(len) {
        Some((id, behind)) => Ok(Some((Id::try_from(id)?, behind))),
        None => check_begun(input, len).map(|_| None),
    }
}

fn frame<'a>(mode: Mode, kind: Kind, id: Id<'a>, data: &'a [u8]) -> Frame<'a> {
    match kind {
        Kind::Ping => Frame::Ping,
        Kind::Connect => Frame::Connect,
        Kind::Auth => Frame::Auth { client: id },
        Kind::Send => Frame::Send { mode, client: id, data },
        Kind::Publish => Frame::Publish { client: id, data },
        Kind::Cmd => Frame::Cmd { command: id, data },
        Kind::CmdOk => Frame::CmdOk { command: id, data },
        Kind::CmdFailure => Frame::CmdFailure { command: id, data },
    }
}

/// A message that a device receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A word.
    Reply(Reply),
    /// A frame from the server: PUBLISH or CMD.
    Frame(Frame<'a>),
}

/// The server sent neither a word nor a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent neither a reply nor a frame (first byte 0x{byte:02x})")]
pub struct NotAnAnswer {
    /// The first byte of the unexpected data.
    pub byte: u8,
}

/// Decodes bytes from the server, on the device's side: the first word or frame in `input` and the number of its bytes,
/// or `None` if it is not complete yet.
pub fn decode_answer(input: &[u8]) -> Result<Option<(Answer<'_>, usize)>, NotAnAnswer> {
    let Some(&byte) = input.first() else {
        return Ok(None);
    };
    let kind = match byte {
        PUBLISH => Kind::Publish,
        CMD => Kind::Cmd,
        _ => return decode_word(input, byte),
    };
    match with_data(None, input, Mode::Session, kind, MAX_DATA) {
        Ok(Decoded::Frame(frame, len)) => Ok(Some((Answer::Frame(frame), len))),
        Ok(Decoded::Partial(_)) => Ok(None),
        Err(_) => Err(NotAnAnswer { byte }),
    }
}

fn decode_word(input: &[u8], byte: u8) -> Result<Option<(Answer<'_>, usize)>, NotAnAnswer> {
    let mut whole_or_part = Reply::ALL.into_iter().filter(|reply| {
        let word = reply.word().as_bytes();
        input.starts_with(word) || word.starts_with(input)
    });
    let reply = whole_or_part.next().ok_or(NotAnAnswer { byte })?;
    let len = reply.word().len();
    Ok((input.len() >= len).then_some((Answer::Reply(reply), len)))
}

/// The data is too long for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data of {got} bytes does not fit into a frame, the limit is {MAX_DATA}")]
pub struct DataTooLong {
    /// The length in bytes.
    pub got: usize,
}

/// Appends `frame` to `out` in wire form.
pub fn encode(frame: &Frame<'_>, out: &mut impl BufMut) -> Result<(), DataTooLong> {
    let first = match frame {
        Frame::Send { mode, .. } => first_byte(*mode, Kind::Send),
        _ => first_byte(Mode::Session, frame.kind()),
    };
    match *frame {
        Frame::Ping | Frame::Connect => out.put_slice(&[first, 0]),
        Frame::Auth { client } => {
            out.put_u8(first);
            out.put_u16(client.wire_len().into());
            out.put_slice(client.as_str().as_bytes());
        }
        Frame::Send { client: id, data, .. }
        | Frame::Publish { client: id, data }
        | Frame::Cmd { command: id, data }
        | Frame::CmdOk { command: id, data }
        | Frame::CmdFailure { command: id, data } => encode_with_data(first, id, data, out)?,
    }
    Ok(())
}

fn encode_with_data(first: u8, id: Id<'_>, data: &[u8], out: &mut impl BufMut) -> Result<(), DataTooLong> {
    let data_len = u16::try_from(data.len()).map_err(|_| DataTooLong { got: data.len() })?;
    out.put_u8(first);
    out.put_u16(data_len);
    out.put_u8(id.wire_len());
    out.put_slice(id.as_str().as_bytes());
    out.put_slice(data);
    Ok(())
}

const fn first_byte(mode: Mode, kind: Kind) -> u8 {
    let mode = match mode {
        Mode::Session => 1,
        Mode::OneShot => 2,
    };
    mode << 6 | kind as u8
}

#[cfg(test)]
mod tests;
