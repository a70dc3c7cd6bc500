//! Files that cannot be used, and those that should not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::date_time_ymd;
use trap_server::listener::tls::{Clients, Loaded, Options};

use crate::certificates::{Authority, Issued};
use crate::echo::{options, trust};

fn error(options: &Options) -> String {
    options.load(SystemTime::now()).unwrap_err().to_string()
}

/// The error of a certificate file with this content.
fn error_of(authority: &Authority, content: impl AsRef<[u8]>) -> String {
    let server = authority.issue("server", &["localhost"], 1);
    fs::write(&server.certificate, content).unwrap();
    let text = error(&options(&[&server], Clients::Anonymous));
    assert!(text.starts_with(&format!("{}: ", server.certificate.display())), "{text}");
    text
}

#[test]
fn an_error_names_the_file_the_line_and_the_remedy() {
    let authority = Authority::new("fleet");
    let server = authority.issue("server", &["localhost"], 1);
    let (pem, key) =
        (fs::read_to_string(&server.certificate).unwrap(), fs::read_to_string(&server.key).unwrap());
    let cut = &pem[..pem.len() / 2];
    for (content, expected) in [
        (String::new(), "expected `-----BEGIN CERTIFICATE-----`, found no PEM section"),
        (key, "found only PRIVATE KEY"),
        (format!("\n{cut}"), "line 2: the section has no line `-----END CERTIFICATE-----`"),
        (pem.replace("MII", "M!I"), "line 1: the section is not valid base64"),
        (
            pem.replace("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE"),
            "line 1: the line must end with `-----`",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            "line 1: expected an X.509 certificate",
        ),
        (format!("{pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "expected an X.509"),
    ] {
        let text = error_of(&authority, &content);
        assert!(text.contains(expected), "{text}, expected {expected}");
    }
    let text = error_of(&authority, [0x30, 0x82, 1, 1]);
    assert!(text.contains("openssl x509 -inform DER"), "{text}");
}

#[test]
fn a_key_must_be_there_be_readable_and_fit() {
    let authority = Authority::new("fleet");
    let (one, two) = (authority.issue("one", &["one"], 1), authority.issue("two", &["two"], 2));
    let mixed = Issued { key: two.key.clone(), ..one.clone() };
    let text = error(&options(&[&mixed], Clients::Anonymous));
    assert!(text.contains("2.key") && text.contains("does not belong to the certificate in"), "{text}");

    let with_key = |content: &str| {
        fs::write(&one.key, content).unwrap();
        error(&options(&[&one], Clients::Anonymous))
    };
    for (content, expected) in [
        (
            "\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "line 2: the key is encrypted; store it without a passphrase",
        ),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "1.key: "),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "found only CERTIFICATE"),
    ] {
        let text = with_key(content);
        assert!(text.contains(expected), "{text}, expected {expected}");
    }
    fs::remove_file(&one.key).unwrap();
    let text = error(&options(&[&one], Clients::Anonymous));
    assert!(text.contains("1.key: No such file"), "{text}");
}

#[test]
fn bad_lists_of_revoked_certificates_are_errors() {
    let authority = Authority::new("fleet");
    let server = authority.issue("server", &["localhost"], 1);
    let with = |crl: &Path| error(&options(&[&server], Clients::Required(trust(&authority, &[crl]))));
    let text = with(&authority.ca);
    assert!(text.contains("expected `-----BEGIN X509 CRL-----`, found only CERTIFICATE"), "{text}");
    let text = with(Path::new("/nowhere.pem"));
    assert!(text.contains("/nowhere.pem: No such file"), "{text}");
}

#[test]
fn what_works_but_not_for_long_is_a_warning() {
    let authority = Authority::new("fleet");
    let fine = authority.issue("fine", &["localhost"], 1);
    let expired =
        authority.issue_with("old", &["old"], 2, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early =
        authority.issue_with("new", &["new"], 3, |params| params.not_before = date_time_ymd(2100, 1, 1));
    let load = |issued, now| -> Loaded { options(&[issued], Clients::Anonymous).load(now).unwrap() };
    let now = SystemTime::now();
    assert_eq!(load(&fine, now).warnings, [""; 0]);
    assert!(load(&expired, now).warnings[0].contains("2.pem: the certificate has expired"));
    assert!(load(&early, now).warnings[0].contains("3.pem: the certificate is not valid yet"));
    fs::set_permissions(&fine.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load(&fine, now).warnings[0].contains("other users may read or change the key; `chmod 600"));

    let crl = authority.revoke(&[]);
    let required = options(&[&early], Clients::Required(trust(&authority, &[&crl])));
    let in_2095 = SystemTime::UNIX_EPOCH + Duration::from_secs(125 * 365 * 24 * 60 * 60);
    let warnings = required.load(in_2095).unwrap().warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("the revocation list is out of date")),
        "{warnings:?}"
    );
}

#[test]
fn a_certificate_is_shown_with_its_subject_and_its_end() {
    let authority = Authority::new("fleet");
    let server = authority.issue("trap.example", &["trap.example", "*.TRAP.example"], 1);
    let loaded = options(&[&server], Clients::Anonymous).load(SystemTime::now()).unwrap();
    let (path, summary) = &loaded.certificates[0];
    assert_eq!(path, &server.certificate);
    assert!(summary.subject.contains("CN=trap.example"), "{}", summary.subject);
    assert_eq!(summary.names, ["trap.example", "*.trap.example"]);
    assert!(summary.until > SystemTime::now());
}
