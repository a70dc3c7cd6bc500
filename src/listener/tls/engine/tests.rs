use std::io::{Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::*;

/// The bytes of a read for a reader with little room.
const LEAST: usize = 4096;

/// A client of rustls and the engine, without sockets in between.
struct Pair {
    client: ClientConnection,
    engine: Engine,
    /// What the engine's reader has got.
    got: Vec<u8>,
    /// What the client has got.
    got_back: Vec<u8>,
    /// The most that the engine has held after a step.
    most_held: usize,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(trusting), "localhost".try_into().unwrap()).unwrap();
        client.set_buffer_limit(None);
        let engine = Engine::new(Arc::new(config)).unwrap();
        Self { client, engine, got: Vec::new(), got_back: Vec::new(), most_held: 0 }
    }

    fn established(version: &'static SupportedProtocolVersion) -> Self {
        let mut pair = Self::new(version);
        pair.exchange(&[usize::MAX], usize::MAX).unwrap();
        assert!(pair.engine.is_established() && !pair.client.is_handshaking());
        pair
    }

    /// Lets both sides talk until none has anything to say. The engine gets the client's bytes in pieces of these sizes,
    /// and reads with this much room.
    fn exchange(&mut self, pieces: &[usize], room: usize) -> Result<(), Error> {
        let mut sizes = pieces.iter().cycle().copied();
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            let answered = self.answer();
            if sent.is_empty() && !answered {
                return Ok(());
            }
            let mut sent = sent.as_slice();
            while !sent.is_empty() {
                // Like a socket: hardly more than the reader has room for.
                let most = sizes.next().unwrap().min(room.max(LEAST));
                let (piece, later) = sent.split_at(most.min(sent.len()));
                sent = later;
                self.feed(piece, room)?;
            }
        }
    }

    fn feed(&mut self, piece: &[u8], room: usize) -> Result<(), Error> {
        let mut piece = Some(piece);
        while piece.is_some() || self.engine.has_records() {
            let mut input = vec![0; RECORD * 4];
            let held = self.engine.load(&mut input);
            let bytes = if self.engine.has_records() { &[] } else { piece.take().unwrap_or_default() };
            input.truncate(held);
            input.extend_from_slice(bytes);
            self.receive(&mut input, room)?;
        }
        Ok(())
    }

    fn receive(&mut self, input: &mut [u8], room: usize) -> Result<(), Error> {
        let mut out = vec![0; room.min(100_000)];
        let mut to = ReadBuf::new(&mut out);
        let received = self.engine.receive(input, &mut to);
        self.got.extend_from_slice(to.filled());
        self.most_held = self.most_held.max(self.engine.rest.len() + self.engine.plain.len());
        loop {
            to.clear();
            if !self.engine.read_waiting(&mut to) {
                return received;
            }
            self.got.extend_from_slice(to.filled());
        }
    }

    fn answer(&mut self) -> bool {
        let unsent = std::mem::take(&mut self.engine.unsent);
        let mut left = unsent.as_slice();
        while !left.is_empty() {
            self.client.read_tls(&mut left).unwrap();
            // A client that fails says so in an alert.
            let _ = self.client.process_new_packets();
            let _ = self.client.reader().read_to_end(&mut self.got_back);
        }
        !unsent.is_empty()
    }

    fn write(&mut self, mut plain: &[u8]) {
        while !plain.is_empty() {
            let mut out = vec![0; RECORD + 1024];
            let (taken, len) = self.engine.encrypt(plain, &mut out).unwrap();
            self.engine.unsent.extend_from_slice(&out[..len]);
            plain = &plain[taken..];
            self.answer();
        }
    }
}

/// What happens on a connection.
#[derive(Clone, Debug)]
enum Event {
    FromClient(usize),
    FromServer(usize),
    KeyUpdate,
}

fn event() -> impl Strategy<Value = Event> {
    let size = prop_oneof![1..100_usize, 1..40_000_usize];
    prop_oneof![
        4 => size.clone().prop_map(Event::FromClient),
        4 => size.prop_map(Event::FromServer),
        1 => Just(Event::KeyUpdate),
    ]
}

