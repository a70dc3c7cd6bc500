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
