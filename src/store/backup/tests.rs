//! Backups while segments are written, sealed and removed, and their restores.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::database::{self, Lock, Options, STATE_FILE};
use crate::store::segments::folder::Folder;
use crate::store::segments::reader::{Part, Reader, Selection, Source};
use crate::store::segments::sample::{Sample, damage, regular};
use crate::store::segments::segment::is_sealed;

/// Segments from 1, 6, 11 and 16 on, five messages each: the first two are sealed, the last two are in use.
fn sample() -> Sample {
    let mut sample = Sample::new();
    sample.sealed(&regular(1, 5));
    sample.sealed(&regular(6, 5));
    for first in [11, 16] {
        sample.begin(first);
        sample.insert(&regular(first, 5));
    }
    sample
}

/// A backup in a new folder; `meanwhile` is done after the segments are listed.
fn backup(sample: &Sample, mut meanwhile: impl FnMut()) -> (TempDir, Manifest, Vec<Lost>) {
    let target = tempfile::tempdir().unwrap();
    let mut lost = Vec::new();
    let manifest = save(sample.data(), target.path(), &mut |step| match step {
        Step::Total(_) => meanwhile(),
        Step::Lost(found) => lost.push(found),
        Step::Copied(_) => {}
    });
    (target, manifest.unwrap(), lost)
}

fn ids(data: &Path) -> Vec<i64> {
    let mut reader =
        Reader::open(Source::Folder(Folder::of(data)), Selection { after: Some(0), ..Selection::default() })
            .unwrap();
    let mut ids = Vec::new();
    while let Some(Part::Messages(messages)) = reader.read().unwrap() {
        ids.extend(messages.iter().map(|message| message.id));
    }
    ids
}

