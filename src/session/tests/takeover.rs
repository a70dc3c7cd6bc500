//! Takeovers and stops at the least convenient moment.

use super::*;

#[actix::test]
async fn a_session_that_was_taken_over_sends_nothing_even_if_the_store_answers_now() {
    let rig = Rig::new(|_| {});
    rig.store.never_answers();
    let (mut older, mut newer) = (rig.authenticated(100).await, rig.device(100));
    older.send(&send(b"held")).await;
    at_rest().await;
    older.send(&[&send(b"not held")[..], &PING].concat()).await;
    at_rest().await;
    newer.send(&auth(ID)).await;
    newer.expect("auth_ok").await;
    // Both events wake the session in the same turn.
    rig.store.answers(Ok(()));
    assert_eq!(older.rest().await, "");
    assert_eq!(rig.store.records(), [b"held"]);
    rig.assert_one_of_two_ended(newer, Ended::Takeover).await;
}

#[actix::test]
async fn a_session_that_loses_its_id_before_its_auth_ok_sends_nothing() {
    let rig = Rig::new(|_| {});
    let first = rig.authenticated(100).await;
    rig.known.send_replace(false);
    let mut others = [rig.device(100), rig.device(100)];
    for other in &mut others {
        other.send(&[&auth(ID)[..], &PING].concat()).await;
        at_rest().await;
    }
    // Both ask the registry, which answers both before one of them gets its turn.
    rig.known.send_replace(true);
    at_rest().await;
    assert_eq!((rig.totals().ended(Ended::Takeover), rig.open.count()), (2, 1));
    let mut told = Vec::new();
    for mut other in others {
        let mut got = [0; 100];
        let len = other.0.read(&mut got).await.unwrap();
        told.push(String::from_utf8_lossy(&got[..len]).into_owned());
    }
    told.sort();
    assert_eq!(told, ["", "auth_okpong"]);
    drop(first);
}

#[actix::test]
async fn a_server_that_stops_answers_all_received_frames() {
    let rig = Rig::new(|_| {});
    let mut device = rig.authenticated(100).await;
    let mut idle = rig.device(100);
    idle.send(&PING).await;
    idle.expect("pong").await;
    rig.store.never_answers();
    // No other task runs between these steps.
    device.send(&[&send(b"a")[..], &bytes(Frame::Connect), &[0x40]].concat()).await;
    stop_all();
    at_rest().await;
    rig.store.answers(Ok(()));
    assert_eq!(device.rest().await, "send_okconnect_failure");
    assert_eq!(idle.rest().await, "");
    drop((device, idle));
    rig.assert_ended(2, Ended::Shutdown).await;
}

#[actix::test]
async fn a_session_that_a_stop_cuts_off_has_not_crashed() {
    for (stops, reason) in [(true, Ended::Shutdown), (false, Ended::Crashed)] {
        let rig = Rig::new(|_| {});
        let (near, far) = duplex(100);
        let session = actix_rt::spawn(rig.session(far));
        let mut device = Peer(near);
        device.send(&PING).await;
        device.expect("pong").await;
        if stops {
            stop_all();
        }
        // It gets no turn any more.
        session.abort();
        rig.assert_ended(1, reason).await;
    }
}
