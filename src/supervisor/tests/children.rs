//! Children that are added, stopped and removed at run time.

use super::*;

#[actix::test]
async fn a_child_is_added_terminated_started_again_and_deleted() {
    let mut tree = Tree::start(&["a"], 1000).await;
    tree.add("b", |spec| spec).await;
    assert_eq!(
        tree.ask(StartChild(spec("b", &Name::new(), &tree.tell))).await,
        Err(ChildError::AlreadyPresent)
    );
    assert_eq!(tree.ask(DeleteChild("b".into())).await, Err(ChildError::Running));
    assert_eq!(tree.ask(RestartChild("b".into())).await, Err(ChildError::Running));
    tree.terminate("b", PATIENCE).await.unwrap();
    assert_eq!(tree.next().await, News::AskedToStop("b"));
    assert_eq!(tree.next().await, News::Gone("b"));
    let states = [("a".into(), ChildState::Running), ("b".into(), ChildState::Stopped)];
    assert_eq!(tree.states().await, states);
    // Again, and nothing happens.
    tree.terminate("b", PATIENCE).await.unwrap();
    tree.ask(RestartChild("b".into())).await.unwrap();
    assert_eq!(tree.next().await, News::Started("b"));
    tree.terminate("b", PATIENCE).await.unwrap();
    tree.ask(DeleteChild("b".into())).await.unwrap();
    assert_eq!(tree.states().await, [("a".into(), ChildState::Running)]);
    for gone in [
        tree.terminate("b", PATIENCE).await,
        tree.ask(DeleteChild("b".into())).await,
        tree.ask(RestartChild("b".into())).await,
    ] {
        assert_eq!(gone, Err(ChildError::NotFound));
    }
    soon(tree.names[0].call(|| End::Not)).await.unwrap();
}

#[actix::test]
async fn a_child_that_cannot_start_is_not_added() {
    let tree = Tree::start(&["a"], 1000).await;
    let spec = ChildSpec::new("b", || Err("no socket".into()));
    let failed = Err(ChildError::Failed(Exit::Failed("no socket".into())));
    assert_eq!(tree.ask(StartChild(spec)).await, failed);
    assert_eq!(tree.states().await, [("a".into(), ChildState::Running)]);
}

#[actix::test]
async fn a_transient_child_is_restarted_after_a_fault_only() {
    let mut tree = Tree::start(&[], 1000).await;
    tree.add("a", |spec| spec.restart(Restart::Transient)).await;
    tree.end(0, End::Exit);
    assert_eq!(tree.next().await, News::Gone("a"));
    assert_eq!(tree.next().await, News::Started("a"));
    tree.end(0, End::Stop);
    assert_eq!(tree.next().await, News::Gone("a"));
    assert_eq!(tree.states().await, [("a".into(), ChildState::Stopped)]);
    tree.ask(RestartChild("a".into())).await.unwrap();
    assert_eq!(tree.next().await, News::Started("a"));
}

#[actix::test]
async fn a_temporary_child_is_forgotten_however_it_ends() {
    let mut tree = Tree::start(&[], 1000).await;
    for (child, end) in [End::Stop, End::PanicWithStr].into_iter().enumerate() {
        tree.add("a", |spec| spec.restart(Restart::Temporary)).await;
        tree.end(child, end);
        assert_eq!(tree.next().await, News::Gone("a"));
        assert_eq!(tree.states().await, []);
    }
    tree.add("a", |spec| spec.restart(Restart::Temporary)).await;
    tree.terminate("a", PATIENCE).await.unwrap();
    assert_eq!(tree.states().await, []);
}

#[actix::test]
async fn a_plain_future_is_a_child_like_any_other() {
    let (tell, mut told) = unbounded_channel();
    let (supervisor, _gave_up) = Supervisor::new(Intensity::new(1000, PATIENCE), MAX_BACKOFF);
    let supervisor = supervisor.child("task", move || {
        let (end, ended) = oneshot::channel();
        tell.send(end).unwrap();
        Ok(Started::task(async {
            match ended.await {
                Ok(End::Exit) => exit("no more work"),
                Ok(End::PanicWithStr) => panic!("a str"),
                _ => {}
            }
        }))
    });
    let (addr, _link) = spawn(supervisor);
    for (end, exit) in [
        (End::Exit, Exit::Failed("no more work".into())),
        (End::PanicWithStr, Exit::Panicked("a str".into())),
        (End::Stop, Exit::Normal),
    ] {
        let _ = soon(told.recv()).await.unwrap().send(end);
        // The next life waits for its end.
        let next = soon(told.recv()).await.unwrap();
        let [task] = &soon(addr.send(WhichChildren)).await.unwrap()[..] else { panic!() };
        assert_eq!((task.state, task.last_exit.as_ref()), (ChildState::Running, Some(&exit)));
        let _ = next.send(End::Stop);
    }
    let end = soon(told.recv()).await.unwrap();
    let terminate = TerminateChild { id: "task".into(), within: PATIENCE };
    soon(addr.send(terminate)).await.unwrap().unwrap();
    assert!(end.is_closed());
}

#[actix::test]
async fn a_child_that_does_not_stop_is_killed() {
    let mut tree = Tree::start(&["deaf"], 1000).await;
    tree.terminate("deaf", Duration::from_millis(50)).await.unwrap();
    assert_eq!(tree.next().await, News::AskedToStop("deaf"));
    assert_eq!(tree.next().await, News::Gone("deaf"));
    assert_eq!(tree.states().await, [("deaf".into(), ChildState::Stopped)]);
}

#[actix::test]
async fn a_child_that_crashes_instead_of_stopping_has_ended_too() {
    let mut tree = Tree::start(&["deaf"], 1000).await;
    let terminate = || TerminateChild { id: "deaf".into(), within: PATIENCE };
    let terminated = [0, 1].map(|_| actix_rt::spawn(tree.supervisor.send(terminate())));
    assert_eq!(tree.next().await, News::AskedToStop("deaf"));
    tree.end(0, End::PanicWithStr);
    for terminated in terminated {
        assert_eq!(soon(terminated).await.unwrap().unwrap(), Ok(()));
    }
    assert_eq!(tree.next().await, News::Gone("deaf"));
    assert!(tree.news.try_recv().is_err());
}
