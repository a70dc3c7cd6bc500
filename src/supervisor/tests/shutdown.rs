//! The stop of the whole tree.

use super::*;

#[actix::test]
async fn children_stop_in_reverse_order_one_after_the_other() {
    let mut tree = Tree::start(&["a", "b", "c"], 1000).await;
    assert_eq!(tree.stop_all(PATIENCE).await, [""; 0]);
    for name in ["c", "b", "a"] {
        assert_eq!(tree.next().await, News::AskedToStop(name));
        assert_eq!(tree.next().await, News::Gone(name));
    }
    assert_eq!(tree.states().await, []);
}

#[actix::test]
async fn neighbours_of_one_kind_stop_together() {
    tokio::time::pause();
    let mut tree = Tree::start(&["x 1", "y", "x 2 deaf", "x 3 deaf"], 1000).await;
    assert_eq!(tree.stop_all(Duration::from_secs(2)).await, ["x 2 deaf", "x 3 deaf"]);
    let mut order = Vec::new();
    while order.len() < 8 {
        order.push(tree.next().await);
    }
    assert_eq!(order[..2], [News::AskedToStop("x 2 deaf"), News::AskedToStop("x 3 deaf")]);
    assert_eq!(order[4..6], [News::AskedToStop("y"), News::Gone("y")]);
}

#[actix::test]
async fn a_child_that_does_not_stop_is_killed_and_named_and_the_others_have_time_left() {
    tokio::time::pause();
    let mut tree = Tree::start(&["a", "b deaf", "c deaf", "d"], 1000).await;
    let start = tokio::time::Instant::now();
    assert_eq!(tree.stop_all(Duration::from_secs(2)).await, ["c deaf", "b deaf"]);
    assert!(start.elapsed() < Duration::from_secs(2));
    for name in ["d", "c deaf", "b deaf", "a"] {
        assert_eq!(tree.next().await, News::AskedToStop(name));
        assert_eq!(tree.next().await, News::Gone(name));
    }
}

#[actix::test]
async fn no_child_is_added_during_a_shutdown() {
    let mut tree = Tree::start(&["a", "b deaf"], 1000).await;
    let stopping = StopAll { deadline: tokio::time::Instant::now() + PATIENCE };
    let stopping = actix_rt::spawn(tree.supervisor.send(stopping));
    assert_eq!(tree.next().await, News::AskedToStop("b deaf"));
    let late = spec("late", &Name::new(), &tree.tell);
    assert_eq!(tree.ask(StartChild(late)).await, Err(ChildError::ShuttingDown));
    assert_eq!(tree.ask(RestartChild("a".into())).await, Err(ChildError::ShuttingDown));
    // A child whose turn has not come is restarted: those that stop before it may need it.
    tree.end(0, End::PanicWithStr);
    assert_eq!(tree.next().await, News::Gone("a"));
    assert_eq!(tree.next().await, News::Started("a"));
    tree.end(1, End::PanicWithStr);
    assert_eq!(soon(stopping).await.unwrap().unwrap(), [""; 0]);
    assert_eq!(tree.next().await, News::Gone("b deaf"));
    assert_eq!(tree.next().await, News::AskedToStop("a"));
    assert_eq!(tree.next().await, News::Gone("a"));
}

#[actix::test]
async fn a_child_between_two_lives_is_started_so_that_it_can_finish_its_work() {
    tokio::time::pause();
    let (mut lives, (tell, mut news)) = (0, unbounded_channel());
    let start = move || {
        lives += 1;
        // The first two end at once, so that the third has to wait.
        Ok(if lives < 3 {
            Started::task(async {})
        } else {
            let probe = Probe { name: "a", obeys: true, news: tell.clone() };
            Started::new(probe)
        })
    };
    let (supervisor, _gave_up) = Supervisor::new(Intensity::new(1000, PATIENCE), PATIENCE);
    let (addr, _link) = spawn(supervisor.child("a", start));
    let waits = async || {
        let child = addr.send(WhichChildren).await.unwrap().remove(0);
        (child.restarts, child.state) == (1, ChildState::Restarting)
    };
    let before = tokio::time::Instant::now();
    while !waits().await {
        tokio::task::yield_now().await;
    }
    assert_eq!(soon(addr.send(StopAll { deadline: before + PATIENCE })).await.unwrap(), [""; 0]);
    assert_eq!(tokio::time::Instant::now(), before);
    for expected in [News::Started("a"), News::AskedToStop("a"), News::Gone("a")] {
        assert_eq!(next(&mut news).await, expected);
    }
}

/// Reports at its end how many owners a value has.
struct Counts(Arc<()>, UnboundedSender<usize>);

impl Drop for Counts {
    fn drop(&mut self) {
        let _ = self.1.send(Arc::strong_count(&self.0));
    }
}

#[actix::test]
async fn what_a_start_function_owns_is_released_before_the_next_child_stops() {
    let (shared, (tell, mut told)) = (Arc::new(()), unbounded_channel());
    let (owned, counted) = (Arc::clone(&shared), Arc::clone(&shared));
    let owner = move || {
        let _ = &owned;
        Ok(Started::task(std::future::pending()))
    };
    let watcher = move || {
        let counts = Counts(Arc::clone(&counted), tell.clone());
        Ok(Started::task(async move {
            let _counts = counts;
            std::future::pending().await
        }))
    };
    let (supervisor, _gave_up) = Supervisor::new(Intensity::new(0, PATIENCE), MAX_BACKOFF);
    let (addr, _link) = spawn(supervisor.child("watcher", watcher).child("owner", owner));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    soon(addr.send(StopAll { deadline })).await.unwrap();
    // The test, the start function of the watcher, and its task.
    assert_eq!(soon(told.recv()).await, Some(3));
}
