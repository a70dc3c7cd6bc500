//! Every kind of mistake, and its position.

use super::*;

/// Asserts that `text` has these mistakes, by line, column and a part of the message.
#[track_caller]
fn assert_mistakes(text: &str, expected: &[(usize, usize, &str)]) {
    let found = mistakes(text);
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for ((line, column, message), (expected_line, expected_column, part)) in found.iter().zip(expected) {
        assert_eq!((line, column), (expected_line, expected_column), "{text}\n{message}");
        assert!(message.contains(part), "{text}\n{message}\n{part}");
    }
}

#[test]
fn values_have_a_type_and_a_range() {
    for (section, key, right, wrong) in [
        ("[server]", "workers", "0 1024", "-1 1025 \"2\" 1.0 true [] {} 1979-05-27 99999999999999999999"),
        ("[server]", "shutdown", "\"1ms\" \"1d\"", "\"0s\" \"999us\" \"86401s\" \"2\" 2 \"\" \"-1s\""),
        ("[server]", "drain", "\"0s\" \"1ms\" \"1d\"", "\"2days\" 30"),
        ("[supervisor]", "max_restarts", "0 1_000_000", "-1 1000001 \"many\""),
        ("[supervisor]", "within", "\"1ms\" \"24h\"", "\"0s\" \"25h\" 3600"),
        ("[supervisor]", "max_backoff", "\"1ms\" \"60s\"", "\"0s\" \"61s\" 1"),
        ("[[listener]]", "name", "\"a\" \"A-z_0\"", "\"\" \"a.b\" \"ä\" 1"),
        (
            "[[listener]]",
            "bind",
            "\"0\" \"127.0.0.1:1\" \"[::]:65535\" \"[fe80::1%lo]:1\"",
            "5000 \"localhost:5000\" \"::1\" \"65536\" \"[fe80::1]:1\" \"224.0.0.1:1\" \"[ff02::1%1]:1\"",
        ),
        ("[[listener]]", "acceptors", "1 1024", "0 1025"),
        ("[[listener]]", "max_connections", "1 1000000000", "0 1000000001"),
        ("[[listener]]", "max_unauthenticated", "1 1000000000", "0 1000000001"),
        ("[[listener]]", "backlog", "1 65535", "0 65536"),
        ("[[listener]]", "nodelay", "true false", "1 \"true\""),
        ("[[listener]]", "keepalive", "\"0s\" \"1s\" \"32767s\"", "\"32768s\" \"1ms\" \"1.5s\" 60"),
        ("[[listener]]", "bind", "\"unix:a\" \"unix:/b/c\"", "\"unix:\" \"unix:a\\u0000b\""),
        ("[[listener]]", "mode", "\"0000\" \"0777\" \"660\"", "660 \"0o660\" \"1777\" \"0680\" \"66\""),
        ("[[listener]]", "only_v6", "true false", "1 \"true\""),
        ("[[listener]]", "reuse_port", "true false", "1 \"true\""),
        ("[[listener]]", "keepalive_interval", "\"0s\" \"1s\" \"32767s\"", "\"32768s\" \"1ms\" 60"),
        ("[[listener]]", "keepalive_count", "1 127", "0 128"),
        ("[[listener]]", "user_timeout", "\"0s\" \"1ms\" \"1d\"", "\"2days\" 60"),
        ("[[listener]]", "receive_buffer", "\"0B\" \"4KiB\" \"1GiB\"", "\"1KiB\" \"2GiB\" 4096"),
        ("[[listener]]", "send_buffer", "\"0B\" \"4KiB\" \"1GiB\"", "\"1KiB\" \"2GiB\" 4096"),
        ("[[listener]]", "access", "[\"deny\\u0020all\"]", "\"all\" [1] true"),
        ("[server]", "max_connections", "0 1 1000000000", "-1 1000000001 \"1\""),
        ("[server]", "max_lag", "\"0s\" \"300ms\" \"1m\"", "\"299ms\" \"61s\" 1"),
        ("[[listener]]", "connection_rate", "0 1 1000000", "-1 1000001"),
        ("[[listener]]", "connection_burst", "0 1000000", "-1 1000001"),
        ("[[listener]]", "shared_rate", "\"\" \"fleet\"", "\"a.b\" 1"),
        ("[[listener]]", "connection_excess", "\"wait\" \"refuse\"", "\"drop\" true"),
        ("[[listener]]", "source_connections", "0 1", "-1 \"1\""),
        ("[[listener]]", "source_rate", "0 1 1000000", "-1 1000001"),
        ("[[listener]]", "source_burst", "0 1000000", "-1 1000001"),
        ("[[listener]]", "source_prefix", "1 128", "0 129"),
        ("[[listener]]", "on_change", "\"keep\" \"close\"", "\"drop\" true"),
        ("[session]", "auth_timeout", "\"1ms\" \"1d\"", "\"0s\" \"2days\" 3"),
        ("[session]", "frame_timeout", "\"1ms\" \"1d\"", "\"0s\" \"2days\" 5"),
        ("[session]", "write_timeout", "\"1ms\" \"1d\"", "\"0s\" \"2days\" 10"),
        ("[session]", "idle_timeout", "\"0s\" \"1ms\" \"1d\"", "\"2days\" \"1us\" 0 false"),
        ("[session]", "max_frame", "1 65535", "0 65536"),
        ("[session]", "duplicate", "\"takeover\" \"reject\"", "\"Reject\" true"),
        ("[credentials]", "clients", "[] [\"*\"]", "\"*\" [[]] {}"),
        ("[session]", "max_unanswered", "\"1KiB\" \"1TiB\"", "\"1023B\" \"1024\" 1024 \"2TiB\""),
        ("[session]", "messages_per_second", "0 1 100000000", "-1 100000001 \"1\""),
        ("[session]", "bytes_per_second", "\"0B\" \"1KiB\" \"1GiB\"", "\"1B\" \"2GiB\" 1024"),
        ("[credentials]", "source", "\"list\" \"sqlite\" \"postgres\"", "\"mysql\" 1"),
        ("[credentials]", "timeout", "\"1ms\" \"1m\"", "\"0s\" \"61s\" 2"),
        ("[credentials]", "cache_time", "\"0s\" \"1ms\" \"1d\"", "\"2days\" 60"),
        ("[credentials]", "outage_grace", "\"0s\" \"1ms\" \"30days\"", "\"31days\" 60"),
        ("[credentials]", "cache_size", "1 100000000", "0 100000001"),
        ("[credentials]", "max_unknown", "0 1000000", "-1 1000001"),
        ("[store]", "kind", "\"log\" \"sqlite\"", "\"disk\" 1"),
        ("[store]", "path", "\"a\" \"/b/c/\"", "\"\" 1 \"a\\u0000b\""),
        ("[store]", "synchronous", "\"full\" \"normal\"", "\"off\" true"),
        ("[store]", "batch_records", "1 1000000", "0 1000001"),
        ("[store]", "batch_bytes", "\"1KiB\" \"1GiB\"", "\"1B\" \"2GiB\" 4194304"),
        ("[store]", "batch_time", "\"1ms\" \"1s\"", "\"0s\" \"2s\""),
        ("[store]", "lock_timeout", "\"1ms\" \"20s\"", "\"0s\" \"21s\""),
        ("[server]", "max_unanswered", "\"1KiB\" \"1TiB\"", "\"0B\" \"2TiB\" 67108864"),
        ("[store]", "segment_size", "\"64KiB\" \"64GiB\"", "\"1KiB\" 262144"),
        ("[store]", "max_age", "\"0s\" \"1m\" \"3650d\"", "\"59s\" 30 \"1year\""),
        ("[store]", "max_size", "\"0B\" \"1MiB\" \"256TiB\"", "\"1KiB\" 0"),
        ("[log]", "level", "\"off\" \"trace\"", "\"INFO\" 3"),
        ("[log]", "stats_every", "\"0s\" \"1s\" \"1d\"", "\"999ms\" \"2days\" 60"),
    ] {
        for right in right.split(' ') {
            let text = format!("{section}\n{key} = {right}");
            assert!(parse(&text).is_ok(), "{text}");
        }
        for wrong in wrong.split(' ') {
            let column = key.len() + 4;
            assert_mistakes(
                &format!("{section}\n{key} = {wrong}"),
                &[(2, column, &format!("`{key}` must be "))],
            );
            assert_mistakes(
                &format!("{section}\n{key} = {wrong}"),
                &[(2, column, &format!(", not {wrong}"))],
            );
        }
    }
    assert!(parse(&format!("[[listener]]\nname = {:?}", "x".repeat(32))).is_ok());
    assert!(parse(&format!("[[listener]]\nname = {:?}", "x".repeat(33))).is_err());
}

