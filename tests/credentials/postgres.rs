//! Each test has a PostgreSQL server of its own, and stops it, freezes it, locks its tables as it likes.

use crate::child::eventually;
use crate::cluster::{Cluster, PASSWORD};
use crate::outage::{OLD_AT_ONCE, assert_answers, assert_one_outage};
use crate::site::{Site, auth, auth_from, one_shot};
use crate::unknown::unknown;

fn site(cluster: &Cluster, more: &str) -> Site {
    let url = cluster.url("trap");
    Site::new(&format!("source = \"postgres\"\nurl = \"{url}\"\n{more}")).with_env("PGPASSWORD", PASSWORD)
}

/// The ids "a" and "b" may.
fn two_ids(cluster: &Cluster) -> Site {
    let site = site(cluster, OLD_AT_ONCE);
    ["a", "b"].iter().for_each(|id| drop(site.done(&["clients", "add", id])));
    site
}

#[test]
fn ids_are_looked_up_and_changed_beside_the_server() {
    let Some(cluster) = Cluster::with_tables() else { return };
    // As often as one likes.
    cluster.apply();
    let site = site(&cluster, "cache_time = \"1ms\"\nmax_unknown = 2");
    let server = site.start();
    let address = server.address();
    assert_eq!(auth(address, "größe 7"), "auth_failure");
    site.done(&["clients", "add", "größe 7", "--note", "north", "--expires", "2099-12-31"]);
    eventually("it is seen", || auth(address, "größe 7") == "auth_ok");
    assert_eq!(one_shot(address, "größe 7"), "send_ok");
    site.done(&["clients", "disable", "größe 7"]);
    eventually("it is seen", || auth(address, "größe 7") == "auth_failure");
    assert!(site.done(&["--check"]).contains("/trap: 1 client, 1 disabled\n"));
    let output =
        site.run_with(&["clients", "import", "-"], "id,enabled\ngröße 7,true\nover,true\nnew,true\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "2 added, 1 updated\n");
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    let ids: Vec<_> = csv.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().0).collect();
    assert_eq!(ids, ["größe 7,true,north,2099-12-31T00:00:00Z,", "new,true,,,", "over,true,,,"]);
    cluster.sql("UPDATE client SET expires_at = now() WHERE id = 'over'");
    for id in ["x", "over", "x"] {
        assert_eq!(auth(address, id), "auth_failure");
    }
    eventually("both are kept", || unknown(&site) == ["x 2 unknown", "over 1 expired"]);
    assert_eq!(auth(address, "y"), "auth_failure");
    eventually("the newest are kept", || unknown(&site) == ["y 1 unknown", "x 2 unknown"]);
    site.done(&["clients", "remove", "new"]);
    assert_eq!(site.refused(&["clients", "remove", "new"]).0, 1);
    assert_eq!(site.refused(&["clients", "add", "over"]).0, 1);
    assert!(server.lines(PASSWORD).is_empty() && !site.done(&["--check"]).contains(PASSWORD));
}

#[test]
fn ids_have_networks_and_rejected_ones_are_approved() {
    let Some(cluster) = Cluster::with_tables() else { return };
    let site = site(&cluster, "cache_time = \"1ms\"");
    let server = site.start();
    let address = server.address();
    site.done(&[
        "clients",
        "add",
        "here",
        "--from",
        "10.1.2.3/8",
        "--from",
        "127.0.0.1",
        "--from",
        "fe80::/10",
    ]);
    site.done(&["clients", "add", "there", "--from", "10.0.0.0/8"]);
    assert_eq!(
        (auth(address, "here").as_str(), auth(address, "there").as_str()),
        ("auth_ok", "auth_failure")
    );
    assert_eq!(auth_from("127.0.0.2", address, "here"), "auth_failure");
    assert_eq!((auth(address, "x").as_str(), auth(address, "y").as_str()), ("auth_failure", "auth_failure"));
    let rejected = ["y 1 unknown", "x 1 unknown", "here 1 elsewhere", "there 1 elsewhere"];
    eventually("all are recorded", || unknown(&site) == rejected);
    let (code, why) = site.refused(&["clients", "approve", "x", "here", "nobody"]);
    assert!(
        code == 1 && why.contains("\"here\" exists already") && why.contains("\"nobody\" is not"),
        "{why}"
    );
    assert_eq!(unknown(&site), rejected);
    site.done(&["clients", "approve", "x", "y", "--from", "127.0.0.1"]);
    assert_eq!(unknown(&site), ["here 1 elsewhere", "there 1 elsewhere"]);
    site.run_with(&["clients", "import", "-"], "id,networks\nthere,\nnew,::1\n");
    site.run_with(&["clients", "import", "-"], "id,note\nhere,north\n");
    assert_eq!(unknown(&site), ["here 1 elsewhere"]);
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    let ids: Vec<_> = csv.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().0).collect();
    let here = "here,true,north,,10.0.0.0/8 127.0.0.1 fe80::/10";
    assert_eq!(ids, [here, "new,true,,,::1", "there,true,,,", "x,true,,,127.0.0.1", "y,true,,,127.0.0.1"]);
    for id in ["there", "x", "y"] {
        eventually(id, || auth(address, id) == "auth_ok");
    }
    // What is changed by hand is checked by the database.
    cluster.sql("UPDATE client SET networks = '{127.0.0.2/32}' WHERE id = 'x'");
    eventually("it is seen", || auth_from("127.0.0.2", address, "x") == "auth_ok");
    assert_eq!(auth(address, "x"), "auth_failure");
}

