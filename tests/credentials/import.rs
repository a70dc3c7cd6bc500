use std::fs;

use crate::site::{Site, text};

const SQLITE: &str = "source = \"sqlite\"";

fn ids(site: &Site) -> Vec<String> {
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    // Without the moment at which they were added.
    csv.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
}

#[test]
fn ids_are_added_and_what_a_file_does_not_say_stays() {
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "a", "--note", "old", "--expires", "2030-01-01"]);
    fs::write(site.path("ids.csv"), "id,enabled\na,false\nb,true\nc,false\n").unwrap();
    assert_eq!(site.done(&["clients", "import", "ids.csv"]), "2 added, 1 updated\n");
    let expected = ["a,false,old,2030-01-01T00:00:00Z,", "b,true,,,", "c,false,,,"];
    assert_eq!(ids(&site), expected);
    let output =
        site.run_with(&["clients", "import", "-"], "id,note,expires_at\na,,\nb,\"x, y\",2031-01-01\n");
    assert_eq!(text(&output.stdout), "0 added, 2 updated\n");
    assert_eq!(ids(&site), ["a,false,,,", "b,true,\"x, y\",2031-01-01T00:00:00Z,", "c,false,,,"]);
}

#[test]
fn a_printed_list_can_be_imported_elsewhere() {
    let (site, other) = (Site::new(SQLITE), Site::new(SQLITE));
    site.done(&[
        "clients",
        "add",
        "größe \"7\"",
        "--note",
        "a, b",
        "--expires",
        "2026-12-31 18:00:00",
        "--disabled",
    ]);
    site.done(&["clients", "add", "plain"]);
    fs::write(other.path("ids.csv"), site.done(&["clients", "list", "--format", "csv"])).unwrap();
    assert_eq!(other.done(&["clients", "import", "ids.csv"]), "2 added, 0 updated\n");
    assert_eq!(ids(&other), ids(&site));
}

#[test]
fn a_formula_is_guarded_in_csv_and_restored() {
    let (site, other) = (Site::new(SQLITE), Site::new(SQLITE));
    site.done(&["clients", "add", "=HYPERLINK(\"http://x\")", "--note", "@SUM(A1)"]);
    site.done(&["clients", "add", "'=1", "--note=-1"]);
    let csv = site.done(&["clients", "list", "--format", "csv"]);
    assert!(csv.contains("\n\"'=HYPERLINK(\"\"http://x\"\")\",true,'@SUM(A1),"), "{csv}");
    assert!(csv.contains("\n''=1,true,'-1,"), "{csv}");
    fs::write(other.path("ids.csv"), csv).unwrap();
    other.done(&["clients", "import", "ids.csv"]);
    let ndjson = |site: &Site| {
        let printed = site.done(&["clients", "list", "--format", "ndjson"]);
        printed.lines().map(|line| line.split_once("\"enabled\"").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ndjson(&other), ndjson(&site));
}

#[test]
fn a_quote_that_is_not_closed_swallows_nothing() {
    let site = Site::new(SQLITE);
    for (text, lines) in [
        ("id,created_at\na,\"2026-01-01\nb,2026-01-01\nc,2026-01-01\n", &[2][..]),
        ("id,note\na,\"north\nb,\"south\"\nc,\"west", &[2, 4]),
        ("id,note\na,\"north\" or so\nb,south\"\n \"c\",\n\"d\",\"e\"\n", &[2, 3, 4]),
    ] {
        fs::write(site.path("ids.csv"), text).unwrap();
        let (code, why) = site.refused(&["clients", "import", "ids.csv"]);
        let told: Vec<u64> = why
            .lines()
            .filter(|line| line.contains("quote"))
            .filter_map(|line| line.strip_prefix("ids.csv:")?.split(':').next()?.parse().ok())
            .collect();
        assert_eq!((code, &*told), (64, lines), "{why}");
    }
    assert!(!site.done(&["clients", "list"]).contains('a'));
}

#[test]
fn with_a_mistake_nothing_is_imported_and_all_mistakes_are_reported() {
    let site = Site::new(SQLITE);
    site.done(&["clients", "add", "a"]);
    fs::write(site.path("ids.csv"), "id,enabled,expires_at\na,false,\nb,maybe,\nc,true,soon\nb,true,\n")
        .unwrap();
    let (code, why) = site.refused(&["clients", "import", "ids.csv"]);
    assert_eq!(code, 64);
    for told in [
        "nothing was imported",
        "ids.csv:3: `enabled` must be `true` or `false`, not \"maybe\"",
        "ids.csv:4: `expires_at` must be a date",
        "ids.csv:5: duplicate id \"b\", also on line 3",
    ] {
        assert!(why.contains(told), "{told} is not in: {why}");
    }
    assert_eq!(ids(&site), ["a,true,,,"]);
    let (code, why) = site.refused(&["clients", "import", "missing.csv"]);
    assert_eq!((code, why.contains("cannot read missing.csv")), (74, true), "{why}");
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let site = Site::new(SQLITE);
    fs::write(site.path("ids.csv"), vec![b'\n'; (16 << 20) + 1]).unwrap();
    let (code, why) = site.refused(&["clients", "import", "ids.csv"]);
    assert_eq!(
        (code, why.contains("ids.csv is larger than 16.0 MiB: import it in several parts")),
        (64, true),
        "{why}"
    );
}
