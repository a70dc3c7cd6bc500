//! Scripts of frames, cut at any position, on pipes with very little capacity.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Sends these pieces, each when the session has nothing left to do, and half-closes.
async fn exchange(rig: &Rig, pipe: usize, pieces: &[&[u8]]) -> String {
    let (mut from, mut to) = tokio::io::split(rig.device(pipe).0);
    let sending = async {
        for piece in pieces {
            // A session that has ended does not read the rest.
            let _ = to.write_all(piece).await;
            at_rest().await;
        }
        let _ = to.shutdown().await;
    };
    let mut got = Vec::new();
    let reading = timeout(FOREVER, from.read_to_end(&mut got));
    let (_, read) = tokio::join!(sending, reading);
    read.expect("the session ends").unwrap();
    String::from_utf8(got).unwrap()
}

#[actix::test]
async fn starved_pipes_change_nothing() {
    let publish = bytes(Frame::Publish { client: id("nobody"), data: b"hello" });
    let done = bytes(Frame::CmdOk { command: id("c1"), data: b"done" });
    let rows = [
        ([&PING[..], &[0, 0, 0x41, 0xff, 0], &PING].concat(), "pongconnect_okpong", Ended::PeerClosed),
        ([auth(ID), send(b"hello")].concat(), "auth_oksend_ok", Ended::PeerClosed),
        ([&auth(ID)[..], &send(b"")[..10]].concat(), "auth_ok", Ended::Truncated),
        ([send(b"hello"), auth(ID)].concat(), "send_failureauth_ok", Ended::PeerClosed),
        ([publish, done, auth(ID)].concat(), "pub_failureauth_ok", Ended::PeerClosed),
        (auth("abc"), "auth_failure", Ended::AuthFailure),
        ([auth(ID), auth("known 2")].concat(), "auth_okauth_failure", Ended::AuthFailure),
        ([&one_shot(ID)[..], &PING].concat(), "send_ok", Ended::OneShot),
        (one_shot("abc"), "send_failure", Ended::AuthFailure),
        ([auth(ID), one_shot(ID)].concat(), "auth_okprotocol_error", Ended::ProtocolError),
        ([&PING[..], &[0xc0], &PING].concat(), "pongprotocol_error", Ended::ProtocolError),
    ];
    for (sent, answers, reason) in rows {
        for pipe in 1..=7 {
            let rig = Rig::new(|_| {});
            assert_eq!(exchange(&rig, pipe, &[&sent]).await, answers, "{sent:02x?} through {pipe}");
            rig.assert_ended(1, reason).await;
        }
        for cut in 1..sent.len() {
            let rig = Rig::new(|_| {});
            let (before, behind) = sent.split_at(cut);
            assert_eq!(exchange(&rig, 1000, &[before, behind]).await, answers, "{before:02x?} {behind:02x?}");
            rig.assert_ended(1, reason).await;
        }
    }
}

/// A step of a device.
#[derive(Clone, Debug)]
enum Act {
    Ping,
    Connect,
    Padding(usize),
    Auth(&'static str),
    Send(&'static str, Vec<u8>),
    Publish(Vec<u8>),
    Answer,
    OneShot(&'static str),
    NoFrame(u8),
}

impl Act {
    fn any() -> impl Strategy<Value = Self> {
        let data = || vec(any::<u8>(), 0..12);
        let id = || prop_oneof![6 => Just(ID), 1 => Just("known 2"), 1 => Just("abc")];
        prop_oneof![
            4 => Just(Self::Ping),
            2 => Just(Self::Connect),
            2 => (1..4usize).prop_map(Self::Padding),
            6 => id().prop_map(Self::Auth),
            8 => (id(), data()).prop_map(|(id, data)| Self::Send(id, data)),
            2 => data().prop_map(Self::Publish),
            2 => Just(Self::Answer),
            1 => id().prop_map(Self::OneShot),
            1 => prop_oneof![0x01..=0x3fu8, 0xc0..=0xffu8, Just(0x42), Just(0x4d), Just(0x80)]
                .prop_map(Self::NoFrame),
        ]
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Ping => PING.into(),
            Self::Connect => bytes(Frame::Connect),
            Self::Padding(len) => vec![0; *len],
            Self::Auth(client) => auth(client),
            Self::Send(client, data) => bytes(Frame::Send { mode: Mode::Session, client: id(client), data }),
            Self::Publish(data) => bytes(Frame::Publish { client: id("nobody"), data }),
            Self::Answer => bytes(Frame::CmdFailure { command: id("c1"), data: b"no" }),
            Self::OneShot(client) => one_shot(client),
            Self::NoFrame(byte) => vec![*byte],
        }
    }
}

/// The expected answers of a script, from the protocol: one frame after the other, without bytes, buffers or time.
#[derive(Default)]
struct Model {
    id: Option<&'static str>,
    answers: String,
    records: Vec<Vec<u8>>,
    ended: Option<Ended>,
}

impl Model {
    fn act(&mut self, act: &Act, stored: bool) {
        let sent = if stored { "send_ok" } else { "send_failure" };
        let is_new = self.id.is_none();
        let answer = match act {
            _ if self.ended.is_some() => return,
            Act::Ping => "pong",
            Act::Connect => "connect_ok",
            Act::Padding(_) | Act::Answer => "",
            Act::Publish(_) => "pub_failure",
            Act::Auth(id) if is_new && id.starts_with("known") || self.id == Some(id) => {
                self.id = Some(id);
                "auth_ok"
            }
            Act::Auth(_) => self.end("auth_failure", Ended::AuthFailure),
            Act::Send(id, data) if self.id == Some(id) => {
                self.records.push(data.clone());
                sent
            }
            Act::Send(..) => "send_failure",
            Act::OneShot(id) if is_new && id.starts_with("known") => {
                self.records.push(b"once".into());
                self.end(sent, Ended::OneShot)
            }
            Act::OneShot(_) if is_new => self.end("send_failure", Ended::AuthFailure),
            Act::OneShot(_) | Act::NoFrame(_) => self.end("protocol_error", Ended::ProtocolError),
        };
        self.answers += answer;
    }

    fn end(&mut self, answer: &'static str, reason: Ended) -> &'static str {
        self.ended = Some(reason);
        answer
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a device does, however it is cut, whatever the pipe holds: the answers are those of the model.
    #[test]
    fn a_script_is_answered_as_the_model_says(
        script in vec(Act::any(), 0..25),
        partial in prop::option::of(1..20usize),
        cuts in vec(any::<Index>(), 0..12),
        pipe in prop_oneof![1..=64usize, Just(100_000)],
        stored in any::<bool>(),
    ) {
        let mut model = Model::default();
        script.iter().for_each(|act| model.act(act, stored));
        let mut sent: Vec<u8> = script.iter().flat_map(Act::bytes).collect();
        sent.extend_from_slice(&send(&[0x40; 20])[..partial.unwrap_or(0)]);
        let at_the_end = if partial.is_some() { Ended::Truncated } else { Ended::PeerClosed };
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
        cuts.extend([0, sent.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &sent[cut[0]..cut[1]]).collect();
        System::new().block_on(async {
            let rig = Rig::new(|_| {});
            rig.store.answers(if stored { Ok(()) } else { Err(NotStored("no room".into())) });
            assert_eq!(exchange(&rig, pipe, &pieces).await, model.answers);
            assert_eq!(rig.store.records(), model.records);
            rig.assert_ended(1, model.ended.unwrap_or(at_the_end)).await;
        });
    }
}
