//! Every deadline of a session, to the millisecond.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::time::{Instant, advance};

use super::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The last answers arrive after this time, not before.
async fn last_words(since: Instant, device: &mut Peer, answers: &str, after: Duration) {
    device.expect(answers).await;
    assert_eq!(device.rest().await, "");
    assert_near(since, after);
}

/// The timers of tokio have a grain of a millisecond, and `at_rest` takes one.
fn assert_near(since: Instant, after: Duration) {
    let elapsed = since.elapsed();
    assert!((after..after + Duration::from_millis(50)).contains(&elapsed), "{elapsed:?}, not {after:?}");
}

#[actix::test]
async fn no_auth_in_time_even_with_half_a_frame() {
    let halves = [&[][..], &[0x40], &auth(ID)[..9], &send(b"skipped")[..13], &one_shot(ID)[..14], &[0]];
    for half in halves {
        let rig = Rig::new(|_| {});
        let since = Instant::now();
        let mut device = rig.device(100);
        sleep(secs(2)).await;
        // A PING does not extend the time.
        device.send(&[&PING, half].concat()).await;
        device.expect("pong").await;
        last_words(since, &mut device, "auth_failure", secs(3)).await;
        drop(device);
        rig.assert_ended(1, Ended::AuthTimeout).await;
    }
}

#[actix::test]
async fn a_look_up_has_a_deadline_of_its_own() {
    for frame in [auth(ID), one_shot(ID)] {
        let rig = Rig::new(|_| {});
        rig.known.send_replace(false);
        let mut device = rig.device(100);
        sleep(Duration::from_millis(2900)).await;
        let since = Instant::now();
        device.send(&[&frame[..], &PING].concat()).await;
        let answer = if frame[0] == 0x44 { "auth_failure" } else { "send_failure" };
        last_words(since, &mut device, answer, LOOK_UP + REGISTRY).await;
        drop(device);
        rig.assert_ended(1, Ended::AuthFailure).await;
    }
}

#[actix::test]
async fn a_complete_auth_stops_the_auth_timeout() {
    let rig = Rig::new(|_| {});
    rig.known.send_replace(false);
    let mut device = rig.device(100);
    sleep(Duration::from_millis(2900)).await;
    device.send(&auth(ID)).await;
    sleep(secs(4)).await;
    rig.known.send_replace(true);
    device.expect("auth_ok").await;
    sleep(secs(1000)).await;
    device.send(&send(b"hello")).await;
    device.expect("send_ok").await;
    drop(device);
    rig.assert_ended(1, Ended::PeerClosed).await;
}

#[actix::test]
async fn a_frame_begun_must_be_finished() {
    for half in [&[0x40][..], &[0x4a, 0], &send(b"hello")[..15]] {
        let rig = Rig::new(|_| {});
        let mut device = rig.authenticated(100).await;
        sleep(secs(60)).await;
        let since = Instant::now();
        device.send(half).await;
        last_words(since, &mut device, "protocol_error", secs(5)).await;
        drop(device);
        rig.assert_ended(1, Ended::FrameTimeout).await;
    }
}

#[actix::test]
async fn the_clock_of_a_frame_starts_at_its_own_first_byte() {
    let rig = Rig::new(|_| {});
    let mut device = rig.authenticated(100).await;
    let frame = send(b"hello");
    device.send(&frame[..1]).await;
    sleep(secs(4)).await;
    let since = Instant::now();
    device.send(&[&frame[1..], &frame[..1]].concat()).await;
    device.expect("send_ok").await;
    // A byte now and then does not extend the time either.
    for byte in &frame[1..5] {
        sleep(secs(1)).await;
        device.send(&[*byte]).await;
    }
    last_words(since, &mut device, "protocol_error", secs(5)).await;
    drop(device);
    rig.assert_ended(1, Ended::FrameTimeout).await;
}

#[actix::test]
async fn a_frame_begun_behind_an_auth_has_its_clock_too() {
    let rig = Rig::new(|_| {});
    let mut device = rig.device(100);
    let since = Instant::now();
    device.send(&[&auth(ID)[..], &[0x40]].concat()).await;
    device.expect("auth_ok").await;
    last_words(since, &mut device, "protocol_error", secs(5)).await;
}

#[actix::test]
async fn padding_begins_no_frame() {
    let rig = Rig::new(|_| {});
    let mut device = rig.authenticated(100).await;
    device.send(&[0; 3]).await;
    sleep(secs(1000)).await;
    device.send(&PING).await;
    device.expect("pong").await;
}

#[actix::test]
async fn silence_ends_a_session_if_idle_timeout_is_set() {
    let rig = Rig::new(|session| session.idle_timeout = Some(secs(20)));
    let mut device = rig.authenticated(100).await;
    for _ in 0..3 {
        sleep(secs(19)).await;
        device.send(&PING).await;
        device.expect("pong").await;
    }
    sleep(secs(19)).await;
    let since = Instant::now();
    device.send(&[0]).await;
    last_words(since, &mut device, "", secs(20)).await;
    drop(device);
    rig.assert_ended(1, Ended::IdleTimeout).await;
}