#[test]
fn the_messages_name_the_correction() {
    for (text, line, column, message) in [
        ("[server]\nworkers = 5000", 2, 11, "`workers` must be a whole number from 0 to 1024, not 5000"),
        (
            "[session]\n  auth_timeout = 3",
            2,
            18,
            "`auth_timeout` must be a time with its unit, such as \"3s\" or \"250ms\", from \"1ms\" to \"1d\", not 3",
        ),
        (
            "[session]\nidle_timeout = \"2d\"",
            2,
            16,
            "`idle_timeout` must be a time with its unit, such as \"3s\" or \"250ms\", from \"1ms\" to \"1d\", or \
             \"0s\" (off), not \"2d\"",
        ),
        (
            "[[listener]]\nkeepalive = \"1ms\"",
            2,
            13,
            "`keepalive` must be whole seconds with their unit, from \"1s\" to \"32767s\", or \"0s\" (off), not \"1ms\"",
        ),
        (
            "[[listener]]\nbind = \"trap.example:5000\"",
            2,
            8,
            "`bind` must be a port or an IP address with a port, in quotes, such as \"5000\", \"192.168.0.7:5000\" or \
             \"[::1]:5000\" (host names are not looked up), or a path behind \"unix:\", not \"trap.example:5000\"",
        ),
        (
            "[[listener]]\nname = \"a b\"",
            2,
            8,
            "`name` must be 1 to 32 letters, digits, `_` and `-`, in quotes, not \"a b\"",
        ),
        (
            "[session]\nduplicate = \"both\"",
            2,
            13,
            "`duplicate` must be \"takeover\" or \"reject\", not \"both\"",
        ),
        ("[log]\nlvl = \"x\"", 2, 1, "unknown key in [log]: `lvl`, expected one of level, stats_every"),
        (
            "[[listener]]\nport = 1",
            2,
            1,
            "unknown key in [[listener]]: `port`, expected one of name, bind, mode, only_v6, \
             acceptors, reuse_port, max_connections, max_unauthenticated, connection_rate, connection_burst, \
             shared_rate, connection_excess, source_connections, source_rate, source_burst, \
             source_prefix, backlog, nodelay, keepalive, \
             keepalive_interval, keepalive_count, user_timeout, receive_buffer, send_buffer, access, on_change, tls",
        ),
        (
            "[session]\nmax-frame = 1",
            2,
            1,
            "unknown key in [session]: `max-frame`, did you mean `max_frame`?",
        ),
        ("[sesion]\nx = 1", 1, 2, "unknown section `sesion`, did you mean `session`?"),
        (
            "workers = 1",
            1,
            1,
            "unknown section `workers`, expected one of server, supervisor, listener, session, credentials, store, log",
        ),
        ("[[server]]", 1, 1, "`server` must be one section: [server], with its keys below"),
        ("log = \"info\"", 1, 7, "`log` must be one section: [log], with its keys below"),
        (
            "[listener]\nname = 1",
            1,
            1,
            "each `listener` must be a section of its own: [[listener]], with its keys below",
        ),
        (
            "listener = []",
            1,
            12,
            "each `listener` must be a section of its own: [[listener]], with its keys below",
        ),
        (
            "listener = [{}, 2]",
            1,
            17,
            "each `listener` must be a section of its own: [[listener]], with its keys below",
        ),
        (
            "[credentials]\nclients = [\"a\",\n  \"b*c\"]",
            3,
            3,
            "`*` is allowed only at the end, as in \"dev-*\", not as in \"b*c\"",
        ),
        ("[credentials]\nclients = [\"\"]", 2, 12, "invalid id length 0, expected 1 to 255 bytes"),
        ("[credentials]\nclients = [\"a\\n*\"]", 2, 12, "control character '\\n' in id"),
        ("[credentials]\nclients = 5", 2, 11, "`clients` must be a list of strings, [\"…\", \"…\"], not 5"),
        ("[[listener]]\naccess = []", 2, 10, "no rules: expected at least `allow all` or `deny all`"),
        (
            "[[listener]]\naccess = [\"allow 10.0.0.0/8\"]",
            2,
            11,
            "the last rule must be `allow all` or `deny all`",
        ),
    ] {
        assert_eq!(mistakes(text), [(line, column, message.to_owned())], "{text}");
    }
}

