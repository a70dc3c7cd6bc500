//! Reading, compared with a model: a list of rows that is searched linearly.

mod changes;

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;

use super::message::{BYTES, ROWS};
use super::*;
use crate::store::segments::sample::{Sample, Sent, damage, regular};

fn reader(sample: &Sample, selection: &Selection) -> Reader {
    Reader::open(Source::Folder(sample.folder()), selection.clone()).unwrap()
}

/// The ids of each part that is there now, and what is lost.
fn parts(reader: &mut Reader) -> (Vec<Vec<i64>>, Vec<Lost>) {
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    while let Some(part) = reader.read().unwrap() {
        match part {
            Part::Messages(messages) => read.push(messages.iter().map(|message| message.id).collect()),
            Part::Lost(found) => lost.push(found),
            Part::Returned(ids) => panic!("{ids} were missing"),
        }
    }
    (read, lost)
}

fn ids(reader: &mut Reader) -> Vec<i64> {
    parts(reader).0.concat()
}

fn expected(sent: &[Sent], selection: &Selection) -> Vec<i64> {
    let is_wanted = |sent: &&Sent| {
        selection.client.as_deref().is_none_or(|client| client == sent.client)
            && selection.since.is_none_or(|since| sent.at >= since.0)
            && selection.until.is_none_or(|until| sent.at < until.0)
            && selection.after.is_none_or(|after| sent.id > after)
    };
    let all: Vec<_> = sent.iter().filter(is_wanted).map(|sent| sent.id).collect();
    let limit = selection.limit.map_or(all.len(), |limit| usize::try_from(limit).unwrap());
    all[all.len().saturating_sub(limit)..].to_vec()
}

