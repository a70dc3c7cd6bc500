//! The memory of a session, and when it stops reading.

use super::*;

/// Maximum unanswered data, plus a read or two; memory grows by doubling.
const BOUND: usize = 2 * (256 + 2 * 64) * 1024;

#[actix::test]
async fn the_data_of_a_new_session_is_never_kept() {
    let rig = Rig::new(|_| {});
    let (mut device, session) = rig.device_and_session(1000);
    for piece in send(&[0x40; 65_535]).chunks(999) {
        device.send(piece).await;
        at_rest().await;
        let held = session.held().unwrap_or(0);
        assert!(held < 100, "{held} bytes are held");
    }
    device.expect("send_failure").await;
}

#[actix::test]
async fn records_without_data_take_room() {
    for data in [&[][..], b"x", &[7; 1000], &[7; 65_535]] {
        let rig = Rig::new(|_| {});
        rig.store.never_answers();
        let (device, session) = rig.device_and_session(64 * 1024);
        let (mut from, mut to) = tokio::io::split(device.0);
        to.write_all(&auth(ID)).await.unwrap();
        from.read_exact(&mut [0; "auth_ok".len()]).await.unwrap();
        let sends = 4_000_000 / send(data).len();
        let stream = send(data).repeat(sends);
        let sending = actix_rt::spawn(async move { to.write_all(&stream).await.map(|()| to) });
        at_rest().await;
        let held = session.held().unwrap_or(0);
        assert!(!sending.is_finished(), "{} bytes of data: all was read, {held} bytes are held", data.len());
        assert!(held < BOUND, "{} bytes of data: {held} bytes are held", data.len());

        rig.store.answers(Ok(()));
        let mut answers = vec![0; sends * "send_ok".len()];
        let read = timeout(FOREVER, from.read_exact(&mut answers)).await;
        assert!(matches!(read, Ok(Ok(_))), "{read:?}");
        assert!(answers.chunks("send_ok".len()).all(|word| word == b"send_ok"));
        assert_eq!(rig.totals().stored, sends as u64);
        drop((sending.await.unwrap().unwrap(), from));
        rig.assert_ended(1, Ended::PeerClosed).await;
    }
}

#[actix::test]
async fn a_peer_that_does_not_read_is_not_read() {
    let rig = Rig::new(|_| {});
    let (device, session) = rig.device_and_session(64 * 1024);
    let (mut from, mut to) = tokio::io::split(device.0);
    let pings = 1_000_000;
    let sending = actix_rt::spawn(async move { to.write_all(&PING.repeat(pings)).await.map(|()| to) });
    at_rest().await;
    assert!(!sending.is_finished());
    let held = session.held().unwrap_or(0);
    assert!(held < BOUND, "{held} bytes are held");
    let mut answers = vec![0; pings * "pong".len()];
    let read = timeout(FOREVER, from.read_exact(&mut answers)).await;
    assert!(matches!(read, Ok(Ok(_))), "{read:?}");
    assert!(answers.chunks("pong".len()).all(|word| word == b"pong"));
    drop(sending.await.unwrap().unwrap());
}

#[actix::test]
async fn frame_and_idle_clocks_do_not_run_while_the_session_is_not_read() {
    let rig = Rig::new(|session| {
        session.idle_timeout = Some(Duration::from_secs(2));
        session.frame_timeout = Duration::from_secs(1);
    });
    rig.store.never_answers();
    let (mut from, mut to) = tokio::io::split(rig.authenticated(64 * 1024).await.0);
    let sends = 10;
    let frame = send(&[7; 60_000]);
    let stream = [&frame.repeat(sends), &frame[..100]].concat();
    let rest = frame[100..].to_vec();
    let sending = actix_rt::spawn(async move { to.write_all(&stream).await.map(|()| to) });
    at_rest().await;
    assert!(!sending.is_finished(), "the session is not read");
    sleep(STORE - Duration::from_secs(1)).await;
    rig.store.answers(Ok(()));
    let mut answers = vec![0; sends * "send_ok".len()];
    timeout(FOREVER, from.read_exact(&mut answers)).await.unwrap().expect("the session is there");
    // The half frame at the end has a clock now, and it has just begun.
    let mut to = sending.await.unwrap().unwrap();
    sleep(Duration::from_millis(900)).await;
    to.write_all(&rest).await.unwrap();
    from.read_exact(&mut [0; "send_ok".len()]).await.expect("the session is there");
}