#[actix::test]
async fn a_session_is_idle_from_its_auth_on() {
    let rig = Rig::new(|session| session.idle_timeout = Some(secs(1)));
    let mut device = rig.device(100);
    let since = Instant::now();
    device.send(&PING).await;
    device.expect("pong").await;
    last_words(since, &mut device, "auth_failure", secs(3)).await;
    let since = Instant::now();
    let mut device = rig.authenticated(100).await;
    last_words(since, &mut device, "", secs(1)).await;
}

#[actix::test]
async fn a_store_that_never_answers_times_out() {
    let rig = Rig::new(|_| {});
    rig.store.never_answers();
    let mut device = rig.authenticated(100).await;
    let since = Instant::now();
    device.send(&[&PING[..], &send(b"a"), &PING].concat()).await;
    device.expect("pong").await;
    assert_near(since, Duration::ZERO);
    device.expect("send_failurepong").await;
    assert_near(since, STORE);
    rig.store.answers(Ok(()));
    device.send(&send(b"b")).await;
    device.expect("send_ok").await;
}

#[actix::test]
async fn the_last_words_wait_for_the_store_and_no_longer() {
    let rig = Rig::new(|_| {});
    rig.store.never_answers();
    let mut device = rig.authenticated(100).await;
    let since = Instant::now();
    device.send(&send(b"a")).await;
    at_rest().await;
    // The store holds the first SEND, so the second waits.
    device.send(&[&send(b"b")[..], &[0xc0]].concat()).await;
    last_words(since, &mut device, "send_failuresend_failureprotocol_error", secs(30)).await;
    rig.assert_ended(1, Ended::ProtocolError).await;
    assert_eq!((rig.totals().not_stored, rig.store.records()), (2, vec![b"a".to_vec()]));
}

#[actix::test]
async fn a_slow_store_does_not_end_a_session() {
    let rig = Rig::new(|_| {});
    rig.store.never_answers();
    let mut closes = rig.authenticated(100).await;
    closes.send(&send(b"a")).await;
    closes.0.shutdown().await.unwrap();
    let mut once = rig.device(100);
    once.send(&one_shot(ID)).await;
    sleep(secs(20)).await;
    rig.store.answers(Ok(()));
    closes.expect("send_ok").await;
    once.expect("send_ok").await;
    drop((closes, once));
    rig.assert_ended(1, Ended::PeerClosed).await;
    assert_eq!(rig.totals().ended(Ended::OneShot), 1);
}

#[actix::test]
async fn a_session_that_awaits_an_answer_is_not_idle() {
    let rig = Rig::new(|session| session.idle_timeout = Some(secs(1)));
    rig.store.never_answers();
    let mut device = rig.authenticated(100).await;
    device.send(&send(b"a")).await;
    sleep(secs(5)).await;
    let since = Instant::now();
    rig.store.answers(Ok(()));
    last_words(since, &mut device, "send_ok", secs(1)).await;
    rig.assert_ended(1, Ended::IdleTimeout).await;
}

#[actix::test]
async fn a_session_that_has_sent_its_last_word_does_not_keep_its_id() {
    let rig = Rig::new(|session| session.duplicate = config::Duplicate::Reject);
    let mut older = rig.authenticated(100).await;
    older.send(&[0xc0]).await;
    older.expect("protocol_error").await;
    let newer = rig.authenticated(100).await;
    assert_eq!(rig.totals().authenticated, 1);
    drop((older, newer));
    rig.assert_ended(1, Ended::ProtocolError).await;
}

#[actix::test]
async fn a_peer_that_does_not_close_is_not_waited_for() {
    let rig = Rig::new(|_| {});
    let mut device = rig.device(100);
    let since = Instant::now();
    device.send(&[0xc0]).await;
    device.expect("protocol_error").await;
    // Bytes that arrive later are discarded.
    device.send(&PING.repeat(1000)).await;
    rig.assert_ended(1, Ended::ProtocolError).await;
    assert_near(since, secs(1));
    assert_eq!(device.rest().await, "");
}

#[actix::test]
async fn a_peer_that_does_not_read_is_closed_after_the_write_timeout() {
    let rig = Rig::new(|_| {});
    let mut device = rig.authenticated(10).await;
    let since = Instant::now();
    device.send(&PING.repeat(10)).await;
    // A peer that reads a little gets more time.
    sleep(secs(9)).await;
    device.expect("pong").await;
    rig.assert_ended(1, Ended::WriteTimeout).await;
    assert_near(since, secs(19));
}

#[actix::test]
async fn deadlines_apply_to_a_busy_session_too() {
    const PIPE: usize = 1 << 20;
    let rig = Rig::new(|_| {});
    let (mut from, mut to) = tokio::io::split(rig.device(PIPE).0);
    // A task like the session: they take turns, and the pipe is full whenever it is the session's.
    let flood = actix_rt::spawn(async move {
        for _ in 0..60 {
            if to.write_all(&vec![0; PIPE]).await.is_err() {
                break;
            }
            // Its first poll moves the clock; the others would let the session have all the time it needs.
            let _ = poll_fn(|cx| Poll::Ready(pin!(advance(Duration::from_millis(500))).poll(cx))).await;
        }
    });
    let mut got = Vec::new();
    let read = timeout(FOREVER, from.read_to_end(&mut got)).await;
    assert!(matches!(read, Ok(Ok(_))), "{read:?}");
    assert!(!flood.is_finished(), "the session has waited for the flood to end");
    assert_eq!(got, b"auth_failure");
}