#[test]
fn all_mistakes_are_in_one_report() {
    let text = "\
[server]
worker = 1
shutdown = 2
[[listener]]
access = [\"allow all\", \"permit\", \"deny ::1\"]
[log]
level = \"loud\"
";
    assert_mistakes(
        text,
        &[
            (2, 1, "did you mean `workers`"),
            (3, 12, "a time with its unit"),
            (5, 11, "must be in the last rule"),
            (5, 24, "invalid rule"),
            (5, 34, "the last rule"),
            (7, 9, "\"off\" or \"error\" or \"warn\" or \"info\" or \"debug\" or \"trace\""),
        ],
    );
}

#[test]
fn duplicate_names_and_addresses_are_rejected() {
    let two = |first: &str, second: &str| format!("[[listener]]\n{first}\n[[listener]]\n{second}");
    assert!(parse(&two("", "name = \"b\"\nbind = \"1\"")).is_ok());
    assert!(parse(&two("bind = \"0\"", "name = \"b\"\nbind = \"0\"")).is_ok());
    assert!(parse(&two("bind = \"[fe80::1%1]:1\"", "name = \"b\"\nbind = \"[fe80::1%2]:1\"")).is_ok());
    assert!(parse(&two("bind = \"[::1]:1\"", "name = \"b\"\nbind = \"127.0.0.1:1\"")).is_ok());
    assert!(parse(&two("bind = \"0.0.0.0:1\"", "name = \"b\"\nbind = \"[::1]:1\"")).is_ok());
    assert!(parse(&two("bind = \"[::]:1\"\nonly_v6 = true", "name = \"b\"\nbind = \"1\"")).is_ok());
    assert_mistakes(
        &two("bind = \"unix:a\"", "name = \"b\"\nbind = \"unix:a\""),
        &[(5, 8, "duplicate address unix:a")],
    );
    for (first, second) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "127.0.0.1:1"), ("[::1]:1", "[::]:1")] {
        let twins = two(&format!("bind = \"{first}\""), &format!("name = \"b\"\nbind = \"{second}\""));
        assert_mistakes(&twins, &[(5, 8, &format!("{second} conflicts with {first} of a listener above"))]);
    }
    assert_mistakes(&two("", "bind = \"1\""), &[(3, 1, "duplicate name \"trap\"")]);
    assert_mistakes(&two("", "name = \"b\""), &[(3, 1, "duplicate address 0.0.0.0:5000")]);
    assert_mistakes(
        &two("name = \"a\"\nbind = \"127.0.0.1:1\"", "name = \"a\"\nbind = \"[::ffff:127.0.0.1]:1\""),
        &[(5, 8, "needs a `name` of its own"), (6, 8, "needs a `bind` of its own")],
    );
    // An invalid name is not compared.
    assert_mistakes(&two("", "name = \"\"\nbind = \"1\""), &[(4, 8, "`name` must be")]);
}

