//! What peers may write into the log: however often they come, a few lines and a sum.

mod common;

use std::time::Duration;

use common::raw::{PING, auth};
use common::{TestServer, eventually, logs};
use socket2::SockRef;
use trap_server::config::ClientPattern;
use trap_server::stats::Ended;

/// How many a sum in the log counts for `reason`.
fn summed(listener: &str, reason: &str) -> u64 {
    let (begin, reason) = (format!("ended listener={listener} more within "), format!(" {reason}="));
    let counts = logs::lines(&[&begin, &reason, " busiest=127.0.0.1 busiest_count="]).into_iter();
    counts
        .map(|line| line.split_once(&reason).unwrap().1.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// The lines about single sessions that ended.
fn single(listener: &str) -> Vec<String> {
    logs::lines(&["ended reason=", &format!(" listener={listener} ")])
}

#[tokio::test]
async fn a_health_check_is_counted_and_writes_nothing() {
    let server = TestServer::start("probed", |_| {});
    for _ in 0..10 {
        drop(server.raw().await);
        let reset = server.raw().await;
        SockRef::from(reset.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        drop(reset);
        let mut polite = server.raw().await;
        polite.send(PING).await;
        polite.expect("pong").await;
    }
    let ended = || server.totals().ended(Ended::PeerClosed) + server.totals().ended(Ended::Reset);
    eventually("all have ended", || ended() == 30).await;
    assert_eq!(server.totals().probes, 30);
    assert_eq!(logs::lines(&["listener=probed"]), [""; 0]);
    server.assert_nothing_is_left().await;
}

#[tokio::test]
async fn junk_of_a_stranger_is_one_line_and_a_sum_before_the_stop() {
    const SENDERS: u64 = 200;
    let server = TestServer::start("junk", |_| {});
    for _ in 0..SENDERS {
        let mut raw = server.raw().await;
        raw.send([0xff, 0xff]).await;
        raw.expect_last("protocol_error").await;
    }
    let all_ended = || server.totals().ended(Ended::ProtocolError) == SENDERS;
    eventually("all have ended", all_ended).await;
    server.stop();
    let single = single("junk").len() as u64;
    assert!(single < SENDERS / 10, "{single}");
    assert_eq!(single + summed("junk", "protocol_error"), SENDERS);
}

#[tokio::test]
async fn junk_of_an_id_that_comes_again_and_again_is_a_few_lines_and_a_sum() {
    const TIMES: u64 = 300;
    let server = TestServer::start("known-junk", |_| {});
    for _ in 0..TIMES {
        let mut raw = server.raw().await;
        raw.send([&auth("known"), &[0xff, 0xff][..]].concat()).await;
        raw.expect_last("auth_okprotocol_error").await;
    }
    let all_ended = || server.totals().ended(Ended::ProtocolError) == TIMES;
    eventually("all have ended", all_ended).await;
    server.stop();
    let single = single("known-junk").len() as u64;
    assert!((2..TIMES / 2).contains(&single), "{single}");
    assert!(logs::lines(&["authenticated listener=known-junk"]).len() < TIMES as usize / 2);
    assert_eq!(single + summed("known-junk", "protocol_error"), TIMES);
}

#[tokio::test]
async fn a_failed_login_names_the_id_that_tried() {
    let server = TestServer::start("failed-login", |config| {
        config.credentials.clients = vec![ClientPattern::try_from("known*").unwrap()];
    });
    let mut raw = server.raw().await;
    raw.send(auth("no \"body\"")).await;
    raw.expect_last("auth_failure").await;
    drop(raw);
    let words = [
        "ended reason=auth_failure listener=failed-login",
        r#"client="no \"body\"""#,
        r#"detail="the id is unknown""#,
    ];
    eventually("it is in the log", || logs::has(&words)).await;
}

#[tokio::test]
async fn devices_of_one_site_have_a_line_each() {
    const DEVICES: usize = 100;
    let server = TestServer::start("site", |_| {});
    for number in 0..DEVICES {
        drop(server.authenticated(&format!("device{number}")).await);
    }
    eventually("all have ended", || server.totals().ended(Ended::PeerClosed) == DEVICES as u64).await;
    assert_eq!(logs::lines(&["authenticated listener=site"]).len(), DEVICES);
    assert_eq!(single("site").len(), DEVICES);
}
