//! What the documentation says is so: the keys and defaults, the reasons, the bytes, the links.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{PATIENCE, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trap_server::config::Config;
use trap_server::protocol::Reply;
use trap_server::stats::{Ended, Refused};

const README: &str = include_str!("../README.md");
const OPERATING: &str = include_str!("../docs/operating.md");
const PROTOCOL: &str = include_str!("../src/protocol/PROTOCOL.md");
const COMPARISON: &str = include_str!("../docs/comparison.md");
const CONFIG: &str = include_str!("../config.toml");

/// Tests run in the package's own folder.
const PAGES: [&str; 8] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/comparison.md",
    "docs/operating.md",
    "docs/figures.md",
    "docs/storage.md",
    "src/protocol/PROTOCOL.md",
];

#[test]
fn the_operators_page_has_every_key_of_the_config_with_its_default() {
    let keys = BTreeSet::from_iter(settings(CONFIG));
    let dotted = |(key, _): &(String, String)| key.contains('.') && !key.contains(' ');
    let told: BTreeSet<_> = cells(OPERATING).into_iter().filter(dotted).collect();
    assert_eq!(keys, told);
}

/// Its last two columns are those of the list of keys.
#[test]
fn the_operators_page_has_the_values_of_every_key_and_when_a_change_takes_effect() {
    for setting in Config::default().all_settings() {
        let section = setting.section.split(' ').next().unwrap();
        let row = OPERATING.lines().find(|row| row.starts_with(&format!("| `{section}.{}` |", setting.key)));
        let expected = format!(" | {} | {} |", setting.range, setting.effect);
        assert!(row.is_some_and(|row| row.ends_with(&expected)), "{row:?} must end with{expected}");
    }
}

#[test]
fn the_operators_page_has_every_reason() {
    let told: Vec<_> = cells(OPERATING).into_iter().map(|(name, _)| name).collect();
    let reasons = Ended::ALL.map(Ended::name).into_iter().chain(Refused::ALL.map(Refused::name));
    for reason in reasons {
        assert!(told.iter().any(|name| name == reason), "{reason} is missing");
    }
}

#[test]
fn the_readme_has_one_command_to_run_it_and_one_to_test_it() {
    for command in ["cargo run", "cargo test"] {
        assert_eq!(README.lines().filter(|line| line.starts_with(command)).count(), 1, "{command}");
    }
}

#[test]
fn every_link_of_the_pages_resolves() {
    for page in PAGES {
        let links = links(page);
        assert!(!links.is_empty() || page.ends_with("PROTOCOL.md"), "{page} has no links");
        for link in links {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => PathBuf::from(page),
                _ => Path::new(page).parent().unwrap().join(path),
            };
            assert!(target.exists(), "{page}: {link}");
            assert!(heading.is_empty() || anchors(&target).any(|anchor| anchor == heading), "{page}: {link}");
        }
    }
}

#[test]
fn every_row_of_the_comparison_has_a_test_that_exists_or_a_reason() {
    for row in COMPARISON.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| esockd ")) {
        let [_, _, tests, reason, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        assert!(!(tests.trim().is_empty() && reason.trim().is_empty()), "{row}");
    }
    let tests = COMPARISON.split('`').filter_map(|code| code.split_once("::"));
    let mut count = 0;
    for (file, function) in tests {
        let source = fs::read_to_string(file).unwrap_or_else(|err| panic!("{file}: {err}"));
        assert!(source.contains(&format!("fn {function}(")), "{file} has no {function}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[test]
fn the_protocol_page_has_every_word() {
    for reply in Reply::ALL {
        assert!(PROTOCOL.contains(&format!("`{reply}`")), "{reply} is missing");
    }
}

#[tokio::test]
async fn the_examples_in_bytes_are_answered_so() {
    let server = TestServer::start("readme", |config| {
        config.credentials = Config::default().credentials;
    });
    let examples: Vec<_> =
        cells(PROTOCOL).into_iter().filter_map(|(hex, words)| Some((bytes(&hex)?, words))).collect();
    assert!(examples.len() > 10, "{examples:?}");
    for (bytes, words) in examples {
        let mut peer = TcpStream::connect(server.address).await.unwrap();
        peer.write_all(&bytes).await.unwrap();
        peer.shutdown().await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, peer.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, words.replace(' ', ""), "{bytes:02x?}");
    }
}

/// `section.key` and value of each setting.
fn settings(config: &str) -> Vec<(String, String)> {
    let mut section = "";
    let mut settings = Vec::new();
    for line in config.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, value)) = line.split_once(" = ") {
            settings.push((format!("{section}.{key}"), value.into()));
        }
    }
    settings
}

/// The first two cells of each row whose first is code; the second is empty unless it is code too.
fn cells(page: &str) -> Vec<(String, String)> {
    let code = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|');
        let first = code(cells.next()?)?;
        Some((first, cells.next().and_then(code).unwrap_or_default()))
    };
    page.lines().filter_map(row).collect()
}

/// The targets of the links to other files and headings.
fn links(page: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.filter(|target| !target.starts_with("http")).collect()
}

/// The headings of a page, as links name them.
fn anchors(page: &Path) -> impl Iterator<Item = String> {
    let text = fs::read_to_string(page).unwrap();
    let headings: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches(['#', ' ']))
        .map(anchor)
        .collect();
    headings.into_iter()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Whole frames; a single byte is a description.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let bytes: Option<Vec<_>> = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes.filter(|bytes| bytes.len() > 1)
}
