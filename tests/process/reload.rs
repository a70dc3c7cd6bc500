//! SIGHUP and `--check --against`, at the binary.

use std::fs;

use crate::child::{CONFIG, Server, command, run_in};
use crate::lifetime::device;

impl Server {
    fn reload(&self, config: &str) {
        fs::write(self.folder().join("config.toml"), config).unwrap();
        self.signal("HUP");
    }
}

#[tokio::test]
async fn a_reload_applies_changes_and_names_those_that_need_a_restart() {
    let mut server = Server::start(CONFIG);
    let mut before = device(server.address(), "before").await;
    let changed = CONFIG
        .replace("[[listener]]", "[supervisor]\nwithin = \"2h\"\n[[listener]]")
        .replace("[\"*\"]", "[\"after*\"]");
    server.reload(&format!("{changed}[session]\nmax_frame = 3\n[log]\nlevel = \"debug\"\n"));
    let line = server.await_line("changes=3 needs_restart=1");
    assert!(line.contains("config.toml"), "{line}");
    server.await_line("changed session: max_frame 65535 -> 3");
    server.await_line("changed credentials: clients * -> after*");
    server.await_line("changed log: level info -> debug");
    server.await_line("not changed supervisor: within 1h -> 2h (needs a restart)");
    before.ping().await.unwrap();
    device(server.address(), "after").await;
    // The new level holds.
    server.await_line("DEBUG");
    let mut stranger = trap_server::client::Device::connect(server.address()).await.unwrap();
    stranger.auth("before").await.unwrap_err();
    before.send(b"four").await.unwrap_err();
    server.await_line("reason=protocol_error");
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

#[tokio::test]
async fn a_config_with_errors_changes_nothing() {
    let server = Server::start(CONFIG);
    let mut device = device(server.address(), "device").await;
    server.reload(&CONFIG.replace("clients = [\"*\"]", "clients = 3\nsource = \"nobody\""));
    server.await_line("config.toml:9:11: `clients` must be a list of strings");
    device.ping().await.unwrap();
    fs::remove_file(server.folder().join("config.toml")).unwrap();
    server.signal("HUP");
    server.await_line("not reloaded, the running config stays in effect: cannot read");
    server.reload(CONFIG);
    server.await_line("changes=0 needs_restart=0");
    device.ping().await.unwrap();
}

#[tokio::test]
async fn a_reload_that_needs_the_folder_of_the_data_says_so() {
    let without = format!("{CONFIG}[store]\nkind = \"log\"\n");
    let server = Server::start(&without);
    server.reload(&without.replace("clients = [\"*\"]", "source = \"sqlite\""));
    let line = server.await_line("not reloaded, ");
    assert!(line.contains("source = \"sqlite\" needs the folder of the data"), "{line}");
    device(server.address(), "device").await;
}

#[tokio::test]
async fn a_drain_closes_idle_sessions_one_after_the_other_and_cuts_the_rest() {
    let mut server = Server::start(&CONFIG.replace("workers = 2", "workers = 2\ndrain = \"3s\""));
    let address = server.address();
    let mut devices = Vec::new();
    for number in 0..20 {
        devices.push(device(address, &format!("device{number}")).await);
    }
    server.signal("TERM");
    server.await_line("draining sessions=20 for=3s");
    for mut device in devices {
        device.closed().await.unwrap();
    }
    assert_eq!(server.ended().code(), Some(0));
    assert_eq!(server.lines("reason=drained").len(), 20);
    server.await_line("drained sessions=20");
    server.await_line("stopped cut_off=0");
}

#[test]
fn check_against_prints_what_a_reload_would_change() {
    let (_, folder) = command(Some(CONFIG), &[]);
    fs::write(folder.path().join("new.toml"), format!("{CONFIG}[session]\nidle_timeout = \"1h\"\n")).unwrap();
    let output = run_in(folder.path(), &["--config", "new.toml", "--check", "--against", "config.toml"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "a reload of new.toml over config.toml: changes=1 needs_restart=0\n  session: idle_timeout off -> 1h\n"
    );
    let output = run_in(folder.path(), &["--check", "--against", "none.toml"]);
    assert_eq!(output.status.code(), Some(64));
    let output = run_in(folder.path(), &["--against", "new.toml"]);
    assert_eq!(output.status.code(), Some(64));
}

/// A config with these listeners, each a name and a bind.
fn with_listeners(listeners: &[(&str, String)]) -> String {
    let sections =
        listeners.iter().map(|(name, bind)| format!("[[listener]]\nname = \"{name}\"\nbind = \"{bind}\"\n"));
    CONFIG.replace("[[listener]]\nname = \"test\"\nbind = \"127.0.0.1:0\"\n", &sections.collect::<String>())
}

/// A port that is free now.
fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn address(text: &str) -> std::net::SocketAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn listeners_come_go_and_move_and_only_the_sessions_of_removed_ones_end() {
    let (one, two, three, four) = (free(), free(), free(), free());
    let mut server = Server::start(&with_listeners(&[("a", one.clone()), ("b", two.clone())]));
    server.await_line("listening listener=b");
    let mut on_a = device(address(&one), "a").await;
    let mut on_b = device(address(&two), "b").await;
    server.reload(&with_listeners(&[("a", three.clone()), ("c", four.clone())]));
    server.await_line("changed listener b: removed");
    server.await_line("changed listener c: added");
    server.await_line(&format!("changed listener a: bind {one} -> {three} (the socket is opened again)"));
    on_a.ping().await.unwrap();
    on_b.closed().await.unwrap();
    server.await_line("ended reason=closed listener=b");
    device(address(&three), "moved").await;
    device(address(&four), "added").await;
    for gone in [&one, &two] {
        assert!(std::net::TcpStream::connect(gone).is_err(), "{gone}");
    }
    // Each has the address that the other one had.
    server.reload(&with_listeners(&[("a", four.clone()), ("c", three.clone())]));
    server.await_line(&format!("changed listener c: bind {four} -> {three}"));
    device(address(&four), "swapped").await;
    device(address(&three), "swapped too").await;
    on_a.ping().await.unwrap();
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

#[tokio::test]
async fn an_address_that_is_taken_changes_nothing() {
    let (one, free) = (free(), free());
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let server = Server::start(&with_listeners(&[("a", one.clone())]));
    server.reload(
        &(with_listeners(&[("a", one.clone()), ("b", free.clone()), ("c", taken)])
            + "[session]\nmax_frame = 3\n"),
    );
    server.await_line("not reloaded, the running config stays in effect: listener \"c\" cannot listen on");
    let mut device = device(address(&one), "device").await;
    device.send(b"four").await.unwrap();
    assert!(std::net::TcpStream::connect(&free).is_err());
}

#[tokio::test]
async fn changed_rules_close_the_sessions_that_they_deny_if_they_are_to() {
    let server = Server::start(CONFIG);
    let at = server.address();
    let mut device = device(at, "device").await;
    let denied = "bind = \"127.0.0.1:0\"\naccess = [\"deny 127.0.0.0/8\", \"allow all\"]";
    let keeps = CONFIG.replace("bind = \"127.0.0.1:0\"", denied);
    server.reload(&keeps);
    server.await_line("changed listener test: access allow all -> deny 127.0.0.0/8, allow all");
    device.ping().await.unwrap();
    let mut newcomer = trap_server::client::Device::connect(at).await.unwrap();
    newcomer.ping().await.unwrap_err();
    server.reload(CONFIG);
    server.await_line("access deny 127.0.0.0/8, allow all -> allow all");
    server.reload(&keeps.replace("access =", "on_change = \"close\"\naccess ="));
    device.closed().await.unwrap();
    server.await_line("listener test closed denied sessions=1");
}
