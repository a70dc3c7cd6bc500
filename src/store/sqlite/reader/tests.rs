//! Reading, compared with a model: a list of rows that is searched linearly.

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::database::Options;

/// A row for a test, with data of this size.
#[derive(Clone, Debug)]
struct Sent {
    id: i64,
    at: i64,
    client: &'static str,
    bytes: usize,
}

/// A file with these rows, without the first `pruned` of them, as the writer would have left it.
struct Kept {
    folder: TempDir,
    connection: Connection,
}

impl Kept {
    fn new(sent: &[Sent], pruned: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { path: folder.path().join("trap.db"), full: false, lock_timeout: Default::default() };
        let connection = database::open(&database::SINGLE, &options).unwrap();
        let kept = Self { folder, connection };
        kept.connection.execute_batch("BEGIN").unwrap();
        sent.iter().for_each(|sent| kept.insert(sent));
        for pair in sent.windows(2).filter(|pair| pair[1].at < pair[0].at) {
            kept.connection.execute("INSERT INTO clock_step VALUES (?)", [pair[0].id + 1]).unwrap();
        }
        if let Some(last) = pruned.checked_sub(1).map(|last| sent[last].id) {
            kept.connection.execute("DELETE FROM message WHERE id <= ?", [last]).unwrap();
            kept.connection.execute("DELETE FROM clock_step WHERE first_id <= ?", [last]).unwrap();
        }
        kept.connection.execute_batch("COMMIT").unwrap();
        kept
    }

    fn insert(&self, Sent { id, at, client, bytes }: &Sent) {
        let sql = "INSERT INTO message VALUES (?, ?, ?, '127.0.0.1:1', 'trap', 'session', zeroblob(?))";
        self.connection.prepare_cached(sql).unwrap().execute((id, at, client, bytes)).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("trap.db")
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.path()).unwrap()
    }
}

/// The ids that were read, and the number of reads.
fn read_all(reader: &Reader, selection: &Selection) -> (Vec<i64>, usize) {
    let (mut found, mut parts) = (Vec::new(), 0);
    for mut ids in reader.select(selection, reader.ids().unwrap()).unwrap() {
        while !ids.is_empty() {
            let messages = reader.read(&mut ids, selection.client.as_deref()).unwrap();
            found.extend(messages.iter().map(|message| message.id));
            parts += 1;
        }
    }
    (found, parts)
}

fn expected(sent: &[Sent], selection: &Selection) -> Vec<i64> {
    let is_wanted = |sent: &&Sent| {
        selection.client.as_deref().is_none_or(|client| client == sent.client)
            && selection.since.is_none_or(|since| sent.at >= since.0)
            && selection.until.is_none_or(|until| sent.at < until.0)
    };
    let all: Vec<_> = sent.iter().filter(is_wanted).map(|sent| sent.id).collect();
    let limit = selection.limit.map_or(all.len(), |limit| usize::try_from(limit).unwrap());
    all[all.len().saturating_sub(limit)..].to_vec()
}

/// Rows whose ids have gaps around the size of a window, and whose clock is set back now and then.
fn rows() -> impl Strategy<Value = Vec<Sent>> {
    let gap = prop_oneof![9 => Just(1), 1 => 2..5_i64, 1 => ROWS - 2..=ROWS + 2, 1 => 1..1_i64 << 40];
    let step = prop_oneof![3 => Just(0), 6 => 0..4_i64, 1 => -30..0_i64];
    let bytes = prop_oneof![9 => 0..9_usize, 1 => BYTES / 2 - 1..BYTES / 2 + 2];
    let row = (gap, step, prop::sample::select(vec!["a", "b"]), bytes);
    vec(row, 0..40).prop_map(|rows| {
        let (mut id, mut at) = (0, 100);
        let next = |(gap, step, client, bytes)| {
            (id, at) = (id + gap, at + step);
            Sent { id, at, client, bytes }
        };
        rows.into_iter().map(next).collect()
    })
}

