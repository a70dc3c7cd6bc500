use std::io::Write as _;

use proptest::prelude::*;

use super::*;

mod mistakes;

const SHIPPED: &str = include_str!("../../config.toml");

const OTHER: &str = r#"
[server]
workers = 3
shutdown = "1500ms"
drain = "30s"
max_connections = 100
max_lag = "2s"
max_unanswered = "1GiB"
[supervisor]
max_restarts = 0
within = "1m"
max_backoff = "2s"
[[listener]]
name = "lan_6"
bind = "[::1]:6000"
acceptors = 2
max_connections = 10
max_unauthenticated = 5
connection_rate = 7
connection_burst = 8
shared_rate = "lan"
connection_excess = "refuse"
source_connections = 9
source_rate = 10
source_burst = 11
source_prefix = 56
backlog = 64
nodelay = false
keepalive = "0s"
keepalive_interval = "7s"
keepalive_count = 9
user_timeout = "1m"
receive_buffer = "8KiB"
send_buffer = "64KiB"
mode = "0600"
only_v6 = true
reuse_port = true
access = ["allow 10.1.2.3/8", "deny all"]
on_change = "close"
[listener.tls]
certificates = ["/one.pem", "/two.pem"]
keys = ["/one.key", "/two.key"]
min_version = "1.3"
client_certificates = "required"
client_ca = "/ca.pem"
client_crls = ["/crl.pem"]
identity = "cn"
handshake_timeout = "2s"
max_handshakes = 7
[[listener]]
name = "wan-2"
bind = "7000"
[session]
auth_timeout = "1s"
frame_timeout = "2s"
write_timeout = "3s"
idle_timeout = "1h 30m"
max_frame = 0x10
max_unanswered = "1MiB"
messages_per_second = 50
bytes_per_second = "64KiB"
duplicate = "reject"
[credentials]
source = "postgres"
clients = ["dev-*", "größe 7 from 10.0.0.0/8 ::1", "*"]
url = "postgresql://u@h/d"
timeout = "3s"
cache_time = "0s"
outage_grace = "0s"
cache_size = 5
max_unknown = 0
[store]
kind = "log"
path = "/var/lib/trap"
segment_size = "1MiB"
synchronous = "normal"
batch_records = 1
batch_bytes = "1KiB"
batch_time = "1ms"
lock_timeout = "20s"
max_age = "30days"
max_size = "10MB"
[log]
level = "debug"
stats_every = "0s"
"#;

fn other() -> Config {
    let lan = Listener {
        name: "lan_6".into(),
        bind: "[::1]:6000".parse().unwrap(),
        acceptors: 2,
        max_connections: 10,
        max_unauthenticated: 5,
        connection_rate: Some(7),
        connection_burst: 8,
        shared_rate: Some("lan".into()),
        connection_excess: Excess::Refuse,
        source_connections: Some(9),
        source_rate: Some(10),
        source_burst: 11,
        source_prefix: 56,
        backlog: 64,
        nodelay: false,
        keepalive: None,
        keepalive_interval: Some(Duration::from_secs(7)),
        keepalive_count: 9,
        user_timeout: Some(Duration::from_secs(60)),
        receive_buffer: Some(8 << 10),
        send_buffer: Some(64 << 10),
        mode: 0o600,
        only_v6: true,
        reuse_port: true,
        access: Rules::parse(&["allow 10.0.0.0/8", "deny all"]).unwrap(),
        on_change: OnChange::Close,
        tls: Tls {
            certificates: vec!["/one.pem".into(), "/two.pem".into()],
            keys: vec!["/one.key".into(), "/two.key".into()],
            min_version: TlsVersion::Tls13,
            client_certificates: ClientCertificates::Required,
            client_ca: Some("/ca.pem".into()),
            client_crls: vec!["/crl.pem".into()],
            identity: IdentityFrom::Cn,
            handshake_timeout: Duration::from_secs(2),
            max_handshakes: 7,
        },
    };
    let wan = Listener { name: "wan-2".into(), bind: "0.0.0.0:7000".parse().unwrap(), ..Listener::default() };
    let clients = ["dev-*", "größe 7 from 10.0.0.0/8 ::1", "*"];
    Config {
        server: Server {
            workers: 3,
            shutdown: Duration::from_millis(1500),
            drain: Some(Duration::from_secs(30)),
            max_connections: Some(100),
            max_lag: Some(Duration::from_secs(2)),
            max_unanswered: 1 << 30,
        },
        supervisor: Supervisor {
            max_restarts: 0,
            within: Duration::from_secs(60),
            max_backoff: Duration::from_secs(2),
        },
        listeners: vec![lan, wan],
        session: Session {
            auth_timeout: Duration::from_secs(1),
            frame_timeout: Duration::from_secs(2),
            write_timeout: Duration::from_secs(3),
            idle_timeout: Some(Duration::from_secs(5400)),
            max_frame: 16,
            max_unanswered: 1 << 20,
            messages_per_second: Some(50),
            bytes_per_second: Some(64 << 10),
            duplicate: Duplicate::Reject,
        },
        credentials: Credentials {
            source: Source::Postgres,
            clients: clients.map(|pattern| pattern.try_into().unwrap()).into(),
            url: "postgresql://u@h/d".into(),
            timeout: Duration::from_secs(3),
            cache_time: None,
            outage_grace: None,
            cache_size: 5,
            max_unknown: 0,
        },
        store: Store {
            kind: StoreKind::Log,
            path: "/var/lib/trap".into(),
            segment_size: 1 << 20,
            synchronous: Synchronous::Normal,
            batch_records: 1,
            batch_bytes: 1 << 10,
            batch_time: Duration::from_millis(1),
            lock_timeout: Duration::from_secs(20),
            max_age: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            max_size: Some(10_000_000),
        },
        log: Log { level: LevelFilter::Debug, stats_every: None },
    }
}