fn back(backup: &Path, data: &Path) -> Result<Manifest, Failed> {
    restore(backup, data, &mut |_| {})
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everything_is_in_a_backup_once_and_sealed() {
    let sample = sample();
    let (target, manifest, lost) = backup(&sample, || {});
    assert_eq!((ids(target.path()), lost), ((1..=20).collect(), vec![]));
    assert_eq!((manifest.segments(), manifest.messages), (4, 20));
    assert_eq!((manifest.first_id, manifest.last_id), (Some(1), Some(20)));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    for segment in Folder::of(target.path()).list().unwrap() {
        assert!(is_sealed(&segment.path).unwrap(), "{segment:?}");
        assert_eq!(mode(&segment.path), 0o400);
        let is_linked = inode(&segment.path) == inode(&sample.path(segment.first_id));
        assert_eq!(is_linked, segment.first_id < 11, "{segment:?}");
    }
}

#[test]
fn a_segment_that_may_be_written_is_not_linked() {
    let sample = sample();
    // As while a segment is created: it has no write-ahead log yet.
    let path = sample.path(1);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let (target, ..) = backup(&sample, || {});
    assert_eq!(ids(target.path()), Vec::from_iter(1..=20));
    assert_eq!(fs::metadata(path).unwrap().nlink(), 1);
}

#[test]
fn segments_begun_and_sealed_during_a_backup_change_nothing() {
    let mut sample = sample();
    let data = sample.data().to_owned();
    let target = tempfile::tempdir().unwrap();
    let manifest = save(&data, target.path(), &mut |step| {
        if matches!(step, Step::Total(_)) {
            sample.seal();
            sample.begin(21);
            sample.insert(&regular(21, 5));
        }
    });
    assert_eq!((ids(target.path()), manifest.unwrap().last_id), ((1..=20).collect(), Some(20)));
    assert_eq!(ids(&data), Vec::from_iter(1..=25));
}

#[test]
fn a_segment_removed_during_a_backup_is_named() {
    let sample = sample();
    let (target, manifest, lost) = backup(&sample, || fs::remove_file(sample.path(1)).unwrap());
    assert!(matches!(&lost[..], [Lost::Removed { segment, .. }] if *segment == sample.path(1)), "{lost:?}");
    assert_eq!((manifest.messages, manifest.first_id, manifest.segments()), (15, Some(6), 3));
    assert!(!Folder::of(target.path()).segment(1).exists());
}

#[test]
fn a_damaged_segment_is_named_and_copied_as_it_is() {
    let sample = sample();
    damage(&sample.path(6));
    let (target, manifest, lost) = backup(&sample, || {});
    assert!(matches!(&lost[..], [Lost::Unreadable { .. }]), "{lost:?}");
    assert_eq!((manifest.messages, manifest.segments()), (15, 4));
    let copy = Folder::of(target.path()).segment(6);
    assert_eq!(fs::read(copy).unwrap(), fs::read(sample.path(6)).unwrap());
}

#[test]
fn the_state_is_copied_while_it_is_written() {
    let sample = sample();
    let options =
        Options { path: sample.data().join(STATE_FILE), full: false, lock_timeout: Default::default() };
    let state = database::open(&database::STATE, &options).unwrap();
    state.execute("INSERT INTO client VALUES ('gate-7', 1, '', NULL, 0, '')", []).unwrap();
    let (target, manifest, _) = backup(&sample, || {});
    assert_eq!((manifest.files[4].name.as_str(), manifest.segments()), (STATE_FILE, 4));
    let data = tempfile::tempdir().unwrap();
    back(target.path(), data.path()).unwrap();
    let restored = data.path().join(STATE_FILE);
    assert_eq!(mode(&restored), 0o600);
    let connection = database::open(&database::STATE, &Options { path: restored, ..options }).unwrap();
    let id = connection.query_row("SELECT id FROM client", [], |row| row.get::<_, String>(0));
    assert_eq!(id.as_deref(), Ok("gate-7"));
}

#[test]
fn rescued_messages_are_copied_too() {
    let sample = sample();
    fs::create_dir(sample.folder().rescued()).unwrap();
    fs::write(sample.folder().rescued().join("00000000000000000001.db"), "saved").unwrap();
    let (target, manifest, _) = backup(&sample, || {});
    assert_eq!((manifest.segments(), manifest.files.len()), (4, 5));
    let data = tempfile::tempdir().unwrap();
    back(target.path(), data.path()).unwrap();
    let restored = Folder::of(data.path()).rescued().join("00000000000000000001.db");
    assert_eq!(fs::read(restored).unwrap(), b"saved");
}

#[test]
fn a_backup_needs_an_empty_folder() {
    let sample = sample();
    let (target, ..) = backup(&sample, || {});
    let failed = save(sample.data(), target.path(), &mut |_| {}).unwrap_err().to_string();
    assert!(failed.contains("is not empty (it has backup.json, messages)"), "{failed}");
}

#[test]
fn a_backup_that_was_interrupted_is_refused() {
    let sample = sample();
    let target = tempfile::tempdir().unwrap();
    let spoil = |step| {
        if matches!(step, Step::Total(_)) {
            fs::create_dir_all(Folder::of(target.path()).segment(6)).unwrap();
        }
    };
    let failed = save(sample.data(), target.path(), &mut { spoil }).unwrap_err().to_string();
    assert!(failed.contains("6.db: ") && failed.contains("is incomplete and cannot be restored"), "{failed}");
    let data = tempfile::tempdir().unwrap();
    let failed = back(target.path(), data.path()).unwrap_err().to_string();
    assert!(failed.ends_with("is not a complete backup: it has no backup.json"), "{failed}");
}

#[test]
fn a_restored_folder_has_everything_and_shares_nothing() {
    let (target, saved, _) = backup(&sample(), || {});
    let site = tempfile::tempdir().unwrap();
    let data = site.path().join("data");
    // What another restore has left is replaced.
    fs::create_dir_all(data.join("restoring/messages")).unwrap();
    fs::write(data.join("lock"), "").unwrap();
    assert_eq!(back(target.path(), &data).unwrap(), saved);
    assert_eq!(ids(&data), Vec::from_iter(1..=20));
    assert_eq!((mode(&Folder::of(&data).segment(1)), mode(Folder::of(&data).path())), (0o400, 0o700));
    assert_eq!(fs::metadata(Folder::of(&data).segment(1)).unwrap().nlink(), 1);
    let mut names: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "messages"]);
}

