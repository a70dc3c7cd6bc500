//! Frames and their answers as rows of a table, and every way in which TCP may cut them.

use trap_server::config::ClientPattern;
use trap_server::stats::{Ended, Totals};

use crate::common::raw::PING;
use crate::common::{TestServer, eventually};

/// A frame, or what is none, and its answer.
#[derive(Clone, Debug)]
pub struct Step {
    bytes: Vec<u8>,
    /// So many of the bytes tell what the answer is.
    decided: usize,
    answer: &'static str,
    ends: Option<Ended>,
}

/// A frame, answered when it is whole.
pub fn frame(bytes: impl Into<Vec<u8>>, answer: &'static str) -> Step {
    let bytes = bytes.into();
    Step { decided: bytes.len(), bytes, answer, ends: None }
}

/// A frame with which the server ends the session.
pub fn last(bytes: impl Into<Vec<u8>>, answer: &'static str, ends: Ended) -> Step {
    Step { ends: Some(ends), ..frame(bytes, answer) }
}

/// No frame, and the first `decided` bytes show it.
pub fn mistake(bytes: impl Into<Vec<u8>>, decided: usize) -> Step {
    Step { decided, ..last(bytes, "protocol_error", Ended::ProtocolError) }
}

pub fn padding(bytes: usize) -> Step {
    Step { decided: 0, ..frame(vec![0; bytes], "") }
}

/// A server that knows some, and takes at most 300 bytes of data.
pub fn server(name: &str) -> TestServer {
    TestServer::start(name, |config| {
        let known = ["client0012", "other", "x*", "größe*", "the last one"];
        config.credentials.clients =
            known.iter().map(|pattern| ClientPattern::try_from(*pattern).unwrap()).collect();
        config.session.max_frame = MAX_FRAME;
    })
}

pub const MAX_FRAME: usize = 300;

/// Plays each row in every way, and looks at answers, closes, and the reasons that were counted.
pub async fn play(server: &TestServer, rows: &[Vec<Step>]) {
    for row in rows {
        let row = Row { server, steps: row };
        let before = server.totals();
        let reasons = row.play().await;
        eventually("all sessions have ended", || server.open.count() == 0).await;
        compare(&reasons, &before, &server.totals(), row.steps);
    }
    server.assert_nothing_is_left().await;
}

fn compare(expected: &[Ended], before: &Totals, after: &Totals, row: &[Step]) {
    for reason in Ended::ALL {
        let expected = expected.iter().filter(|expected| **expected == reason).count() as u64;
        assert_eq!(after.ended(reason) - before.ended(reason), expected, "ended {reason} in {row:02x?}");
    }
}

struct Row<'a> {
    server: &'a TestServer,
    steps: &'a [Step],
}

impl Row<'_> {
    async fn play(&self) -> Vec<Ended> {
        let bytes = self.bytes();
        let mut reasons = vec![
            self.exchange(&[&bytes], self.steps).await,
            self.exchange(&bytes.chunks(1).collect::<Vec<_>>(), self.steps).await,
            self.glued().await,
        ];
        for cut in 0..=bytes.len() {
            reasons.push(self.in_two_reads(cut).await);
            reasons.push(self.half_closed(cut).await);
        }
        reasons
    }

    /// Sends these pieces, half-closes, and compares everything that comes.
    async fn exchange(&self, pieces: &[&[u8]], steps: &[Step]) -> Ended {
        let sent: usize = pieces.iter().map(|piece| piece.len()).sum();
        let (answers, reason) = expected(steps, sent);
        let mut raw = self.server.raw().await;
        for piece in pieces {
            raw.send(piece).await;
        }
        raw.half_close().await;
        let (got, end) = raw.rest().await;
        let got = String::from_utf8_lossy(&got);
        assert_eq!(got, answers, "the answers to {pieces:02x?}, then {end:?}");
        assert_eq!(end, crate::common::raw::End::Closed, "after {pieces:02x?}");
        reason
    }

    /// One segment with frames before and behind.
    async fn glued(&self) -> Ended {
        let mut steps = vec![frame(PING, "pong")];
        steps.extend_from_slice(self.steps);
        steps.extend([frame(PING, "pong"), frame(PING, "pong")]);
        let bytes: Vec<u8> = steps.iter().flat_map(|step| step.bytes.clone()).collect();
        self.exchange(&[&bytes], &steps).await
    }

    /// The server has certainly read what stands before the cut when the rest leaves: the same segment holds a PING that it
    /// has answered.
    async fn in_two_reads(&self, cut: usize) -> Ended {
        let bytes = self.bytes();
        let (before, behind) = bytes.split_at(cut);
        let (answers, reason) = expected(self.steps, bytes.len());
        let mut raw = self.server.raw().await;
        raw.send([&PING, before].concat()).await;
        raw.expect("pong").await;
        raw.send(behind).await;
        raw.half_close().await;
        let (got, end) = raw.rest().await;
        let got = String::from_utf8_lossy(&got);
        assert_eq!(got, answers, "the answers to {before:02x?}, {behind:02x?}, then {end:?}");
        reason
    }

    async fn half_closed(&self, cut: usize) -> Ended {
        self.exchange(&[&self.bytes()[..cut]], self.steps).await
    }

    fn bytes(&self) -> Vec<u8> {
        self.steps.iter().flat_map(|step| step.bytes.clone()).collect()
    }
}

/// The answers to the first `sent` bytes, and why the session ends when nothing more comes.
fn expected(steps: &[Step], sent: usize) -> (String, Ended) {
    let (mut answers, mut start) = (String::new(), 0);
    for step in steps {
        if sent < start + step.decided {
            return (answers, if sent > start { Ended::Truncated } else { Ended::PeerClosed });
        }
        answers += step.answer;
        if let Some(reason) = step.ends {
            return (answers, reason);
        }
        start += step.bytes.len();
    }
    (answers, Ended::PeerClosed)
}