#[test]
fn a_unix_socket_has_no_access_rules() {
    let rules = "access = [\"allow all\"]";
    assert_mistakes(
        &format!("[[listener]]\n{rules}\nbind = \"unix:a\""),
        &[(2, 10, "`access` is for IP addresses; `mode` says which users may connect to a Unix socket")],
    );
    assert!(parse("[[listener]]\nbind = \"unix:a\"\nmode = \"0600\"").is_ok());
}

#[test]
fn syntax_errors_have_a_place() {
    assert_mistakes("[log]\nlevel = info", &[(2, 9, "text must be in quotes")]);
    assert_mistakes("[[listener]]\nbind = 0.0.0.0:5000", &[(2, 11, "text must be in quotes")]);
    assert_mistakes("[log]\nlevel = \"info\nstats_every = 1", &[(2, 14, "invalid"), (3, 15, "a time")]);
    assert_mistakes("[log]\nlevel = \"info\"\nlevel = \"warn\"", &[(3, 1, "duplicate key `level`")]);
    assert_mistakes("[log]\n[server]\n[log]", &[(3, 2, "duplicate key `log`")]);
    // With a broken head, the section of the keys below it is unknown.
    assert_mistakes("[server\nworkers = 1\nshutdown = 2", &[(1, 8, "expected `]`")]);
    assert_mistakes(
        "[server\nworkers = 1\n\n[log]\nlvl = 1",
        &[(1, 8, "expected `]`"), (5, 1, "unknown key in [log]: `lvl`")],
    );
    assert_mistakes("[[listener]\nname = 1\n[log]\nlvl = 1", &[(1, 12, "expected `]`")]);
    assert_mistakes("[server]\nworkers\n", &[(2, 8, "expected `=`")]);
    assert_mistakes("[server]\nworkers =", &[(2, 10, "must be quoted")]);
    // The second listener has lost its name and its address.
    assert_mistakes("[[listener]]\n[[listener]]\nname\nbind = \"1\"", &[(3, 5, "expected `=`")]);
}

