//! Against OpenSSL's own client. `.ci/run` needs the command; elsewhere its absence skips the test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use trap_server::listener::tls::Clients;

use crate::certificates::Authority;
use crate::echo::{Echo, Went, options, trust};

fn is_there() -> bool {
    let there = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI needs the command `openssl`");
    there
}

#[tokio::test]
async fn openssl_talks_to_the_server_in_both_versions() {
    if !is_there() {
        return;
    }
    let authority = Authority::new("fleet");
    let server = authority.issue("server", &["localhost"], 1);
    let device = authority.issue("device1", &[], 2);
    let mut echo = Echo::start(&options(&[&server], Clients::Required(trust(&authority, &[])))).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let address = echo.address.to_string();
        let mut client = Command::new("openssl");
        client.args([
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-verify_return_error",
            "-servername",
            "localhost",
        ]);
        client.args([version, "-connect", &address, "-CAfile"]).arg(&authority.ca);
        client.arg("-cert").arg(&device.certificate).arg("-key").arg(&device.key);
        let mut client =
            client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(b"hello\n").unwrap();
        assert!(echo.open().await.is_some());
        let mut stdout = BufReader::new(client.stdout.take().unwrap());
        let mut line = String::new();
        let reading = tokio::task::spawn_blocking(move || stdout.read_line(&mut line).map(|_| line));
        assert_eq!(reading.await.unwrap().unwrap(), "hello\n");
        // The end of its input is its goodbye.
        drop(stdin);
        let ended = echo.next().await;
        assert!(matches!(ended, Went::Ended(6)), "{ended:?}");
        assert!(tokio::task::spawn_blocking(move || client.wait()).await.unwrap().unwrap().success());
    }
}
