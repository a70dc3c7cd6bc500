//! Backoff and restart limits, on a clock that moves only when everything is at rest.

use tokio::time::{Instant, pause, sleep};

use super::*;

/// The times of the starts of a child that never starts, from the first on.
fn failing(id: &str) -> (ChildSpec, UnboundedReceiver<Instant>) {
    let (tell, told) = unbounded_channel();
    let spec = ChildSpec::new(id, move || {
        tell.send(Instant::now()).unwrap();
        Err("no socket".into())
    });
    (spec, told)
}

fn supervisor(max_restarts: usize) -> (Supervisor, oneshot::Receiver<GaveUp>) {
    Supervisor::new(Intensity::new(max_restarts, Duration::from_secs(3600)), Duration::from_secs(1))
}

/// The next start; the paused clock reaches the end of this wait in no time.
async fn start(told: &mut UnboundedReceiver<Instant>) -> Instant {
    timeout(Duration::from_secs(3600), told.recv()).await.expect("no start").unwrap()
}

async fn delays(told: &mut UnboundedReceiver<Instant>, count: usize) -> Vec<Duration> {
    let mut delays = Vec::new();
    let mut last = start(told).await;
    while delays.len() < count {
        let next = start(told).await;
        delays.push(next - last);
        last = next;
    }
    delays
}

#[actix::test]
async fn a_child_that_cannot_start_is_retried_immediately_and_then_with_growing_delays() {
    pause();
    let (spec, mut told) = failing("a");
    let (_addr, _link) = spawn(supervisor(1000).0.with(spec));
    let delays = delays(&mut told, 9).await;
    let expected = [0, 10, 20, 40, 80, 160, 320, 640, 1000].map(Duration::from_millis);
    for (delay, expected) in delays.iter().zip(expected) {
        // Timers have a grain of a millisecond.
        assert!((expected..=expected + Duration::from_millis(2)).contains(delay), "{delays:?}");
    }
}

#[actix::test]
async fn a_terminated_child_is_not_restarted_when_its_delay_is_over() {
    pause();
    let (spec, mut told) = failing("a");
    let (addr, _link) = spawn(supervisor(1000).0.with(spec));
    delays(&mut told, 8).await;
    addr.send(TerminateChild { id: "a".into(), within: PATIENCE }).await.unwrap().unwrap();
    sleep(PATIENCE).await;
    assert!(told.try_recv().is_err());
    addr.send(DeleteChild("a".into())).await.unwrap().unwrap();
}

#[actix::test]
async fn a_child_that_gives_up_alone_does_not_affect_the_others_and_is_retried_every_minute() {
    pause();
    let (spec, mut told) = failing("a");
    let (supervisor, mut gave_up) = supervisor(0);
    let own = spec.intensity(Intensity::new(2, Duration::from_secs(3600)));
    let (addr, _link) = spawn(supervisor.with(own).child("b", || Ok(Started::task(std::future::pending()))));
    let delays = delays(&mut told, 4).await;
    assert!(delays[1] < Duration::from_secs(1), "{delays:?}");
    assert!(delays[2..].iter().all(|delay| *delay >= Duration::from_secs(60)), "{delays:?}");
    let states = || async {
        let children = addr.send(WhichChildren).await.unwrap();
        children.into_iter().map(|child| child.state).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [ChildState::GaveUp, ChildState::Running]);
    assert!(gave_up.try_recv().is_err());
    // Asked to, it is retried now.
    let before = Instant::now();
    addr.send(RestartChild("a".into())).await.unwrap().unwrap();
    assert_eq!(start(&mut told).await, before);
    assert_eq!(states().await, [ChildState::GaveUp, ChildState::Running]);
}

#[actix::test]
async fn a_child_that_gave_up_runs_again_once_its_cause_is_gone() {
    pause();
    let (probe, mut news) = probe("a");
    let (mut tries, mut probe) = (0, Some(probe));
    let spec = ChildSpec::new("a", move || {
        tries += 1;
        if tries < 4 {
            return Err("not yet".into());
        }
        Ok(Started::new(probe.take().unwrap()))
    });
    let own = spec.intensity(Intensity::new(0, Duration::from_secs(3600)));
    let (addr, _link) = spawn(supervisor(0).0.with(own));
    let started = timeout(Duration::from_secs(3600), news.recv()).await.expect("no start");
    assert_eq!(started, Some(News::Started("a")));
    let [child] = &addr.send(WhichChildren).await.unwrap()[..] else { panic!() };
    assert_eq!((child.state, child.restarts), (ChildState::Running, 3));
    assert_eq!(child.last_exit, Some(Exit::Failed("not yet".into())));
}
