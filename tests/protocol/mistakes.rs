//! What a device may not send: the answer comes with the first byte that shows it, in every state of the session.

use trap_server::stats::Ended;

use crate::ID;
use crate::common::raw::{PING, auth, send, with_data};
use crate::common::{TestServer, eventually};
use crate::scenario::{MAX_FRAME, Step, frame, mistake, play, server};

/// Each mistake alone, and on an authenticated session with something before it.
async fn play_everywhere(server: &TestServer, mistakes: impl IntoIterator<Item = Step>) {
    let hello = [frame(PING, "pong"), frame(auth(ID), "auth_ok"), frame(send(ID, "hello"), "send_ok")];
    let rows = mistakes.into_iter().flat_map(|mistake| {
        let authenticated = hello.iter().cloned().chain([mistake.clone()]).collect();
        [vec![mistake], authenticated]
    });
    play(server, &rows.collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn modes_and_types_that_do_not_exist() {
    let first_bytes = [0x01, 0x3f, 0x42, 0x4d, 0x7f, 0x80, 0x84, 0xc0, 0xff];
    play_everywhere(&server("types"), first_bytes.map(|byte| mistake([byte, 0, 0], 1))).await;
}

#[tokio::test]
async fn every_first_byte() {
    const FRAMES: [u8; 8] = [0x40, 0x41, 0x44, 0x47, 0x4a, 0x4e, 0x4f, 0x87];
    let server = server("first-bytes");
    for authenticated in [false, true] {
        for byte in 0..=0xff {
            let before = server.totals();
            let mut raw = server.raw().await;
            if authenticated {
                raw.send(auth(ID)).await;
                raw.expect("auth_ok").await;
            }
            raw.send([byte]).await;
            raw.half_close().await;
            let (answer, reason) = match byte {
                0 => ("", Ended::PeerClosed),
                byte if FRAMES.contains(&byte) => ("", Ended::Truncated),
                _ => ("protocol_error", Ended::ProtocolError),
            };
            raw.expect_last(answer).await;
            drop(raw);
            eventually("the session has ended", || server.open.count() == 0).await;
            let ended = server.totals().ended(reason) - before.ended(reason);
            assert_eq!(ended, 1, "0x{byte:02x} ends with {reason}");
        }
    }
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn ids_of_the_wrong_length() {
    let mistakes = [
        mistake([0x44, 0, 0, 0x40], 3),
        mistake([0x44, 1, 0, b'x'], 2),
        mistake([0x44, 0xff, 0xff, b'x'], 2),
        mistake([0x47, 0, 1, 0, b'x'], 4),
        mistake([0x87, 0, 1, 0, b'x'], 4),
        mistake([0x4a, 0, 1, 0, b'x'], 4),
        mistake([0x4e, 0, 1, 0, b'x'], 4),
        mistake([0x4f, 0, 0, 0], 4),
    ];
    play_everywhere(&server("id-lengths"), mistakes).await;
}

#[tokio::test]
async fn ids_that_are_no_text() {
    // Each with the bytes of it that are enough.
    let ids: [(&[u8], usize); 9] = [
        (b"\xff", 1),
        (b"x\xc3", 2),
        (b"a\xc0\x80", 2),
        (b"a\nb", 2),
        (b"\0", 1),
        (b"\0client0012", 1),
        (b"a\xe2\x82", 2),
        (b"x\x7f", 2),
        ("x\u{85}".as_bytes(), 3),
    ];
    let in_auth = ids.map(|(id, decided)| mistake(auth(id), 3 + decided));
    // The id is wrong before its data is there.
    let with_data = [0x47, 0x87, 0x4a, 0x4e, 0x4f]
        .map(|first| mistake(with_data(first, b"x\xff", "hello"), 4 + b"x\xff".len()));
    play_everywhere(&server("no-text"), in_auth.into_iter().chain(with_data)).await;
}

#[tokio::test]
async fn requests_of_http() {
    let server = TestServer::start("http", |_| {});
    for request in ["GET / HTTP/1.0\r\n\r\n", "OPTIONS / HTTP/1.0\r\n\r\n", "POST / HTTP/1.0\r\n\r\n"] {
        let mut raw = server.raw().await;
        raw.send(request).await;
        raw.expect_last("protocol_error").await;
    }
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn data_longer_than_allowed() {
    let [high, low] = u16::try_from(MAX_FRAME + 1).unwrap().to_be_bytes();
    let mistakes = [0x47, 0x87, 0x4a, 0x4e, 0x4f].map(|first| mistake([first, high, low, 1, b'x'], 3));
    play_everywhere(&server("too-long"), mistakes).await;
}

#[tokio::test]
async fn a_one_shot_on_a_session() {
    let one_shot = with_data(0x87, ID, "hello");
    let known_at = one_shot.len() - "hello".len();
    let rows = [
        vec![frame(auth(ID), "auth_ok"), mistake(one_shot, known_at)],
        vec![frame(auth(ID), "auth_ok"), mistake(with_data(0x87, ID, ""), known_at)],
        vec![frame(auth(ID), "auth_ok"), mistake(with_data(0x87, "abc", ""), 7)],
    ];
    play(&server("one-shot"), &rows).await;
}