#[actix::test]
async fn frames_that_wait_for_room_are_answered_when_the_server_stops() {
    let rig = Rig::new(|_| {});
    let mut device = rig.authenticated(1 << 20).await;
    rig.store.never_answers();
    let frame = send(&[b'x'; 1000]);
    device.send(&frame.repeat(400)).await;
    at_rest().await;
    stop_all();
    at_rest().await;
    rig.store.answers(Ok(()));
    let answered = device.rest().await.matches("send_ok").count();
    // Reads fill the room, at what they cost in memory, and what the last of them left over was received as well.
    assert!(answered >= 3 * 64 * 1024 / frame.len(), "only {answered} were answered");
    assert_eq!(answered, rig.store.records().len());
    rig.assert_ended(1, Ended::Shutdown).await;
}

/// One frame fills it.
const SMALL_BUDGET: usize = 1000;

#[actix::test]
async fn above_the_common_limit_only_sessions_with_nothing_unanswered_are_read() {
    let rig = Rig::with_budget(SMALL_BUDGET, |_| {});
    let mut busy = rig.authenticated(64 * 1024).await;
    let mut quiet = rig.device(64 * 1024);
    quiet.send(&auth("known 2")).await;
    quiet.expect("auth_ok").await;
    rig.store.never_answers();
    busy.send(&send(&[1; SMALL_BUDGET])).await;
    at_rest().await;
    assert!(!rig.budget.has_room());

    // A session that awaits an answer is not read.
    busy.send(&PING).await;
    busy.send(&send(b"later")).await;
    // Other sessions are read up to a SEND; later frames wait behind it.
    quiet.send(&[&PING[..], &PING, &send_as("known 2", b"first"), &PING].concat()).await;
    quiet.expect("pongpong").await;
    quiet.send(&send_as("known 2", &[2; 600])).await;
    at_rest().await;
    assert_eq!(rig.store.records(), [vec![1; SMALL_BUDGET]]);

    rig.store.answers(Ok(()));
    busy.expect("send_okpongsend_ok").await;
    quiet.expect("send_okpongsend_ok").await;
    assert_eq!(rig.budget.used(), 0);
    drop((busy, quiet));
    rig.assert_ended(2, Ended::PeerClosed).await;
}

#[actix::test]
async fn many_sessions_that_wait_for_the_budget_all_get_their_turn_within_the_limit() {
    const BUDGET: usize = 100_000;
    let rig = Rig::with_budget(BUDGET, |_| {});
    let mut devices = Vec::new();
    for number in 0..50 {
        let mut device = rig.device(64 * 1024);
        device.send(&auth(&format!("known {number}"))).await;
        device.expect("auth_ok").await;
        devices.push(device);
    }
    rig.store.never_answers();
    let data = [7; 20_000];
    for (number, device) in devices.iter_mut().enumerate() {
        device.send(&send_as(&format!("known {number}"), &data).repeat(3)).await;
    }
    at_rest().await;
    let held = rig.budget.used();
    assert!((BUDGET / 2..2 * BUDGET).contains(&held), "{held} bytes are held");
    rig.store.answers(Ok(()));
    for device in &mut devices {
        device.expect("send_oksend_oksend_ok").await;
    }
    assert_eq!(rig.store.records(), vec![data.to_vec(); 150]);
    drop(devices);
    rig.assert_ended(50, Ended::PeerClosed).await;
    assert_eq!(rig.budget.used(), 0);
}

#[actix::test]
async fn a_half_frame_that_waits_for_the_budget_has_no_clock() {
    let rig = Rig::with_budget(SMALL_BUDGET, |session| session.frame_timeout = Duration::from_secs(1));
    let mut busy = rig.authenticated(64 * 1024).await;
    let mut slow = rig.device(64 * 1024);
    slow.send(&auth("known 2")).await;
    slow.expect("auth_ok").await;
    rig.store.never_answers();
    busy.send(&send(&[1; SMALL_BUDGET])).await;
    at_rest().await;
    let frame = send_as("known 2", &[2; 60_000]);
    let (half, rest) = frame.split_at(20_000);
    slow.send(half).await;
    sleep(Duration::from_secs(20)).await;
    rig.store.answers(Ok(()));
    busy.expect("send_ok").await;
    slow.send(rest).await;
    slow.expect("send_ok").await;
    assert_eq!(rig.totals().sessions, 2);
}

#[actix::test]
async fn records_of_an_ended_session_take_room_until_they_are_stored() {
    let rig = Rig::with_budget(SMALL_BUDGET, |_| {});
    let mut device = rig.authenticated(64 * 1024).await;
    rig.store.never_answers();
    device.send(&send(&[1; SMALL_BUDGET])).await;
    at_rest().await;
    assert!(!rig.budget.has_room());
    let newer = rig.authenticated(100).await;
    assert_eq!(device.rest().await, "");
    rig.assert_one_of_two_ended(newer, Ended::Takeover).await;
    assert!(!rig.budget.has_room(), "the store holds it");
    rig.store.answers(Ok(()));
    at_rest().await;
    assert_eq!(rig.budget.used(), 0);
}
