//! Segments that are begun, sealed, removed and damaged while they are read.

use super::*;
use crate::database::Lock;
use crate::store::segments::sample::seal;

fn after(after: i64) -> Selection {
    Selection { after: Some(after), ..Selection::default() }
}

fn missing(first: i64, last: i64) -> Lost {
    Lost::Missing(Ids { first, end: Some(last + 1) })
}

/// What is read when it looks again.
fn again(reader: &mut Reader) -> (Vec<i64>, Vec<Lost>) {
    reader.look_again().unwrap();
    let (read, lost) = parts(reader);
    (read.concat(), lost)
}

#[test]
fn messages_are_read_once_while_segments_are_begun_and_sealed() {
    let mut sample = Sample::new();
    let _lock = Lock::take(sample.data()).unwrap();
    let mut reader = reader(&sample, &Selection::default());
    assert_eq!(again(&mut reader).0, [0; 0]);
    let mut next = 1;
    for round in 0..12 {
        if round % 3 == 0 {
            if round % 2 == 0 && round > 0 {
                sample.seal();
            }
            sample.begin(next);
        }
        assert_eq!(again(&mut reader), (vec![], vec![]));
        sample.insert(&regular(next, 4));
        assert_eq!(again(&mut reader), ((next..next + 4).collect(), vec![]));
        next += 4;
    }
}

#[test]
fn a_limit_counts_only_messages_that_exist_at_the_start() {
    let mut sample = Sample::new();
    sample.begin(1);
    sample.insert(&regular(1, 5));
    let mut reader = reader(&sample, &Selection { limit: Some(2), ..Selection::default() });
    sample.insert(&regular(6, 1));
    sample.begin(7);
    sample.insert(&regular(7, 1));
    assert_eq!(ids(&mut reader), [4, 5]);
    assert_eq!(again(&mut reader), (vec![6, 7], vec![]));
}

#[test]
fn segments_removed_before_they_were_read_are_named_once() {
    let mut sample = Sample::new();
    sample.sealed(&regular(1, 5));
    let mut reader = reader(&sample, &Selection::default());
    assert_eq!(ids(&mut reader), [1, 2, 3, 4, 5]);
    let second = sample.sealed(&regular(6, 5));
    sample.sealed(&regular(11, 5));
    fs::remove_file(second).unwrap();
    assert_eq!(again(&mut reader), ((11..=15).collect(), vec![missing(6, 10)]));
    assert_eq!(again(&mut reader), (vec![], vec![]));
    assert_eq!(missing(6, 10).to_string(), "messages 6 to 10 are missing: their segment was removed");
}

#[test]
fn a_segment_that_vanishes_after_it_was_listed_is_named() {
    let mut sample = Sample::new();
    let paths = [1, 6, 11].map(|first| sample.sealed(&regular(first, 5)));
    let mut reader = reader(&sample, &Selection::default());
    fs::remove_file(&paths[1]).unwrap();
    let (read, lost) = parts(&mut reader);
    assert_eq!(read.concat(), [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]);
    let removed = Lost::Removed { segment: paths[1].clone(), ids: Ids { first: 6, end: Some(11) } };
    assert_eq!(lost, [removed]);
    assert!(lost[0].to_string().ends_with("6.db was removed meanwhile: messages 6 to 10 are not shown"));
    assert!(!lost[0].is_failure());
}

#[test]
fn a_removed_segment_that_is_being_read_is_read_to_its_end_and_a_replaced_one_is_not() {
    let mut sample = Sample::new();
    let path = sample.sealed(&regular(1, 2 * ROWS + 5));
    let mut reader = reader(&sample, &Selection::default());
    let mut read = || match reader.read().unwrap() {
        Some(Part::Messages(messages)) => Ok(messages.len()),
        other => Err(other),
    };
    assert_eq!(read(), Ok(10_000));
    fs::remove_file(&path).unwrap();
    assert_eq!(read(), Ok(10_000));
    fs::write(&path, "a text that is longer than the sixteen bytes of a header").unwrap();
    assert!(matches!(read(), Err(Some(Part::Lost(Lost::Unreadable { .. })))));
}

#[test]
fn a_damaged_segment_is_named_and_the_others_are_read() {
    let mut sample = Sample::new();
    let paths = [1, 6, 11].map(|first| sample.sealed(&regular(first, 5)));
    damage(&paths[1]);
    let (read, lost) = parts(&mut reader(&sample, &Selection::default()));
    assert_eq!(read.concat(), [1, 2, 3, 4, 5, 11, 12, 13, 14, 15]);
    assert!(lost.len() == 1 && lost[0].is_failure() && !lost[0].is_end(), "{lost:?}");
    let told = lost[0].to_string();
    assert!(
        told.starts_with("messages 6 to 10 cannot be read: ") && told.contains("6.db: damaged ("),
        "{told}"
    );
    damage(&paths[2]);
    let (_, lost) = parts(&mut reader(&sample, &after(7)));
    assert_eq!(lost.iter().map(Lost::is_end).collect::<Vec<_>>(), [false, true]);
    let told: Vec<_> =
        lost.iter().map(|lost| lost.to_string().split(':').next().unwrap().to_owned()).collect();
    assert_eq!(told, ["messages 8 to 10 cannot be read", "messages from 11 on cannot be read"]);
}

