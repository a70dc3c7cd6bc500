//! The client as a library: against a scripted server, and on pipes in memory that starve it.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use trap_server::client::{Device, Error, Event, Incoming};
use trap_server::protocol::{ClientId, Frame, Id, MAX_DATA, Mode, Reply};

use crate::script::Server;
use crate::{AUTH, COMMAND, PUBLISH, SEND};

#[tokio::test]
async fn the_conversation_of_the_original() {
    let server = Server::with(|mut peer| {
        peer.answer(AUTH, b"auth_ok");
        peer.answer(SEND, b"send_ok");
        peer.expect_end();
    });
    let mut device = Device::connect(server.addr).await.unwrap();
    assert_eq!(device.peer_addr().unwrap(), server.addr);
    assert!(matches!(device.send(b"hello").await, Err(Error::NotAuthenticated)));
    device.auth("client0012").await.unwrap();
    device.send(b"hello").await.unwrap();
    device.half_close().await.unwrap();
    device.closed().await.unwrap();
    server.finish();
}

#[tokio::test]
async fn each_call_sends_its_frame_and_takes_its_answer() {
    let server = Server::with(|mut peer| {
        peer.answer(b"\x40\x00", b"pong");
        peer.answer(b"\x41\x00", b"connect_ok");
        peer.answer(b"\x47\x00\x01\x02mex", b"send_ok");
        peer.answer(b"\x87\x00\x01\x02mex", b"send_ok");
        peer.answer(b"\x4a\x00\x01\x03youx", b"pub_ok");
        peer.answer(b"\x4e\x00\x01\x02c1x", b"");
        peer.answer(b"\x4f\x00\x01\x02c1x", b"");
    });
    let mut device = Device::connect(server.addr).await.unwrap();
    device.ping().await.unwrap();
    device.request_session().await.unwrap();
    device.send_as("me", b"x").await.unwrap();
    device.send_once("me", b"x").await.unwrap();
    device.publish("you", b"x").await.unwrap();
    device.command_ok("c1", b"x").await.unwrap();
    device.command_failure("c1", b"x").await.unwrap();
    server.finish();
}

#[tokio::test]
async fn a_refusal_differs_from_an_unexpected_answer() {
    let server = Server::with(|mut peer| {
        peer.answer(b"\x41\x00", b"connect_failure");
        peer.answer(b"\x4a\x00\x00\x03you", b"pub_failure");
        peer.answer(b"\x40\x00", b"send_failure");
        peer.answer(b"\x40\x00", b"protocol_error");
        peer.answer(AUTH, b"auth_failure");
    });
    let mut device = Device::connect(server.addr).await.unwrap();
    assert!(matches!(device.request_session().await, Err(Error::Refused(Reply::ConnectFailure))));
    assert!(matches!(device.publish("you", b"").await, Err(Error::Refused(Reply::PubFailure))));
    let err = device.ping().await.unwrap_err();
    assert_eq!(err.to_string(), "expected pong, the server sent send_failure");
    assert!(matches!(device.ping().await, Err(Error::Refused(Reply::ProtocolError))));
    assert!(matches!(device.auth("client0012").await, Err(Error::Refused(Reply::AuthFailure))));
    device.closed().await.unwrap();
    server.finish();
}

#[tokio::test]
async fn events_between_words_keep_their_order() {
    let server = Server::with(|mut peer| {
        peer.answer(b"\x40\x00", &[PUBLISH, COMMAND, b"pong", COMMAND, b"send_ok", PUBLISH].concat());
    });
    let mut device = Device::connect(server.addr).await.unwrap();
    device.ping().await.unwrap();
    assert_eq!(device.event().await.unwrap(), published());
    assert_eq!(device.next().await.unwrap(), Some(Incoming::Event(commanded())));
    assert_eq!(device.reply().await.unwrap(), Reply::SendOk);
    assert_eq!(device.event().await.unwrap(), commanded());
    assert_eq!(device.next().await.unwrap(), Some(Incoming::Event(published())));
    assert_eq!(device.next().await.unwrap(), None);
    let err = device.reply().await.unwrap_err();
    assert_eq!(err.to_string(), "the server closed the connection before a reply");
    server.finish();
}

#[tokio::test]
async fn words_are_kept_while_a_call_waits_for_an_event() {
    let server = Server::with(|mut peer| peer.say(&[b"pongsend_ok", PUBLISH].concat()));
    let mut device = Device::connect(server.addr).await.unwrap();
    assert_eq!(device.event().await.unwrap(), published());
    assert_eq!(device.next().await.unwrap(), Some(Incoming::Reply(Reply::Pong)));
    assert_eq!(device.reply().await.unwrap(), Reply::SendOk);
    server.finish();
}

#[tokio::test]
async fn more_than_the_bound_is_not_kept_and_not_lost() {
    let server = Server::with(|mut peer| {
        peer.say(&PUBLISH.repeat(Device::MAX_KEPT + 1));
        peer.say(b"pong");
    });
    let mut device = Device::connect(server.addr).await.unwrap();
    assert!(matches!(device.reply().await, Err(Error::Unread { kept: Device::MAX_KEPT, .. })));
    assert!(matches!(device.reply().await, Err(Error::Unread { .. })));
    for _ in 0..=Device::MAX_KEPT {
        assert_eq!(device.event().await.unwrap(), published());
    }
    assert_eq!(device.reply().await.unwrap(), Reply::Pong);
    server.finish();
}