fn parse(text: &str) -> Result<Config, Mistakes> {
    Config::parse(text, "config.toml")
}

/// Line, column and message of each mistake in `text`.
fn mistakes(text: &str) -> Vec<(usize, usize, String)> {
    let Err(mistakes) = parse(text) else { panic!("this has no mistakes:\n{text}") };
    mistakes.told.into_iter().map(|one| (one.line, one.column, one.message)).collect()
}

#[test]
fn the_shipped_file_is_the_default_and_so_is_an_empty_one() {
    assert_eq!(parse(SHIPPED), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
    assert_eq!(parse("[server]\n[[listener]]\n[session]\n[log]"), Ok(Config::default()));
    assert!(Config::default().server.workers >= 1);
}

/// The list of keys in the message about an unknown one is that of the code.
#[test]
fn the_shipped_file_mentions_every_key() {
    let known = |text: &str| -> Vec<String> {
        let (_, _, message) = mistakes(text).remove(0);
        let (_, keys) = message.split_once(", expected one of ").unwrap();
        keys.split(", ").map(str::to_owned).collect()
    };
    let shipped = DeTable::parse(SHIPPED).unwrap().into_inner();
    for section in known("xxxxxxxxxxxxxxxxxxxx = 1") {
        let (head, table) = match shipped.get(section.as_str()).unwrap().get_ref() {
            toml::de::DeValue::Array(listeners) => (format!("[[{section}]]"), listeners[0].get_ref()),
            table => (format!("[{section}]"), table),
        };
        for key in known(&format!("{head}\nxxxxxxxxxxxxxxxxxxxx = 1")) {
            assert!(table.get(key.as_str()).is_some(), "{head} {key}");
        }
    }
}

#[test]
fn every_key_has_an_effect() {
    assert_eq!(parse(OTHER), Ok(other()));
    let dotted = "server.workers = 3\nlistener = [{ name = \"a\" }, { name = \"b\", bind = \"1\" }]";
    let config = parse(dotted).unwrap();
    assert_eq!((config.server.workers, config.listeners.len()), (3, 2));
}

#[test]
fn a_config_is_displayed_as_its_effective_settings() {
    let expected = "\
server
  workers             3
  shutdown            1s 500ms
  drain               30s
  max_connections     100
  max_lag             2s
  max_unanswered      1.0 GiB
supervisor
  max_restarts        0
  within              1m
  max_backoff         2s
listener lan_6
  bind                [::1]:6000
  only_v6             on
  acceptors           2
  reuse_port          on
  max_connections     10
  max_unauthenticated 5
  connection_rate     7
  connection_burst    8
  shared_rate         lan
  connection_excess   refuse
  source_connections  9
  source_rate         10
  source_burst        11
  source_prefix       56
  backlog             64
  nodelay             off
  keepalive           off
  user_timeout        1m
  receive_buffer      8.0 KiB
  send_buffer         64.0 KiB
  access              allow 10.0.0.0/8, deny all
  on_change           close
listener.tls lan_6
  certificates        /one.pem, /two.pem
  keys                /one.key, /two.key
  min_version         1.3
  client_certificates required
  client_ca           /ca.pem
  client_crls         /crl.pem
  identity            cn
  handshake_timeout   2s
  max_handshakes      7
listener wan-2
  bind                0.0.0.0:7000
  acceptors           8
  reuse_port          off
  max_connections     100000
  max_unauthenticated 10000
  connection_rate     off
  source_connections  off
  source_rate         off
  backlog             512
  nodelay             on
  keepalive           1m
  keepalive_interval  a quarter of `keepalive`
  keepalive_count     4
  user_timeout        `keepalive` and all probes
  receive_buffer      the kernel's choice
  send_buffer         the kernel's choice
  access              allow all
  on_change           keep
session
  auth_timeout        1s
  frame_timeout       2s
  write_timeout       3s
  idle_timeout        1h 30m
  max_frame           16
  max_unanswered      1.0 MiB
  messages_per_second 50
  bytes_per_second    64.0 KiB
  duplicate           reject
credentials
  source              postgres
  url                 postgresql://u@h/d
  timeout             3s
  cache_time          off
  outage_grace        off
  cache_size          5
  max_unknown         0
store
  kind                log
  path                /var/lib/trap
log
  level               debug
  stats_every         off
";
    assert_eq!(other().to_string(), expected);
    let nobody = parse("[credentials]\nclients = []").unwrap();
    assert!(nobody.to_string().contains("  clients             nobody\n"));
    let (default, list) =
        (Config::default().to_string(), "  clients             client0012\n  max_unknown         1000\n");
    assert!(default.contains(list), "{default}");
    let store = "\
store
  kind                sqlite
  path                data
  segment_size        256.0 MiB
  synchronous         full
  batch_records       4096
  batch_bytes         4.0 MiB
  batch_time          5ms
  lock_timeout        5s
  max_age             off
  max_size            off
";
    assert!(default.contains(store), "{default}");
}

#[test]
fn a_file_is_loaded_or_rejected_with_the_reason() {
    let load = |content: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let path = file.path().display().to_string();
        Config::load(file.path()).map_err(|err| err.to_string().replace(&path, "FILE"))
    };
    assert_eq!(load(OTHER.as_bytes()), Ok(other()));
    assert_eq!(load(b"[log]\nlevel = 3"), Err(mistakes_of("[log]\nlevel = 3")));
    assert_eq!(
        load(b"[log]\nlevel = \"inf\xff\xfeo\""),
        Err("FILE:2:13: invalid UTF-8: a config file must be UTF-8 text\n  |\n2 | level = \"inf\u{fffd}\u{fffd}o\"\n  |             ^\n".into())
    );
    let most = usize::try_from(mistake::MAX_FILE).unwrap();
    let mut default = Config::default();
    default.store.path = std::env::temp_dir().join("data");
    assert_eq!(load(&vec![b'\n'; most]), Ok(default));
    assert_eq!(
        load(&vec![b'\n'; most + 1]),
        Err("FILE is larger than 1048576 bytes, the limit of a config file".into())
    );
    let missing = tempfile::tempdir().unwrap().path().join("none.toml");
    let message = Config::load(&missing).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot read {}: No such file", missing.display())), "{message}");
}

fn mistakes_of(text: &str) -> String {
    Config::parse(text, "FILE").unwrap_err().to_string()
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,80}|([\\[\\]a-z0-9.=\"'{},# \n\r\t]{0,80})") {
        let _ = parse(&text).map_err(|mistakes| mistakes.to_string());
    }

    /// A piece of the shipped file is replaced, which leaves much of it as it was.
    #[test]
    fn a_damaged_file_never_panics_and_its_mistakes_are_in_it(
        at in any::<prop::sample::Index>(),
        len in 0..60_usize,
        patch in "[\\[\\]a-z0-9.=\"'{},# \nß]{0,12}",
    ) {
        let mut chars: Vec<char> = SHIPPED.chars().collect();
        let at = at.index(chars.len());
        let end = chars.len().min(at + len);
        chars.splice(at..end, patch.chars());
        let text: String = chars.into_iter().collect();
        let Err(mistakes) = parse(&text) else { return Ok(()) };
        prop_assert!(!mistakes.told.is_empty());
        let lines: Vec<&str> = text.split('\n').collect();
        for Mistake { line, column, .. } in mistakes.told {
            prop_assert!((1..=lines[line - 1].chars().count() + 1).contains(&column), "{line}:{column}");
        }
    }
}
