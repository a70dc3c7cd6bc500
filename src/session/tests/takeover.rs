//! Sessions that end without having done anything.

use super::*;
use crate::registry::Kick;
use crate::supervisor::spawn;

fn kick() -> Kick {
    Kick { by: ([192, 0, 2, 2], 8).into() }
}

#[actix::test]
async fn a_session_that_was_taken_over_is_told_nothing_even_if_the_store_answers_now() {
    let rig = Rig::new(|_| {});
    rig.store.never_answers();
    let (mut device, session) = rig.device_and_session(100);
    device.send(&[auth(ID), send(b"held")].concat()).await;
    device.expect("auth_ok").await;
    at_rest().await;
    device.send(&[&send(b"not held")[..], &PING].concat()).await;
    at_rest().await;
    // Both events wake the session in the same turn.
    session.do_send(kick());
    rig.store.answers(Ok(()));
    assert_eq!(device.rest().await, "");
    assert_eq!(rig.store.records(), [b"held"]);
    rig.assert_ended(1, Ended::Takeover).await;
}

#[actix::test]
async fn a_session_can_be_taken_over_while_it_is_looked_up() {
    let rig = Rig::new(|_| {});
    rig.known.send_replace(false);
    let (mut device, session) = rig.device_and_session(100);
    device.send(&[&auth(ID)[..], &PING].concat()).await;
    at_rest().await;
    session.do_send(kick());
    assert_eq!(device.rest().await, "");
    rig.assert_ended(1, Ended::Takeover).await;
}

#[actix::test]
async fn a_server_that_stops_answers_what_has_come() {
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
        let Connection { stream, peer, listener, place } = rig.connection(far);
        let guard = Guard::new(Host::present().unwrap(), listener, peer, place);
        let (session, link) = spawn(Session::new(stream, guard));
        let mut device = Peer(near);
        device.send(&PING).await;
        device.expect("pong").await;
        if stops {
            stop_all();
        }
        // It gets no turn any more.
        drop((session, link));
        rig.assert_ended(1, reason).await;
    }
}