#[tokio::test]
async fn the_last_word_outlives_a_broken_pipe() {
    let (near, mut far) = duplex(64);
    far.write_all(b"auth_failure").await.unwrap();
    drop(far);
    let mut device = Device::over(near);
    assert!(matches!(device.ping().await, Err(Error::Refused(Reply::AuthFailure))));
    assert!(matches!(device.ping().await, Err(Error::Io(_))));
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let (near, _far) = duplex(4);
    let mut device = Device::over(near).with_deadline(Duration::from_millis(20));
    let err = device.ping().await.unwrap_err();
    assert_eq!(err.to_string(), "timed out after 20ms waiting for pong");
    assert!(matches!(device.next().await, Err(Error::Deadline { .. })));
    assert!(matches!(soon(device.closed()).await, Err(Error::Deadline { .. })));
    let err = device.write_raw(&[0; 5]).await.unwrap_err();
    assert_eq!(err.to_string(), "timed out after 20ms waiting for the server to read");
}

#[tokio::test]
async fn an_invalid_answer_is_reported_each_time() {
    let (near, mut far) = duplex(64);
    far.write_all(b"pongHTTP").await.unwrap();
    let mut device = Device::over(near);
    assert_eq!(device.reply().await.unwrap(), Reply::Pong);
    assert!(matches!(device.reply().await, Err(Error::NotAnAnswer(_))));
    assert!(matches!(device.next().await, Err(Error::NotAnAnswer(_))));
}

#[tokio::test]
async fn an_end_in_the_middle_is_an_error() {
    let (near, mut far) = duplex(64);
    far.write_all(b"pongauth_").await.unwrap();
    drop(far);
    let mut device = Device::over(near);
    let err = device.closed().await.unwrap_err();
    assert_eq!(err.to_string(), "expected the end of the connection, the server sent pong");
    assert!(matches!(device.closed().await, Err(Error::Truncated { got: 5 })));
}

#[tokio::test]
async fn data_too_long_for_a_frame_is_not_sent() {
    let (near, mut far) = duplex(64);
    let mut device = Device::over(near);
    assert!(matches!(device.auth("").await, Err(Error::BadId(_))));
    assert!(matches!(device.publish("you", &[0; MAX_DATA + 1]).await, Err(Error::DataTooLong(_))));
    device.write(&Frame::Ping).await.unwrap();
    drop(device);
    let mut sent = Vec::new();
    far.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, b"\x40\x00");
}

#[tokio::test]
async fn a_dropped_next_has_lost_nothing() {
    let (near, mut far) = duplex(1);
    let mut device = Device::over(near);
    let bytes = [PUBLISH, b"auth_ok", COMMAND, b"auth_failure"].concat();
    let (last, bytes) = bytes.split_last().unwrap();
    let mut seen = Vec::new();
    for byte in bytes {
        far.write_all(&[*byte]).await.unwrap();
        tokio::select! {
            biased;
            incoming = device.next() => seen.push(incoming.unwrap().unwrap()),
            () = std::future::ready(()) => {}
        }
    }
    far.write_all(&[*last]).await.unwrap();
    seen.push(device.next().await.unwrap().unwrap());
    let words = [Reply::AuthOk, Reply::AuthFailure].map(Incoming::Reply);
    let events = [published(), commanded()].map(Incoming::Event);
    assert_eq!(seen, [&events[0], &words[0], &events[1], &words[1]].map(Clone::clone));
}

#[tokio::test]
async fn a_dropped_write_is_finished_by_what_follows() {
    let (near, mut far) = duplex(4);
    let mut device = Device::over(near);
    let client = Id::try_from("client0012").unwrap();
    let frame = Frame::Send { mode: Mode::Session, client, data: b"hello" };
    for _ in 0..2 {
        tokio::select! {
            biased;
            _ = device.write(&frame) => unreachable!("a pipe of 4 bytes does not take a frame of 19"),
            () = std::future::ready(()) => {}
        }
    }
    let mut sent = [0; SEND.len()];
    let (_, reply) = tokio::join!(
        soon(async {
            far.read_exact(&mut sent).await.unwrap();
            far.write_all(b"send_ok").await.unwrap();
        }),
        device.reply(),
    );
    assert_eq!(reply.unwrap(), Reply::SendOk);
    assert_eq!(sent, SEND);
    device.write(&Frame::Ping).await.unwrap();
    drop(device);
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"\x40\x00", "the second write was dropped before it began");
}

#[tokio::test]
async fn a_write_reads_while_the_server_cannot() {
    let (near, mut far) = duplex(16);
    let mut device = Device::over(near);
    let words = "pong".repeat(100);
    let (write, ()) = tokio::join!(
        device.write_raw(&[0; 100]),
        soon(async {
            far.write_all(words.as_bytes()).await.unwrap();
            far.read_exact(&mut [0; 100]).await.unwrap();
        }),
    );
    write.unwrap();
    for _ in 0..100 {
        assert_eq!(device.reply().await.unwrap(), Reply::Pong);
    }
}

/// Makes a test that would hang fail.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("the other end does its part")
}

fn published() -> Event {
    Event::Publish { from: ClientId::try_from("other").unwrap(), data: Bytes::from_static(b"data") }
}

fn commanded() -> Event {
    Event::Command { id: "c1".into(), data: Bytes::from_static(b"up") }
}
