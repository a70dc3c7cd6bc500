//! What a session holds, and when it stops reading.

use super::*;

/// Bytes of memory that a session holds beside its own.
#[derive(Message)]
#[rtype(result = "usize")]
struct Held;

impl Handler<Held> for Session {
    type Result = usize;

    fn handle(&mut self, _: Held, _: &mut Context<Self>) -> usize {
        self.work.as_ref().map_or(0, |work| work.capacity())
    }
}

/// What may be unanswered, and a read or two; memory grows by doubling.
const BOUND: usize = 2 * (256 + 2 * 64) * 1024;

#[actix::test]
async fn the_data_of_a_new_session_is_never_kept() {
    let rig = Rig::new(|_| {});
    let (mut device, session) = rig.device_and_session(1000);
    for piece in send(&[0x40; 65_535]).chunks(999) {
        device.send(piece).await;
        at_rest().await;
        assert_eq!(session.send(Held).await.unwrap(), 0);
    }
    device.expect("send_failure").await;
}

#[actix::test]
async fn records_without_data_take_room_too() {
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
        let held = session.send(Held).await.unwrap();
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
    let held = session.send(Held).await.unwrap();
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
async fn what_waits_for_room_when_the_server_stops_is_answered_too() {
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
    // Four reads of 64 KiB fill the room, and what the last of them left over was received as well.
    assert!(answered >= 4 * 64 * 1024 / frame.len(), "only {answered} were answered");
    assert_eq!(answered, rig.store.records().len());
    rig.assert_ended(1, Ended::Shutdown).await;
}
