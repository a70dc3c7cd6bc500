//! TLS at the binary: bad files, `--check`, a reload, and `trap-client`.

use std::fs;
use std::process::Output;
use std::time::{Duration, SystemTime};

use rustls::version::TLS13;
use trap_server::client::Device;

use crate::certificates::{Authority, Issued, connect};
use crate::child::{CONFIG, PATIENCE, Server, run};

fn config(server: &Issued, more: &str) -> String {
    let (certificate, key) = (server.certificate.display(), server.key.display());
    let tls = format!("[listener.tls]\ncertificates = [\"{certificate}\"]\nkeys = [\"{key}\"]\n{more}");
    CONFIG.replace("[credentials]", &format!("{tls}\n[credentials]"))
}

async fn device(
    authority: &Authority,
    server: &Server,
) -> std::io::Result<Device<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>> {
    let stream = connect(&authority.client(&[&TLS13], None), "localhost", server.address()).await?;
    Ok(Device::over(stream).with_deadline(PATIENCE))
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_bad_file_is_an_error_at_the_start_and_in_a_check() {
    let authority = Authority::new("fleet");
    let issued = authority.issue("trap.example", &["localhost"], 1);
    let config = config(&issued, "");
    let checked = run(Some(&config), &["--check"]);
    let text = told(&checked);
    assert!(checked.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("CN=trap.example, expires 4096-01-01")).unwrap();
    assert!(line.trim().starts_with(&issued.certificate.display().to_string()), "{line}");

    fs::write(&issued.key, "nothing").unwrap();
    for arguments in [&["--check"][..], &[]] {
        let failed = run(Some(&config), arguments);
        let text = told(&failed);
        assert_eq!(failed.status.code(), Some(64), "{text}");
        let expected = format!(
            "listener \"test\": {}: expected `-----BEGIN PRIVATE KEY-----`, found no PEM section",
            issued.key.display()
        );
        assert!(text.contains(&expected), "{text}");
    }
}

#[tokio::test]
async fn a_reload_takes_new_files_for_new_connections() {
    let authority = Authority::new("fleet");
    let issued = authority.issue_with("server", &["localhost"], 1, |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs((5 * 24 + 1) * 60 * 60)).into();
    });
    let config = config(&issued, "");
    let server = Server::start(&format!("{config}[log]\nstats_every = \"1s\"\n"));
    server.await_line("certificate expires listener=test days=5 file=");
    server.await_line("certificate_days=5");
    let mut before = device(&authority, &server).await.unwrap();
    before.auth("before").await.unwrap();

    fs::write(&issued.certificate, "junk").unwrap();
    server.signal("HUP");
    let line = server.await_line("not reloaded, the running config stays in effect: listener \"test\": ");
    assert!(line.contains("found no PEM section"), "{line}");
    device(&authority, &server).await.unwrap().auth("meanwhile").await.unwrap();

    // The same files, of another authority.
    let other = Authority::new("other");
    let renewed = other.issue("server", &["localhost"], 1);
    fs::copy(&renewed.certificate, &issued.certificate).unwrap();
    fs::copy(&renewed.key, &issued.key).unwrap();
    server.signal("HUP");
    server.await_line("changes=0 needs_restart=0");
    device(&other, &server).await.unwrap().auth("after").await.unwrap();
    assert!(device(&authority, &server).await.is_err());
    before.ping().await.unwrap();
}

#[test]
fn trap_client_speaks_tls() {
    let authority = Authority::new("fleet");
    let (issued, own) = (authority.issue("server", &["trap.example"], 1), authority.issue("device1", &[], 2));
    let (ca, foreign) = (authority.ca.display().to_string(), Authority::new("other"));
    let clients = format!("client_certificates = \"required\"\nclient_ca = \"{ca}\"\nidentity = \"cn\"\n");
    let server = Server::start(&config(&issued, &clients));
    let (host, foreign_ca) = (server.address().to_string(), foreign.ca.display().to_string());
    let (cert, key) = (own.certificate.display().to_string(), own.key.display().to_string());
    let name = ["--server-name", "trap.example", "--host", &host, "--cert", &cert, "--key", &key];
    let client = |id: &str, more: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("trap-client").unwrap();
        command.timeout(PATIENCE).args(["send", "hello", "--id", id, "--tls"]).args(name).args(more);
        command.assert()
    };
    client("device1", &["--ca", &ca]).code(0).stdout("auth_ok\nsend_ok\n").stderr("");
    client("device2", &["--ca", &ca]).code(1).stdout("auth_failure\n");
    let warning = "trap-client: warning: the server is not verified (--insecure)\n";
    client("device1", &["--insecure"]).code(0).stdout("auth_ok\nsend_ok\n").stderr(warning);
    let told = |assert: assert_cmd::assert::Assert| {
        String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
    };
    let text = told(client("device1", &["--ca", &foreign_ca]).code(69));
    assert!(text.contains("invalid peer certificate: UnknownIssuer"), "{text}");
    let text = told(client("device1", &["--ca", "/no/such"]).code(66));
    assert!(text.contains("/no/such: "), "{text}");
    let text = told(client("device1", &[]).code(64));
    assert!(text.contains("`--tls` needs either `--ca` or `--insecure`"), "{text}");
    drop(server);
}
