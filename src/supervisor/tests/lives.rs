//! What goes wrong between two lives of a child in other frameworks (kameo's issues 335, 377 and 387): lost messages,
//! stale references, lives that overlap.

use super::*;

#[actix::test]
async fn requests_that_wait_behind_a_deadly_one_are_answered_by_the_next_life() {
    let mut tree = Tree::start(&["a"], 1000).await;
    for _ in 0..20 {
        tree.end(0, End::PanicWithStr);
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let name = tree.names[0].clone();
                actix_rt::spawn(async move { name.call(|| End::Not).await })
            })
            .collect();
        assert_eq!(tree.next().await, News::Gone("a"));
        for answered in waiting {
            assert_eq!(soon(answered).await.unwrap(), Ok(()));
        }
        assert_eq!(tree.next().await, News::Started("a"));
    }
}

#[actix::test]
async fn a_request_is_answered_after_a_termination_and_a_restart_too() {
    let mut tree = Tree::start(&["a"], 1000).await;
    tree.terminate("a", PATIENCE).await.unwrap();
    let name = tree.names[0].clone();
    let waiting = actix_rt::spawn(async move { name.call(|| End::Not).await });
    tree.ask(RestartChild("a".into())).await.unwrap();
    assert_eq!(soon(waiting).await.unwrap(), Ok(()));
    assert_eq!(tree.next().await, News::AskedToStop("a"));
    assert_eq!(tree.next().await, News::Gone("a"));
    assert_eq!(tree.next().await, News::Started("a"));
}

#[actix::test]
async fn a_name_from_the_first_life_reaches_the_present_one_and_so_does_a_stop() {
    let mut tree = Tree::start(&["a"], 1000).await;
    let name = tree.names[0].clone();
    for end in [End::Stop, End::Exit, End::PanicWithStr].into_iter().cycle().take(30) {
        tree.end(0, end);
        assert_eq!(tree.next().await, News::Gone("a"));
        assert_eq!(tree.next().await, News::Started("a"));
        assert_eq!(soon(name.call(|| End::Not)).await, Ok(()));
    }
    // It stops the life that runs now, and a permanent child stays stopped.
    tree.terminate("a", PATIENCE).await.unwrap();
    assert_eq!(tree.next().await, News::AskedToStop("a"));
    assert_eq!(tree.next().await, News::Gone("a"));
    assert_eq!(tree.states().await, [("a".into(), ChildState::Stopped)]);
    assert!(tree.news.try_recv().is_err());
}

#[actix::test]
async fn a_new_life_begins_after_the_old_one_has_ended_even_if_that_was_killed() {
    let mut tree = Tree::start(&["deaf"], 1000).await;
    for _ in 0..20 {
        // Both together: the restart is rejected for as long as the old life lasts.
        let terminate = TerminateChild { id: "deaf".into(), within: Duration::from_millis(1) };
        let terminated = actix_rt::spawn(tree.supervisor.send(terminate));
        while tree.ask(RestartChild("deaf".into())).await == Err(ChildError::Running) {
            tokio::task::yield_now().await;
        }
        soon(terminated).await.unwrap().unwrap().unwrap();
        assert_eq!(tree.next().await, News::AskedToStop("deaf"));
        assert_eq!(tree.next().await, News::Gone("deaf"));
        assert_eq!(tree.next().await, News::Started("deaf"));
    }
}

#[actix::test]
async fn the_end_of_an_earlier_child_does_not_concern_a_later_one_of_the_same_id() {
    let mut tree = Tree::start(&[], 1000).await;
    for child in 0..20 {
        tree.add("a", |spec| spec).await;
        tree.end(child, End::PanicWithStr);
        assert_eq!(tree.next().await, News::Gone("a"));
        // Between two lives, with a restart pending, or in the next one.
        tree.terminate("a", PATIENCE).await.unwrap();
        tree.ask(DeleteChild("a".into())).await.unwrap();
        while tree.news.try_recv().is_ok() {}
    }
    tree.add("a", |spec| spec).await;
    assert_eq!(tree.states().await, [("a".into(), ChildState::Running)]);
    assert!(tree.news.try_recv().is_err());
}