fn selections() -> impl Strategy<Value = Selection> {
    let client = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let time = || prop::option::of((60..160_i64).prop_map(Timestamp));
    let limit = prop::option::of(0..50_u64);
    (client, time(), time(), limit).prop_map(|(client, since, until, limit)| Selection {
        client: client.map(Into::into),
        since,
        until,
        limit,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_read_is_what_was_selected(
        sent in rows(),
        pruned in prop_oneof![0..9_usize, 0..40_usize],
        selections in vec(selections(), 1..8),
    ) {
        let pruned = pruned.min(sent.len());
        let kept = Kept::new(&sent, pruned);
        let reader = kept.reader();
        for selection in selections {
            prop_assert_eq!(read_all(&reader, &selection).0, expected(&sent[pruned..], &selection), "{:?}", selection);
        }
    }
}

/// `count` rows from id 1 on, the first of them at 0, one each microsecond.
fn regular(count: i64) -> Vec<Sent> {
    (1..=count).map(|id| Sent { id, at: id - 1, client: "a", bytes: 1 }).collect()
}

#[test]
fn a_part_ends_after_so_many_rows_or_bytes() {
    let reader = |sent: &[Sent]| Kept::new(sent, 0);
    let parts = |kept: &Kept| read_all(&kept.reader(), &Selection::default()).1;
    assert_eq!(parts(&reader(&regular(ROWS))), 1);
    assert_eq!(parts(&reader(&regular(ROWS + 1))), 2);
    let large = |bytes| regular(4).into_iter().map(|sent| Sent { bytes, ..sent }).collect::<Vec<_>>();
    assert_eq!(parts(&reader(&large(BYTES / 4))), 1);
    assert_eq!(parts(&reader(&large(BYTES / 2))), 2);
    assert_eq!(parts(&reader(&large(BYTES))), 4);
}

#[test]
fn the_newest_are_counted_across_windows() {
    let kept = Kept::new(&regular(2 * ROWS + 5), 0);
    for limit in [1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, 2 * ROWS + 5, 2 * ROWS + 6] {
        let selection = Selection { limit: Some(limit.unsigned_abs()), ..Selection::default() };
        let (ids, _) = read_all(&kept.reader(), &selection);
        assert_eq!(ids.len(), usize::try_from(limit.min(2 * ROWS + 5)).unwrap());
        assert_eq!(ids.last(), Some(&(2 * ROWS + 5)));
    }
}

#[test]
fn what_was_read_keeps_no_transaction_open() {
    let kept = Kept::new(&regular(3), 0);
    let reader = kept.reader();
    let mut ids = reader.ids().unwrap();
    let messages = reader.read(&mut (1..2), None).unwrap();
    kept.insert(&Sent { id: 4, at: 4, client: "a", bytes: 1 });
    let busy = kept.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i32>(0));
    assert_eq!((busy, messages.len()), (Ok(0), 1));
    // Messages received after the ids were taken are not included.
    assert_eq!(reader.read(&mut ids, None).unwrap().len(), 3);
}

#[test]
fn an_empty_file_has_no_messages() {
    let kept = Kept::new(&[], 0);
    assert_eq!(read_all(&kept.reader(), &Selection::default()), (Vec::new(), 0));
    let summary = kept.reader().summary().unwrap();
    assert_eq!((summary.messages, summary.times), (0, None));
    assert!(summary.to_string().ends_with(", messages: none"), "{summary}");
}

#[test]
fn the_summary_is_taken_from_both_ends() {
    let summary = Kept::new(&regular(9), 2).reader().summary().unwrap();
    assert_eq!((summary.messages, summary.times), (7, Some((Timestamp(2), Timestamp(8)))));
    let told = ", messages: about 7, from 1970-01-01T00:00:00.000002Z to 1970-01-01T00:00:00.000008Z";
    assert!(summary.to_string().ends_with(told), "{summary}");
}

#[test]
fn a_file_that_took_the_place_of_another_is_noticed() {
    let kept = Kept::new(&regular(1), 0);
    let reader = kept.reader();
    assert_eq!(reader.check_in_place(), Ok(()));
    std::fs::rename(kept.path(), kept.folder.path().join("old.db")).unwrap();
    assert_eq!(reader.check_in_place().unwrap_err().trouble(), &Trouble::Replaced);
    std::fs::write(kept.path(), "").unwrap();
    assert_eq!(reader.check_in_place().unwrap_err().trouble(), &Trouble::Replaced);
}

#[test]
fn a_row_that_another_program_changed_is_read_as_far_as_it_goes() {
    let kept = Kept::new(&regular(1), 0);
    kept.connection.execute("UPDATE message SET client = CAST(x'61ff' AS TEXT)", []).unwrap();
    let messages = kept.reader().read(&mut (1..2), None).unwrap();
    assert_eq!(messages[0].client, "a\u{fffd}");
}
