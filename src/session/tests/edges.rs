//! Peers that exceed their share, or leave while they wait.

use super::*;
use crate::config::Session as Settings;

const BUDGET: usize = 100_000;

/// A rig whose budget is used up by a SEND that waits for the store.
async fn short_of_room(change: impl FnOnce(&mut Settings)) -> (Rig, Peer) {
    let rig = Rig::with_budget(BUDGET, change);
    rig.store.never_answers();
    let mut busy = rig.device(1 << 20);
    busy.send(&[auth("known busy"), send_as("known busy", &[1; 60_000]).repeat(2)].concat()).await;
    busy.expect("auth_ok").await;
    at_rest().await;
    assert!(!rig.budget.has_room());
    (rig, busy)
}

#[actix::test]
async fn a_half_close_discards_no_whole_frame_that_waits_for_room() {
    let (rig, mut busy) = short_of_room(|_| {}).await;
    let mut device = rig.authenticated(64 * 1024).await;
    device.send(&[send(b"a"), send(b"b")].concat()).await;
    at_rest().await;
    device.0.shutdown().await.unwrap();
    at_rest().await;
    rig.store.answers(Ok(()));
    assert_eq!(device.rest().await, "send_oksend_ok");
    busy.expect("send_oksend_ok").await;
    let stored = rig.store.records();
    assert!(stored.contains(&b"a".to_vec()) && stored.contains(&b"b".to_vec()));
}

#[actix::test]
async fn the_wait_for_room_times_out() {
    let (rig, _busy) = short_of_room(|_| {}).await;
    let mut device = rig.authenticated(64 * 1024).await;
    let half = &send(&[7; 60_000])[..400];
    device.send(&[&send(b"a")[..], &PING, &send(b"b"), half].concat()).await;
    at_rest().await;
    sleep(ROOM - Duration::from_secs(2)).await;
    let (_, held) = (rig.totals(), rig.budget.used());
    assert!(held >= BUDGET, "the store gives up later");
    device.expect("send_failurepongsend_failure").await;
    device.send(&vec![7; send(&[7; 60_000]).len() - half.len()]).await;
    device.expect("send_failure").await;
    device.send(&PING).await;
    device.expect("pong").await;
}

#[actix::test]
async fn a_stranger_that_does_not_read_holds_a_few_kilobytes() {
    const CONNECT: [u8; 2] = [0x41, 0];
    let rig = Rig::new(|_| {});
    let (device, session) = rig.device_and_session(4096);
    let (_from, mut to) = tokio::io::split(device.0);
    let sending = actix_rt::spawn(async move { to.write_all(&CONNECT.repeat(100_000)).await });
    at_rest().await;
    let held = session.held().unwrap_or(0);
    assert!((1000..16_000).contains(&held), "{held} bytes are held");
    assert!(rig.strangers.used() >= held - work::SIP && rig.budget.used() == 0);
    rig.assert_ended(1, Ended::AuthTimeout).await;
    assert_eq!(rig.strangers.used(), 0);
    drop(sending);
}

#[actix::test]
async fn strangers_that_use_up_their_memory_do_not_affect_others() {
    let rig = Rig::with_budget(BUDGET, |_| {});
    let held = rig.strangers.hold(BUDGET);
    assert!(!rig.strangers.has_room());
    let mut device = rig.device(64 * 1024);
    device.send(&[&PING[..], &auth(ID), &send(b"a")].concat()).await;
    device.expect("pongauth_oksend_ok").await;
    let mut once = rig.device(64 * 1024);
    once.send(&one_shot(ID)).await;
    at_rest().await;
    assert_eq!(rig.store.records(), [b"a"]);
    drop(held);
    once.expect("send_ok").await;
}

#[actix::test]
async fn an_idle_session_owns_nothing_with_an_idle_timeout_too() {
    let rig = Rig::new(|session| session.idle_timeout = Some(Duration::from_secs(60)));
    let (mut device, session) = rig.device_and_session(64 * 1024);
    device.send(&[&auth(ID)[..], &send(&[7; 60_000]), &PING].concat()).await;
    device.expect("auth_oksend_okpong").await;
    at_rest().await;
    assert_eq!(session.held(), None);
    rig.assert_ended(1, Ended::IdleTimeout).await;
}

#[actix::test]
async fn a_flood_waits_for_its_turn_like_other_sessions() {
    const PINGS: usize = 2_000_000;
    let rig = Rig::new(|_| {});
    let (mut from, mut to) = tokio::io::split(rig.authenticated(4 * PINGS).await.0);
    let mut healthy = rig.device(100);
    healthy.send(&auth("known 2")).await;
    healthy.expect("auth_ok").await;
    let before = rig.totals().frames;
    // The pipe takes all of it in one write, so no other task runs before.
    to.write_all(&PING.repeat(PINGS)).await.unwrap();
    // A task like the sessions.
    let healthy = actix_rt::spawn(async move {
        healthy.send(&PING).await;
        healthy.expect("pong").await;
    });
    healthy.await.unwrap();
    let frames = rig.totals().frames - before;
    assert!(frames < PINGS as u64, "all of the flood came first");
    let mut answers = vec![0; PINGS * "pong".len()];
    timeout(FOREVER, from.read_exact(&mut answers)).await.unwrap().unwrap();
}