#[test]
fn while_the_database_is_down_only_what_is_remembered_goes_on() {
    let Some(mut cluster) = Cluster::with_tables() else { return };
    let site = two_ids(&cluster);
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_ok");
    cluster.stop();
    for _ in 0..2 {
        assert_answers(&server, [("b", "auth_failure"), ("a", "auth_ok")]);
    }
    assert_eq!(site.refused(&["clients", "list"]).0, 74);
    cluster.resume();
    eventually("it is back", || auth(server.address(), "b") == "auth_ok");
    assert_one_outage(&server);
}

#[test]
fn a_server_starts_although_the_database_is_down() {
    let Some(mut cluster) = Cluster::with_tables() else { return };
    let site = two_ids(&cluster);
    cluster.stop();
    let server = site.start();
    server.await_line("Each look-up tries again");
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    cluster.resume();
    eventually("it is there", || auth(server.address(), "a") == "auth_ok");
    assert_one_outage(&server);
}

#[test]
fn a_database_in_another_encoding_is_refused() {
    let Some(cluster) = Cluster::with_tables() else { return };
    let site = two_ids(&cluster);
    for encoding in ["LATIN1", "SQL_ASCII"] {
        cluster.set_encoding(encoding);
        cluster.apply();
        for arguments in [&[][..], &["--check"], &["clients", "list"], &["clients", "add", "c"]] {
            let (code, why) = site.refused(arguments);
            let told = format!("/trap: its encoding is {encoding}, and ids are UTF-8; make a database with");
            assert_eq!((code, why.contains(&told)), (74, true), "{arguments:?}: {why}");
        }
    }
}

#[test]
fn a_query_that_hangs_ends_by_its_deadline_and_leaves_nothing_behind() {
    let Some(cluster) = Cluster::with_tables() else { return };
    let site = two_ids(&cluster);
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_ok");
    let lock = cluster.lock("client");
    let address = server.address();
    // More than there are connections.
    let many: Vec<_> = (0..20).map(|_| std::thread::spawn(move || auth(address, "b"))).collect();
    assert_eq!(auth(address, "a"), "auth_ok");
    assert!(many.into_iter().all(|one| one.join().unwrap() == "auth_failure"));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'trap' AND wait_event_type = 'Lock'";
    eventually("no query is left behind", || cluster.sql(waiting) == "0");
    drop(lock);
    eventually("the lock is gone", || auth(address, "b") == "auth_ok");
    assert_one_outage(&server);
}

#[test]
fn a_stalled_database_times_out_and_recovers() {
    let Some(cluster) = Cluster::with_tables() else { return };
    let site = two_ids(&cluster);
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_ok");
    let frozen = cluster.freeze();
    for _ in 0..2 {
        assert_answers(&server, [("b", "auth_failure"), ("a", "auth_ok")]);
    }
    server.await_line("/trap: no answer within 5s");
    drop(frozen);
    eventually("it goes on", || auth(server.address(), "b") == "auth_ok");
    assert_one_outage(&server);
}

#[test]
fn a_connection_that_answers_no_more_is_replaced() {
    let Some(cluster) = Cluster::with_tables() else { return };
    let site = two_ids(&cluster);
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_ok");
    let frozen = cluster.freeze_connections("trap");
    assert_eq!(auth(server.address(), "b"), "auth_failure");
    eventually("another is made", || auth(server.address(), "b") == "auth_ok");
    drop(frozen);
}

#[test]
fn rejected_ids_are_kept_through_an_outage() {
    let Some(cluster) = Cluster::with_tables() else { return };
    let site = site(&cluster, OLD_AT_ONCE);
    let server = site.start();
    let lock = cluster.lock("unknown_client");
    assert_eq!(auth(server.address(), "stranger"), "auth_failure");
    server.await_line("recording rejected ids fails: ");
    drop(lock);
    server.await_line("recording rejected ids works again");
    assert_eq!(unknown(&site), ["stranger 1 unknown"]);
}

#[test]
fn a_database_without_its_tables_is_reported_with_a_correction() {
    let Some(cluster) = Cluster::start() else { return };
    cluster.sql(&format!("CREATE ROLE trap LOGIN PASSWORD '{PASSWORD}'"));
    let site = site(&cluster, "");
    let server = site.start();
    assert_eq!(auth(server.address(), "a"), "auth_failure");
    server.await_line("apply packaging/postgres.sql");
    for arguments in [&["clients", "list"][..], &["clients", "add", "a"], &["--check"]] {
        let (code, why) = site.refused(arguments);
        assert_eq!((code, why.contains("apply packaging/postgres.sql")), (74, true), "{arguments:?}: {why}");
    }
    cluster.apply();
    eventually("it is ready", || site.run(&["clients", "add", "a"]).status.success());
    eventually("it is seen", || auth(server.address(), "a") == "auth_ok");
    cluster.sql("REVOKE INSERT ON client FROM trap");
    let (code, why) = site.refused(&["clients", "add", "b"]);
    assert_eq!((code, why.contains("the necessary grants")), (74, true), "{why}");
    let (code, why) = site.with_env("PGPASSWORD", "wrong").refused(&["clients", "list"]);
    assert_eq!((code, why.contains("check the user of `url`, PGPASSWORD")), (74, true), "{why}");
    assert!(!why.contains("wrong"), "{why}");
}

#[test]
fn a_url_that_leads_nowhere_keeps_the_server_from_starting() {
    for (url, why) in [
        ("postgres://trap@127.0.0.1/trap?sslmode=require", "TLS to the database is not supported"),
        ("postgres://trap@127.0.0.1:none/trap", "is not a PostgreSQL address"),
    ] {
        let site = Site::new(&format!("source = \"postgres\"\nurl = \"{url}\""));
        for arguments in [&[][..], &["--check"], &["clients", "list"]] {
            let (code, said) = site.refused(arguments);
            assert_eq!((code, said.contains(why)), (64, true), "{arguments:?}: {said}");
        }
    }
}
