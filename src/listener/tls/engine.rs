//! TLS between two slices of bytes: no socket, and no buffer that belongs to an idle connection.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ServerConfig, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{Error, InvalidMessage};
use tokio::io::ReadBuf;

/// The most plaintext of a record.
pub(super) const PLAIN: usize = 16 * 1024;

/// The most bytes that a record has on the wire, with its header.
pub(super) const RECORD: usize = PLAIN + 2048 + 5;

type State<'c, 'i> = ConnectionState<'c, 'i, ServerConnectionData>;

/// The server's side of a TLS connection. What it keeps is bounded: received bytes by [`RECORD`] and one read, decrypted
/// bytes by [`PLAIN`].
pub(super) struct Engine {
    conn: Box<UnbufferedServerConnection>,
    /// Received bytes that are not processed yet.
    rest: Vec<u8>,
    /// Whether complete records may be among them. Otherwise they are the beginning of one record or message.
    has_records: bool,
    /// Decrypted bytes for which the reader had no room.
    plain: Vec<u8>,
    /// Bytes for the peer.
    pub(super) unsent: Vec<u8>,
    /// The peer has sent its last byte.
    is_ended: bool,
}

impl Engine {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            conn: Box::new(UnbufferedServerConnection::new(config)?),
            rest: Vec::new(),
            has_records: false,
            plain: Vec::new(),
            unsent: Vec::new(),
            is_ended: false,
        })
    }

    pub(super) fn conn(&self) -> &UnbufferedServerConnection {
        &self.conn
    }

    /// Whether the handshake is complete.
    pub(super) fn is_established(&self) -> bool {
        !self.conn.is_handshaking()
    }

    /// Whether the peer has announced that it sends nothing more.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether [`receive`](Self::receive) has work without a byte from the socket.
    pub(super) const fn has_records(&self) -> bool {
        self.has_records
    }

    /// The bytes that it holds for its peer and its reader.
    pub(super) const fn held(&self) -> usize {
        self.rest.capacity() + self.plain.capacity() + self.unsent.capacity()
    }

    /// The peer has closed the connection, with or without a word. An end between two records is one, because frames have
    /// their length: nothing can be cut off unnoticed.
    pub(super) fn end(&mut self) -> bool {
        let is_clean = self.is_established() && self.rest.is_empty();
        self.is_ended |= is_clean;
        is_clean
    }

    /// Copies decrypted bytes that wait for a reader. Returns whether there were any.
    pub(super) fn read_waiting(&mut self, to: &mut ReadBuf<'_>) -> bool {
        if self.plain.is_empty() {
            return false;
        }
        let now = to.remaining().min(self.plain.len());
        to.put_slice(self.plain.get(..now).unwrap_or_default());
        self.plain.drain(..now);
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
        true
    }

    /// Copies the unprocessed bytes to the front of `input`, where the bytes of the socket follow them.
    pub(super) fn load(&self, input: &mut [u8]) -> usize {
        let len = self.rest.len();
        if let Some(front) = input.get_mut(..len) {
            front.copy_from_slice(&self.rest);
        }
        len
    }

    /// Processes received bytes, which begin with those of [`load`](Self::load), until `to` is full. After an error,
    /// `unsent` has the alert for the peer, and the engine is of no more use.
    pub(super) fn receive(&mut self, mut input: &mut [u8], to: &mut ReadBuf<'_>) -> Result<(), Error> {
        self.has_records = false;
        loop {
            let UnbufferedStatus { discard, state } = self.conn.process_tls_records(input);
            let step = state.and_then(|state| step(state, to, &mut self.plain, &mut self.unsent));
            input = input.get_mut(discard..).unwrap_or_default();
            match step.inspect_err(|_| self.fetch_alert())? {
                Step::Next => {}
                Step::Full if !input.is_empty() => {
                    self.has_records = true;
                    break;
                }
                Step::Ended => self.is_ended = true,
                Step::Full | Step::Blocked => break,
            }
        }
        self.keep(input)
    }

    fn keep(&mut self, input: &[u8]) -> Result<(), Error> {
        if input.is_empty() || self.is_ended {
            self.rest = Vec::new();
            self.has_records = false;
            return Ok(());
        }
        if !self.has_records && input.len() > RECORD {
            return Err(InvalidMessage::HandshakePayloadTooLarge.into());
        }
        self.rest.clear();
        self.rest.reserve_exact(input.len());
        self.rest.extend_from_slice(input);
        Ok(())
    }

    /// Encrypts the beginning of `plain`, at most [`PLAIN`] bytes, into `out`, which has room for a record and a bit more.
    /// Returns the taken and the written bytes.
    pub(super) fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Result<(usize, usize), Error> {
        let plain = plain.get(..PLAIN).unwrap_or(plain);
        let mut written = Err(Error::HandshakeNotComplete);
        self.with_writer(|writer| written = writer.encrypt(plain, out).map_err(too_much))?;
        Ok((plain.len(), written?))
    }

    /// Says goodbye to the peer, in `unsent`.
    pub(super) fn close_notify(&mut self) -> Result<(), Error> {
        let mut out = [0; 64];
        let mut written = Ok(0);
        self.with_writer(|writer| written = writer.queue_close_notify(&mut out).map_err(too_much))?;
        self.unsent.extend_from_slice(out.get(..written?).unwrap_or_default());
        Ok(())
    }

    /// Calls `write` as soon as application data may be written. Answers of the protocol that are due leave before.
    fn with_writer(
        &mut self,
        write: impl FnOnce(&mut rustls::unbuffered::WriteTraffic<'_, ServerConnectionData>),
    ) -> Result<(), Error> {
        // The beginning of a handshake message must be shown to rustls at each call. Complete records must not, because
        // they would be read; no handshake message has begun then.
        let rest = if self.has_records { &mut [] } else { self.rest.as_mut_slice() };
        loop {
            match self.conn.process_tls_records(rest).state? {
                ConnectionState::WriteTraffic(mut writer) => {
                    write(&mut writer);
                    return Ok(());
                }
                ConnectionState::EncodeTlsData(data) => encode(data, &mut self.unsent)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.is_ended = true,
                _ => return Err(Error::HandshakeNotComplete),
            }
        }
    }

    /// After an error, the alert for the peer waits to be encoded. Nothing else may be asked of rustls then.
    fn fetch_alert(&mut self) {
        while self.conn.wants_write() {
            let Ok(ConnectionState::EncodeTlsData(data)) = self.conn.process_tls_records(&mut []).state
            else {
                return;
            };
            if encode(data, &mut self.unsent).is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("established", &self.is_established()).finish_non_exhaustive()
    }
}

/// What [`Engine::receive`] does next.
enum Step {
    Next,
    /// The reader has no more room.
    Full,
    Ended,
    /// All input is processed.
    Blocked,
}

fn step(
    state: State<'_, '_>,
    to: &mut ReadBuf<'_>,
    plain: &mut Vec<u8>,
    unsent: &mut Vec<u8>,
) -> Result<Step, Error> {
    match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                deliver(record?.payload, to, plain);
            }
            return Ok(if to.remaining() == 0 || !plain.is_empty() { Step::Full } else { Step::Next });
        }
        ConnectionState::EncodeTlsData(data) => encode(data, unsent)?,
        ConnectionState::TransmitTlsData(data) => data.done(),
        ConnectionState::PeerClosed => return Ok(Step::Ended),
        _ => return Ok(Step::Blocked),
    }
    Ok(Step::Next)
}

fn deliver(payload: &[u8], to: &mut ReadBuf<'_>, plain: &mut Vec<u8>) {
    let room = if plain.is_empty() { to.remaining() } else { 0 };
    let (now, later) = payload.split_at(room.min(payload.len()));
    to.put_slice(now);
    plain.extend_from_slice(later);
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) -> Result<(), Error> {
    let at = out.len();
    if let Err(EncodeError::InsufficientSize(missing)) = data.encode(&mut []) {
        out.reserve_exact(missing.required_size);
        out.resize(at + missing.required_size, 0);
        data.encode(out.get_mut(at..).unwrap_or_default()).map_err(|err| Error::General(err.to_string()))?;
    }
    Ok(())
}

fn too_much(err: EncryptError) -> Error {
    Error::General(err.to_string())
}

#[cfg(test)]
mod tests;