/// Rows whose ids have gaps around the size of a window, and whose clock is set back now and then.
fn rows() -> impl Strategy<Value = Vec<Sent>> {
    let gap = prop_oneof![9 => Just(1), 1 => 2..5_i64, 1 => ROWS - 2..=ROWS + 2, 1 => 1..1_i64 << 40];
    let step = prop_oneof![3 => Just(0), 6 => 0..4_i64, 1 => -30..0_i64, 1 => 20..40_i64];
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

/// Where segments begin, and whether they are sealed.
fn cuts() -> impl Strategy<Value = Vec<(usize, bool)>> {
    vec((1..15_usize, any::<bool>()), 1..8)
}

fn selections() -> impl Strategy<Value = Selection> {
    let client = prop::option::of(prop::sample::select(vec!["a", "b", "c"]));
    let time = || prop::option::of((60..160_i64).prop_map(Timestamp));
    let after = prop::option::weighted(0.3, 0..60_i64);
    let limit = prop::option::of(0..50_u64);
    (client, time(), time(), after, limit).prop_map(|(client, since, until, after, limit)| Selection {
        client: client.map(Into::into),
        since,
        until,
        after,
        limit,
    })
}

/// Segments of these sizes; the last one has the rest. The last may be empty.
fn segments(sent: &[Sent], cuts: &[(usize, bool)]) -> Sample {
    let mut sample = Sample::new();
    let (mut rest, mut next) = (sent, 1);
    for (at, &(size, is_sealed)) in cuts.iter().enumerate() {
        let size = if at + 1 == cuts.len() { rest.len() } else { size.min(rest.len()) };
        let (rows, later) = rest.split_at(size);
        sample.begin(rows.first().map_or(next, |first| first.id));
        sample.insert(rows);
        next = rows.last().map_or(next, |last| last.id + 1);
        if is_sealed {
            sample.seal();
        }
        rest = later;
        if rest.is_empty() && size == 0 {
            break;
        }
    }
    sample
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn exactly_the_selected_messages_are_read(
        sent in rows(),
        cuts in cuts(),
        selections in vec(selections(), 1..8),
    ) {
        let sample = segments(&sent, &cuts);
        for selection in selections {
            let mut reader = reader(&sample, &selection);
            prop_assert_eq!(ids(&mut reader), expected(&sent, &selection), "{:?}", selection);
        }
    }

    #[test]
    fn ids_that_grow_without_a_gap_are_never_missing(
        count in 1..60_i64,
        cuts in cuts(),
        selection in selections(),
    ) {
        let sample = segments(&regular(1, count), &cuts);
        let mut reader = reader(&sample, &selection);
        let (_, lost) = parts(&mut reader);
        let is_behind = selection.after.is_some_and(|after| after > count);
        prop_assert!(lost.is_empty() || is_behind, "{:?}", lost);
    }
}

#[test]
fn a_part_ends_at_its_limit_of_rows_or_bytes() {
    let parts = |sent: &[Sent]| {
        let mut sample = Sample::new();
        sample.sealed(sent);
        parts(&mut reader(&sample, &Selection::default())).0.len()
    };
    assert_eq!(parts(&regular(1, ROWS)), 1);
    assert_eq!(parts(&regular(1, ROWS + 1)), 2);
    let large = |bytes| regular(1, 4).into_iter().map(|sent| Sent { bytes, ..sent }).collect::<Vec<_>>();
    assert_eq!(parts(&large(BYTES / 4)), 1);
    assert_eq!(parts(&large(BYTES / 2)), 2);
    assert_eq!(parts(&large(BYTES)), 4);
}

#[test]
fn the_newest_are_counted_across_windows_and_segments() {
    let (first, second) = (2 * ROWS + 5, ROWS + 1);
    let mut sample = Sample::new();
    sample.sealed(&regular(1, first));
    sample.sealed(&regular(first + 1, second));
    let all = first + second;
    for limit in [1, ROWS, ROWS + 1, ROWS + 2, 2 * ROWS + 1, 3 * ROWS, all, all + 1] {
        let selection = Selection { limit: Some(limit.unsigned_abs()), ..Selection::default() };
        let newest = all - limit.min(all) + 1..=all;
        assert!(ids(&mut reader(&sample, &selection)).into_iter().eq(newest), "{limit}");
    }
}

#[test]
fn the_newest_messages_are_read_without_the_older_segments() {
    let mut sample = Sample::new();
    damage(&sample.sealed(&regular(1, 5)));
    sample.sealed(&regular(6, 5));
    sample.begin(11);
    sample.insert(&regular(11, 5));
    for limit in [0, 1, 5, 6, 10] {
        let selection = Selection { limit: Some(limit), ..Selection::default() };
        let (read, lost) = parts(&mut reader(&sample, &selection));
        assert_eq!((read.concat().len(), lost), (usize::try_from(limit).unwrap(), Vec::new()), "{limit}");
    }
    let eleven = Selection { limit: Some(11), ..Selection::default() };
    assert_eq!(parts(&mut reader(&sample, &eleven)).1.len(), 1);
}

#[test]
fn no_folder_and_no_row_have_no_messages() {
    let mut sample = Sample::new();
    assert_eq!(Summary::of(&sample.folder()).unwrap().to_string().split(", ").last(), Some("messages: none"));
    for limit in [None, Some(0), Some(3)] {
        let selection = Selection { limit, ..Selection::default() };
        assert_eq!(parts(&mut reader(&sample, &selection)), (Vec::new(), Vec::new()));
    }
    sample.begin(1);
    fs::write(sample.path(7), "").unwrap();
    assert_eq!(parts(&mut reader(&sample, &Selection::default())), (Vec::new(), Vec::new()));
    assert_eq!(Summary::of(&sample.folder()).unwrap().times, None);
}

#[test]
fn the_summary_is_taken_from_both_ends() {
    let mut sample = Sample::new();
    sample.sealed(&regular(3, 2));
    sample.sealed(&regular(5, 5));
    sample.begin(10);
    let summary = Summary::of(&sample.folder()).unwrap();
    let times = Some((Timestamp(2), Timestamp(8)));
    assert_eq!((summary.segments, summary.messages, summary.times), (3, 7, times));
    let told = ", messages: about 7, from 1970-01-01T00:00:00.000002Z to 1970-01-01T00:00:00.000008Z";
    assert!(summary.to_string().ends_with(told), "{summary}");
    assert!(summary.to_string().contains(" of the tables, 3 segments, "), "{summary}");
    damage(&sample.path(3));
    assert!(matches!(Summary::of(&sample.folder()).unwrap_err().trouble(), Trouble::Corrupt { .. }));
}

#[test]
fn a_row_that_another_program_changed_is_read_as_far_as_it_goes() {
    let mut sample = Sample::new();
    sample.begin(1);
    sample.insert(&regular(1, 1));
    sample.newest().execute("UPDATE message SET client = CAST(x'61ff' AS TEXT)", []).unwrap();
    let read = reader(&sample, &Selection::default());
    let Ok(Some(Part::Messages(messages))) = { read }.read() else { panic!("no messages") };
    assert_eq!(messages[0].client, "a\u{fffd}");
}

#[test]
fn other_folders_and_single_files_are_found() {
    let mut sample = Sample::new();
    let segment = sample.sealed(&regular(8, 3));
    let renamed = sample.data().join("january.db");
    fs::copy(&segment, &renamed).unwrap();
    for path in [sample.data(), sample.folder().path(), &segment, &renamed] {
        let source = Source::find(path).unwrap();
        let mut reader = Reader::open(source, Selection::default()).unwrap();
        assert_eq!(ids(&mut reader), [8, 9, 10], "{}", path.display());
    }
    assert!(Source::find(&sample.data().join("no")).is_err());
}