#[test]
fn gaps_count_from_the_first_message_that_was_asked_for() {
    let mut sample = Sample::new();
    sample.sealed(&regular(11, 5));
    sample.sealed(&regular(21, 5));
    let lost = |selection: &Selection| parts(&mut reader(&sample, selection)).1;
    assert_eq!(lost(&Selection::default()), [missing(16, 20)]);
    assert_eq!(lost(&after(7)), [missing(8, 10), missing(16, 20)]);
    assert_eq!(lost(&after(17)), [missing(18, 20)]);
    assert_eq!(lost(&after(25)), []);
    assert_eq!(lost(&Selection { since: Some(Timestamp(20)), ..Selection::default() }), []);
    assert_eq!(lost(&Selection { limit: Some(5), ..Selection::default() }), []);
}

#[test]
fn messages_that_were_replaced_by_older_ones_are_noticed() {
    let mut sample = Sample::new();
    sample.begin(1);
    sample.insert(&regular(1, 5));
    assert_eq!(parts(&mut reader(&sample, &after(5))).1, []);
    let behind = Lost::Behind { newest: 5, expected: 7 };
    assert_eq!(parts(&mut reader(&sample, &after(6))).1, [behind]);
    // A sealed segment is not where the server writes.
    sample.seal();
    assert_eq!(parts(&mut reader(&sample, &after(6))).1, []);
}

#[test]
fn a_segment_in_use_is_not_kept_open_while_a_server_runs() {
    let mut sample = Sample::new();
    sample.begin(1);
    sample.insert(&regular(1, ROWS + 3));
    let lock = Lock::take(sample.data()).unwrap();
    let mut served = reader(&sample, &Selection::default());
    assert!(matches!(served.read(), Ok(Some(Part::Messages(_)))));
    seal(sample.newest()).unwrap();
    assert_eq!(ids(&mut served), (ROWS + 1..=ROWS + 3).collect::<Vec<_>>());
    drop(lock);
}

#[test]
fn a_segment_stays_open_without_a_server_until_one_comes() {
    let mut sample = Sample::new();
    sample.begin(1);
    sample.insert(&regular(1, ROWS + 3));
    let mut reader = reader(&sample, &Selection::default());
    assert!(matches!(reader.read(), Ok(Some(Part::Messages(_)))));
    assert!(seal(sample.newest()).is_err());
    let lock = Lock::take(sample.data()).unwrap();
    assert_eq!(ids(&mut reader).len(), 3);
    seal(sample.newest()).unwrap();
    drop(lock);
}

#[test]
fn messages_that_come_back_are_named_once() {
    let mut sample = Sample::new();
    sample.sealed(&regular(1, 5));
    let mut reader = reader(&sample, &Selection::default());
    assert_eq!(ids(&mut reader), [1, 2, 3, 4, 5]);
    let lost = [6, 9, 12].map(|first| sample.sealed(&regular(first, 3)));
    let aside = |path: &std::path::Path| path.with_extension("aside");
    lost.iter().for_each(|path| fs::rename(path, aside(path)).unwrap());
    sample.begin(15);
    assert_eq!(again(&mut reader), (vec![], vec![missing(6, 14)]));
    let mut returned = || {
        reader.look_again().unwrap();
        let parts: Vec<_> = std::iter::from_fn(|| reader.read().unwrap()).collect();
        parts
    };
    assert_eq!(returned(), []);
    let back = |first| Part::Returned(Ids { first, end: Some(first + 3) });
    fs::rename(aside(&lost[1]), &lost[1]).unwrap();
    assert_eq!(returned(), [back(9)]);
    assert_eq!(returned(), []);
    fs::rename(aside(&lost[0]), &lost[0]).unwrap();
    fs::rename(aside(&lost[2]), &lost[2]).unwrap();
    assert_eq!(returned(), [back(6), back(12)]);
    assert_eq!(returned(), []);
}

#[test]
fn the_end_of_a_segment_that_comes_back_is_named() {
    let mut sample = Sample::new();
    let _lock = Lock::take(sample.data()).unwrap();
    sample.begin(1);
    sample.insert(&regular(1, 3));
    let mut reader = reader(&sample, &Selection::default());
    assert_eq!(ids(&mut reader), [1, 2, 3]);
    sample.insert(&regular(4, 3));
    sample.seal();
    let (path, aside) = (sample.path(1), sample.data().join("aside"));
    fs::rename(&path, &aside).unwrap();
    sample.begin(7);
    assert_eq!(again(&mut reader), (vec![], vec![missing(4, 6)]));
    fs::rename(&aside, &path).unwrap();
    reader.look_again().unwrap();
    assert_eq!(reader.read().unwrap(), Some(Part::Returned(Ids { first: 4, end: Some(7) })));
}