#[test]
fn a_mistake_is_shown_in_its_line() {
    let shown = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        shown("\u{feff}[server]\r\n\tworkers = \"größe\"\t# x\r\nshutdown = \"\"\r\n"),
        concat!(
            "config.toml:2:12: `workers` must be a whole number from 0 to 1024, not \"größe\"\n",
            "  |\n",
            "2 | \tworkers = \"größe\"\t# x\n",
            "  | \t          ^^^^^^^\n",
            "\n",
            "config.toml:3:12: `shutdown` must be a time with its unit, such as \"3s\" or \"250ms\", from \"1ms\" \
             to \"1d\", not \"\"\n",
            "  |\n",
            "3 | shutdown = \"\"\n",
            "  |            ^^\n",
        )
    );
    let control = shown("a = 1 \u{7f} \u{1b}[31m");
    assert!(control.ends_with("1 | a = 1    [31m\n  |     ^^^^^\n"), "{control}");
    let column = shown("\u{feff}workers = 1");
    assert!(column.starts_with("config.toml:1:1: "), "{column}");
    let several_lines = shown(&format!("{}[log]\nlevel = [\n1]", "\n".repeat(8)));
    assert!(several_lines.ends_with("not […\n   |\n10 | level = [\n   |         ^\n"), "{several_lines}");
    let long = shown(&format!("[log]\nlevel = {:?}", "x".repeat(300)));
    assert!(long.ends_with(&format!("not \"{}…", "x".repeat(39))), "{long}");
}

#[test]
fn no_piece_of_a_file_reaches_the_terminal_with_control_characters() {
    for text in ["a\u{1b} = 1\na\u{1b} = 2", "\"\\u001b[2J\" = 1", "[log]\nlevel = \"\\u001b[2J\""] {
        let shown = parse(text).unwrap_err().to_string();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}

#[test]
fn a_file_with_many_mistakes_does_not_flood_the_terminal() {
    let text: String = (0..150).map(|line| format!("x{line} = 1\n")).collect();
    let mistakes = parse(&text).unwrap_err();
    assert_eq!((mistakes.told.len(), mistakes.untold), (100, 50));
    assert!(mistakes.to_string().ends_with("\nand 50 more mistakes"));
}

#[test]
fn a_password_is_not_repeated() {
    for line in [
        "url = \"postgres://trap:secret@db/trap\"",
        "url = \"postgres://trap:secret@db/trap",
        "ulr = \"x://secret@\"",
    ] {
        let Err(mistakes) = parse(&format!("[credentials]\n{line}")) else { panic!("{line}") };
        assert!(!mistakes.to_string().contains("secret"), "{mistakes}");
    }
    assert_mistakes(
        "[credentials]\nurl = \"postgres://trap:secret@db/trap\"",
        &[(2, 7, "without a password, which is taken from the environment's PGPASSWORD, not …")],
    );
}

#[test]
fn contradictions_of_tls_are_mistakes_at_their_key() {
    for (text, line, expected) in [
        (
            "certificates = [\"a\", \"b\"]\nkeys = [\"c\"]",
            4,
            "each certificate needs its key at the same position: there are 2 and 1",
        ),
        ("keys = [\"c\"]", 3, "there are 0 and 1"),
        ("client_certificates = \"required\"", 3, "certificates of clients need a `client_ca`"),
        (
            "client_ca = \"a\"\nclient_certificates = \"optional\"\nidentity = \"cn\"",
            5,
            "`identity` needs client_certificates",
        ),
        ("certificates = [\"\"]", 3, "each element must be the path of a file"),
        (
            "certificate = [\"a\"]",
            3,
            "unknown key in [listener.tls]: `certificate`, did you mean `certificates`?",
        ),
        ("min_version = \"1.1\"", 3, "`min_version` must be \"1.2\" or \"1.3\", not \"1.1\""),
    ] {
        let text = format!("[[listener]]\n[listener.tls]\n{text}\n");
        let (at, _, message) = mistakes(&text).remove(0);
        assert!(at == line && message.contains(expected), "{text}{at}: {message}");
    }
    let unix = "[[listener]]\nbind = \"unix:a\"\n[listener.tls]\ncertificates = [\"a\"]\nkeys = [\"b\"]\n";
    let (_, _, message) = mistakes(unix).remove(0);
    assert!(message.contains("a Unix socket needs no TLS"), "{message}");
}

#[test]
fn listeners_that_share_a_rate_must_agree_on_it() {
    let two = |rate| {
        let one = "[[listener]]\nconnection_rate = 5\nshared_rate = \"fleet\"\n";
        format!(
            "{one}[[listener]]\nname = \"b\"\nbind = \"1\"\nconnection_rate = {rate}\nshared_rate = \"fleet\""
        )
    };
    assert!(parse(&two(5)).is_ok());
    assert_mistakes(&two(6), &[(8, 15, "listener \"trap\" has another rate of the name \"fleet\"")]);
}
