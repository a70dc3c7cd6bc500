//! Limits on the rates of a session: it is read later, and nothing is lost.

use super::*;

/// How many answers of this length come within this time.
async fn answers_within(device: &mut Peer, time: Duration, answer: &str) -> usize {
    let mut got = Vec::new();
    let _ = timeout(time, device.0.read_to_end(&mut got)).await;
    assert!(got.chunks(answer.len()).all(|one| one == answer.as_bytes()), "{got:?}");
    got.len() / answer.len()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[actix::test]
async fn as_many_frames_are_answered_as_the_rate_says() {
    let rig = Rig::new(|settings| settings.messages_per_second = Some(50));
    let mut device = rig.authenticated(64 * 1024).await;
    device.send(&PING.repeat(1000)).await;
    // A second's worth at once, of which the AUTH was one, and the rate from then on.
    let first = answers_within(&mut device, Duration::from_millis(10), "pong").await;
    assert_eq!(first, 49);
    let next = answers_within(&mut device, secs(10), "pong").await;
    // Pauses end on the common timer of the thread.
    assert!((498..=502).contains(&next), "{next}");
    let rest = answers_within(&mut device, secs(30), "pong").await;
    assert_eq!(first + next + rest, 1000);
    // It may be silent, and then send as many at once.
    device.send(&PING.repeat(50)).await;
    assert_eq!(answers_within(&mut device, Duration::from_millis(10), "pong").await, 50);
    drop(device);
    rig.assert_ended(1, Ended::PeerClosed).await;
}

#[actix::test]
async fn as_many_bytes_are_taken_as_the_rate_says() {
    let rig = Rig::new(|settings| {
        settings.bytes_per_second = Some(10_000);
        settings.idle_timeout = Some(Duration::from_secs(2));
        settings.frame_timeout = Duration::from_secs(1);
    });
    let mut device = rig.authenticated(1 << 20).await;
    let frame = send(&[7; 989]);
    assert_eq!(frame.len(), 1000);
    // The pauses count neither as idle nor as a slow frame.
    device.send(&frame.repeat(200)).await;
    let stored = answers_within(&mut device, secs(10), "send_ok").await;
    assert!((108..=112).contains(&stored), "{stored}");
    assert_eq!(stored + answers_within(&mut device, secs(10), "send_ok").await, 200);
    assert_eq!(rig.store.records().len(), 200);
    drop(device);
    timeout(FOREVER, rig.open.none()).await.unwrap();
}

#[actix::test]
async fn a_session_that_waits_for_its_rate_notices_new_settings_and_a_stop() {
    let rig = Rig::new(|settings| settings.messages_per_second = Some(1));
    let mut device = rig.authenticated(64 * 1024).await;
    device.send(&PING.repeat(100)).await;
    let slow = answers_within(&mut device, secs(3), "pong").await;
    assert!((2..=3).contains(&slow), "{slow}");
    host::configure(config::Session { messages_per_second: Some(2), ..config::Session::default() });
    let faster = answers_within(&mut device, secs(10), "pong").await;
    assert!((19..=22).contains(&faster), "{faster}");
    host::stop_all();
    let left = "pong".repeat(100 - slow - faster);
    assert_eq!(device.rest().await, left);
    rig.assert_ended(1, Ended::Shutdown).await;
}