#[test]
fn old_and_new_data_are_not_mixed() {
    let sample = sample();
    let (target, ..) = backup(&sample, || {});
    let failed = back(target.path(), sample.data()).unwrap_err().to_string();
    assert!(failed.contains("is not empty (it has messages): old and new data cannot be mixed"), "{failed}");
    let data = tempfile::tempdir().unwrap();
    let lock = Lock::take(data.path()).unwrap();
    let failed = back(target.path(), data.path()).unwrap_err().to_string();
    assert!(failed.contains("in use by another trap-server (pid "), "{failed}");
    drop(lock);
    back(target.path(), data.path()).unwrap();
}

#[test]
fn a_backup_with_wrong_files_is_refused() {
    let sample = sample();
    let data = tempfile::tempdir().unwrap();
    let refused = |spoil: &dyn Fn(&Path)| {
        let (target, ..) = backup(&sample, || {});
        spoil(target.path());
        back(target.path(), data.path()).unwrap_err().to_string()
    };
    let segment = |target: &Path| Folder::of(target).segment(16);
    let cut = |target: &Path| {
        fs::remove_file(segment(target)).unwrap();
        fs::write(segment(target), "short").unwrap();
    };
    let manifest = |from: &'static str, to: &'static str| {
        move |target: &Path| {
            let path = target.join("backup.json");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(path, text.replacen(from, to, 1)).unwrap();
        }
    };
    for (spoil, said) in [
        (
            &(|target: &Path| fs::remove_file(segment(target)).unwrap()) as &dyn Fn(&Path),
            "16.db: No such file",
        ),
        (&cut, "16.db has 5 bytes instead of "),
        (&manifest("\"format\": 1", "\"format\": 2"), "it was made by a newer program (trap-server 0.1.0)"),
        (&manifest("messages/", "../messages/"), "is outside of it"),
        (&manifest("{", "["), "backup.json: "),
    ] {
        let failed = refused(spoil);
        assert!(failed.contains("is not a complete backup: ") && failed.contains(said), "{failed}");
    }
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn a_restore_that_fails_leaves_no_data() {
    let (target, ..) = backup(&sample(), || {});
    let data = tempfile::tempdir().unwrap();
    let spoil = |step| {
        if matches!(step, Step::Total(_)) {
            fs::remove_file(Folder::of(target.path()).segment(11)).unwrap();
        }
    };
    let failed = restore(target.path(), data.path(), &mut { spoil }).unwrap_err().to_string();
    assert!(failed.contains("11.db: No such file") && failed.ends_with("\nnothing was restored"), "{failed}");
    let left: Vec<_> = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn messages_are_not_restored_without_their_state() {
    let sample = sample();
    let (target, mut manifest, _) = backup(&sample, || {});
    fs::write(target.path().join(STATE_FILE), "state").unwrap();
    manifest.files.push(File { name: STATE_FILE.into(), bytes: 5 });
    fs::remove_file(target.path().join("backup.json")).unwrap();
    manifest.write(target.path()).unwrap();
    let data = tempfile::tempdir().unwrap();
    // A folder cannot be replaced by a file.
    let spoil = |step| {
        if matches!(step, Step::Total(_)) {
            fs::create_dir(data.path().join(STATE_FILE)).unwrap();
        }
    };
    let failed = restore(target.path(), data.path(), &mut { spoil }).unwrap_err().to_string();
    assert!(failed.ends_with("\nnothing was restored"), "{failed}");
    assert!(!Folder::of(data.path()).path().exists());
}