fn bytes(len: usize, from: usize) -> Vec<u8> {
    (0..len).map(|index| ((from + index) % 251) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_however_the_stream_is_cut(
        events in vec(event(), 1..12),
        pieces in vec(prop_oneof![1..20_usize, 1..30_000_usize], 1..8),
        room in prop_oneof![1..300_usize, 1..40_000_usize],
        is_13 in any::<bool>(),
    ) {
        let mut pair = Pair::new(if is_13 { &TLS13 } else { &TLS12 });
        pair.exchange(&pieces, room).unwrap();
        prop_assert!(pair.engine.is_established());
        let (mut expected, mut expected_back) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::FromClient(len) => {
                    let data = bytes(len, expected.len());
                    pair.client.writer().write_all(&data).unwrap();
                    expected.extend(data);
                }
                Event::FromServer(len) => {
                    let data = bytes(len, expected_back.len());
                    pair.write(&data);
                    expected_back.extend(data);
                }
                Event::KeyUpdate if is_13 => pair.client.refresh_traffic_keys().unwrap(),
                Event::KeyUpdate => {}
            }
            pair.exchange(&pieces, room).unwrap();
        }
        prop_assert!(pair.got == expected && pair.got_back == expected_back);
        prop_assert!(pair.most_held <= RECORD + LEAST, "{}", pair.most_held);
        prop_assert_eq!(pair.engine.held(), 0);
    }

    #[test]
    fn junk_is_an_error_and_never_a_panic(
        junk in vec(any::<u8>(), 1..600),
        head in prop_oneof![Just(vec![]), Just(vec![22, 3, 1, 2, 0]), Just(vec![23, 3, 3, 0, 40])],
        pieces in vec(1..300_usize, 1..4),
        at_once in any::<bool>(),
    ) {
        let mut pair = if at_once { Pair::new(&TLS13) } else { Pair::established(&TLS13) };
        let junk = [head, junk].concat();
        let mut junk = junk.as_slice();
        for size in pieces.iter().cycle() {
            let (piece, later) = junk.split_at((*size).min(junk.len()));
            junk = later;
            if pair.feed(piece, 1000).is_err() {
                return Ok(());
            }
            if junk.is_empty() {
                break;
            }
        }
        // Incomplete junk is no hindrance for a writer.
        let _ = pair.engine.encrypt(b"late", &mut [0; RECORD]);
        let _ = pair.engine.close_notify();
        prop_assert!(pair.got.is_empty());
    }
}

#[test]
fn a_writer_does_not_mind_a_message_that_has_begun() {
    let mut pair = Pair::established(&TLS13);
    pair.client.refresh_traffic_keys().unwrap();
    let mut sent = Vec::new();
    pair.client.write_tls(&mut sent).unwrap();
    for piece in sent.chunks(3) {
        pair.feed(piece, 100).unwrap();
        pair.write(b"meanwhile");
    }
    assert_eq!(pair.got_back, b"meanwhile".repeat(sent.len().div_ceil(3)));
    assert_eq!(pair.engine.held(), 0);
}

#[test]
fn both_sides_say_goodbye() {
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::established(version);
        assert!(!pair.engine.is_ended());
        pair.client.writer().write_all(b"last words").unwrap();
        pair.client.send_close_notify();
        pair.exchange(&[7], 3).unwrap();
        assert!(pair.engine.is_ended());
        assert_eq!(pair.got, b"last words");
        pair.write(b"and mine");
        pair.engine.close_notify().unwrap();
        pair.answer();
        assert_eq!(pair.got_back, b"and mine");
        // Without the goodbye it would be `UnexpectedEof`.
        assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn an_end_between_records_is_clean_and_another_is_not() {
    let mut pair = Pair::new(&TLS13);
    assert!(!pair.engine.end());
    let mut pair2 = Pair::established(&TLS13);
    pair2.feed(&[23, 3, 3, 0], 100).unwrap();
    assert!(!pair2.engine.end() && !pair2.engine.is_ended());
    pair.exchange(&[usize::MAX], 100).unwrap();
    assert!(pair.engine.end() && pair.engine.is_ended());
}

#[test]
fn a_client_learns_why_it_is_refused() {
    let mut pair = Pair::established(&TLS13);
    // A record that was not encrypted with the key.
    let mut record = vec![23, 3, 3, 0, 32];
    record.extend([7; 32]);
    assert_eq!(pair.feed(&record, 100), Err(Error::DecryptError));
    assert!(!pair.engine.unsent.is_empty());
    let mut unsent = std::mem::take(&mut pair.engine.unsent);
    let mut unsent = unsent.as_mut_slice() as &[u8];
    pair.client.read_tls(&mut unsent).unwrap();
    let err = pair.client.process_new_packets().unwrap_err();
    assert_eq!(err, Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
}

#[test]
fn a_handshake_message_that_is_larger_than_a_record_is_refused() {
    let mut pair = Pair::new(&TLS13);
    // A ClientHello that announces 60,000 bytes, in records of 16,000 bytes.
    let mut result = Ok(());
    for record in 0..4 {
        let mut bytes = vec![22, 3, 1, 62, 128];
        bytes.extend(if record == 0 { [1, 0, 234, 96] } else { [0; 4] });
        bytes.resize(5 + 16_000, 0);
        result = result.and_then(|()| pair.feed(&bytes, 100));
    }
    assert_eq!(result, Err(InvalidMessage::HandshakePayloadTooLarge.into()));
    assert!(pair.most_held <= RECORD);
}
