//! The state when its files are moved, removed, replaced or changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::*;
use crate::database::{Options, STATE};

/// A file of the state in another folder, with one id.
fn other(id: &str) -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = State::file(folder.path());
    let options = Options { path: path.clone(), full: false, lock_timeout: PATIENCE };
    add(&crate::database::open(&STATE, &options).unwrap(), id).unwrap();
    (path, folder)
}

/// Another program changes the length of a file. Here it must not be opened: closing it would drop the locks.
fn truncate(path: &Path, size: u64) {
    let status = Command::new("truncate").args(["-s", &size.to_string()]).arg(path).status().unwrap();
    assert!(status.success());
}

/// The names in the folder that begin like this.
fn names(running: &Running, begin: &str) -> Vec<String> {
    let entries = fs::read_dir(running.folder.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(begin)).collect()
}

/// The number of POSIX locks that this process has on a file.
fn locks(path: &Path) -> usize {
    let (inode, pid) = (format!(":{} ", fs::metadata(path).unwrap().ino()), std::process::id().to_string());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let ours = |line: &&str| line.contains("POSIX") && line.contains(&inode) && line.contains(&pid);
    locks.lines().filter(ours).count()
}

/// A read that continues until it is ended. It sees the file as it was at its beginning.
struct Held {
    go: mpsc::Sender<()>,
    thread: JoinHandle<i64>,
}

impl Held {
    fn read(running: &Running) -> Self {
        let (begin, begun) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let state = running.state.clone();
        let read = move |connection: &Connection| {
            let transaction = connection.unchecked_transaction()?;
            count(&transaction)?;
            begin.send(()).unwrap();
            gone.recv().unwrap();
            count(&transaction)
        };
        let thread = std::thread::spawn(move || state.read(read).unwrap());
        begun.recv().unwrap();
        Self { go, thread }
    }

    /// The number of ids that it sees.
    fn end(self) -> i64 {
        self.go.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

#[test]
fn a_file_that_was_moved_is_written_again() {
    let mut running = Running::start();
    running.add("a");
    fs::rename(running.path(STATE_FILE), running.path("old.db")).unwrap();
    eventually("it is there", || running.path(STATE_FILE).exists());
    running.assert_works(&["a"]);
    assert_eq!(names(&running, "state.db"), [STATE_FILE], "nothing else is left");
}

#[test]
fn files_that_were_removed_are_written_again() {
    for files in [
        &[STATE_FILE][..],
        &["state.db-wal"],
        &["state.db-shm"],
        &[STATE_FILE, "state.db-wal", "state.db-shm"],
    ] {
        let mut running = Running::start();
        running.add("a");
        let before = fs::metadata(running.path(STATE_FILE)).unwrap().ino();
        files.iter().for_each(|file| fs::remove_file(running.path(file)).unwrap());
        let inode = || fs::metadata(running.path(STATE_FILE)).ok().map(|found| found.ino());
        eventually("it is written", || inode().is_some_and(|inode| inode != before));
        running.assert_works(&["a"]);
    }
}

#[test]
fn a_file_that_was_moved_is_written_again_before_the_end_too() {
    let mut running = Running::start();
    running.add("a");
    fs::rename(running.path(STATE_FILE), running.path("old.db")).unwrap();
    running.stop();
    assert_eq!(running.ids_in(STATE_FILE), ["a"]);
}

#[test]
fn an_empty_file_is_not_a_replacement() {
    let mut running = Running::start();
    running.add("a");
    fs::write(running.path("empty"), "").unwrap();
    fs::rename(running.path("empty"), running.path(STATE_FILE)).unwrap();
    eventually("it is written", || fs::metadata(running.path(STATE_FILE)).unwrap().len() > 0);
    running.assert_works(&["a"]);
}

#[test]
fn a_replacement_is_used_and_the_former_content_is_saved() {
    let mut running = Running::start();
    running.add("a");
    let (path, _folder) = other("b");
    fs::rename(path, running.path(STATE_FILE)).unwrap();
    running.assert_works(&["b"]);
    let saved = names(&running, "state-");
    assert_eq!(saved.len(), 1, "{saved:?}");
    assert_eq!(running.ids_in(&saved[0]), ["a"]);
}

/// Another program copies a file over the open one, without a moment at which it is shorter.
fn copy_over(running: &Running, from: &Path) {
    let mut dd = Command::new("dd");
    dd.arg(format!("if={}", from.display())).arg(format!("of={}", running.path(STATE_FILE).display()));
    assert!(dd.args(["conv=notrunc", "status=none"]).status().unwrap().success());
}

#[test]
fn a_file_that_is_copied_over_is_noticed_and_used_after_the_next_start() {
    for is_checkpointed in [false, true] {
        let mut running = Running::start();
        running.add("a");
        if is_checkpointed {
            eventually("its log is emptied", || {
                fs::metadata(running.path("state.db-wal")).unwrap().len() == 0
            });
        }
        let (path, _folder) = other("b");
        copy_over(&running, &path);
        eventually("it is noticed", || running.trouble() == Some(Trouble::Overwritten));
        let err = done(running.state.write(|connection| add(connection, "c"))).unwrap_err();
        assert!(err.to_string().contains("restart the server"), "{err}");
        running.stop();
        assert_eq!(fs::read(&path).unwrap(), fs::read(running.path(STATE_FILE)).unwrap());
        running.state = open(&running.folder).unwrap();
        running.run();
        running.assert_works(&["b"]);
    }
}

#[test]
fn a_backup_of_the_same_file_that_is_copied_over_is_noticed_too() {
    let mut running = Running::start();
    running.add("a");
    let backup = running.path("backup.db");
    let name = backup.to_str().unwrap();
    running.state.read(|connection| connection.execute("VACUUM INTO ?", [name])).unwrap();
    running.add("b");
    copy_over(&running, &backup);
    eventually("it is noticed", || running.trouble() == Some(Trouble::Overwritten));
    fs::remove_file(running.path(STATE_FILE)).unwrap();
    eventually("no mixture is written", || running.trouble() == Some(Trouble::Missing));
    fs::rename(backup, running.path(STATE_FILE)).unwrap();
    running.assert_works(&["a"]);
    assert_eq!(names(&running, "state-"), [""; 0]);
}

#[test]
fn a_connection_to_the_file_that_was_replaced_is_closed_without_harm_to_the_new_one() {
    let mut running = Running::start();
    running.add("a");
    let old = Held::read(&running);
    let (path, _folder) = other("b");
    fs::rename(path, running.path(STATE_FILE)).unwrap();
    eventually("the new one is used", || running.has("b"));
    running.add("c");
    let files = [STATE_FILE, "state.db-wal", "state.db-shm"].map(|name| running.path(name));
    let look = || files.each_ref().map(|path| (fs::metadata(path).unwrap().ino(), locks(path)));
    let before = look();
    assert!(before[0].1 > 0 && before[2].1 > 0, "{before:?}");
    assert_eq!(old.end(), 1);
    assert_eq!(look(), before, "inodes and locks");
    running.assert_works(&["b", "c"]);
}

#[test]
fn nothing_is_read_while_the_replacement_cannot_be_used() {
    let mut running = Running::start();
    running.add("a");
    fs::write(running.path("text"), "Dear diary, ".repeat(100)).unwrap();
    fs::rename(running.path("text"), running.path(STATE_FILE)).unwrap();
    eventually("it is refused", || running.trouble() == Some(Trouble::NotADatabase));
    let err = done(running.state.write(|_| Ok(()))).unwrap_err();
    assert_eq!(err.trouble(), &Trouble::NotADatabase);
    fs::remove_file(running.path(STATE_FILE)).unwrap();
    eventually("no empty one is made", || running.trouble() == Some(Trouble::Missing));
    let saved = names(&running, "state-");
    fs::rename(running.path(&saved[0]), running.path(STATE_FILE)).unwrap();
    running.assert_works(&["a"]);
}

#[test]
fn a_file_that_was_cut_short_is_written_again_if_the_rest_is_in_the_log() {
    let mut running = Running::start();
    let old = Held::read(&running);
    running.add("a");
    let rejected = "INSERT INTO unknown_client VALUES ('b', '', 0, 0, 1, 'unknown')";
    done(running.state.write(|connection| connection.execute(rejected, []))).unwrap();
    let found = fs::metadata(running.path(STATE_FILE)).unwrap();
    truncate(&running.path(STATE_FILE), found.len() - 4096);
    let inode = || fs::metadata(running.path(STATE_FILE)).unwrap().ino();
    eventually("it is written", || inode() != found.ino());
    assert_eq!(old.end(), 0);
    running.assert_works(&["a"]);
}

#[test]
fn a_file_that_was_cut_short_waits_for_a_copy() {
    let mut running = Running::start();
    let rows = |connection: &Connection| {
        (0..3000).try_for_each(|number| add(connection, &format!("{number:0100}")).map(drop))
    };
    done(running.state.write(rows)).unwrap();
    running.stop();
    fs::copy(running.path(STATE_FILE), running.path("copy.db")).unwrap();
    running.state = open(&running.folder).unwrap();
    running.run();
    truncate(&running.path(STATE_FILE), 4096);
    let is_damaged = |trouble: Option<Trouble>| matches!(trouble, Some(Trouble::Corrupt { cause, .. }) if cause.contains("the file was cut short"));
    eventually("it is refused", || is_damaged(running.trouble()));
    fs::rename(running.path("copy.db"), running.path(STATE_FILE)).unwrap();
    eventually("the copy is used", || running.has(&format!("{:0100}", 2999)));
    running.stop();
    assert_eq!(running.ids_in(STATE_FILE).len(), 3000);
}

#[test]
fn a_file_that_another_program_made_smaller_is_not_cut_short() {
    let mut running = Running::start();
    let rows = |connection: &Connection| {
        (0..3000).try_for_each(|number| add(connection, &format!("{number:0100}")).map(drop))
    };
    done(running.state.write(rows)).unwrap();
    let size = || fs::metadata(running.path(STATE_FILE)).unwrap().len();
    eventually("it has all rows", || size() > 300_000);
    // From now on its size is known.
    running.add("gone");
    let inode = fs::metadata(running.path(STATE_FILE)).unwrap().ino();
    // SQLite knows of the other connections of this process, as of those of others.
    let shrink = "PRAGMA busy_timeout = 30000; DELETE FROM client; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)";
    Connection::open(running.path(STATE_FILE)).unwrap().execute_batch(shrink).unwrap();
    eventually("it is smaller", || size() < 100_000);
    running.add("a");
    running.add("b");
    running.stop();
    assert_eq!(fs::metadata(running.path(STATE_FILE)).unwrap().ino(), inode, "it is the same file");
    assert_eq!(running.ids_in(STATE_FILE), ["a", "b"]);
}

#[test]
fn a_folder_that_is_away_is_waited_for() {
    let mut running = Running::start();
    running.add("a");
    let folder = running.folder.path().to_owned();
    let away = folder.with_extension("away");
    fs::rename(&folder, &away).unwrap();
    fs::create_dir(&folder).unwrap();
    eventually("it is missed", || running.trouble() == Some(Trouble::Moved));
    let err = done(running.state.write(|_| Ok(()))).unwrap_err();
    assert_eq!(err.trouble(), &Trouble::Moved);
    assert_eq!(names(&running, "").len(), 0, "nothing is written to another folder");
    fs::remove_dir(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    running.assert_works(&["a"]);
}

#[test]
fn a_lock_file_that_was_removed_is_there_again_unless_another_server_has_it() {
    let mut running = Running::start();
    running.add("a");
    fs::remove_file(running.path("lock")).unwrap();
    eventually("it is there again", || crate::database::holder(running.folder.path()).is_some());
    fs::remove_file(running.path("lock")).unwrap();
    let other = Lock::take(running.folder.path());
    match other {
        Ok(other) => {
            eventually("it is noticed", || matches!(running.trouble(), Some(Trouble::InUse { .. })));
            drop(other);
        }
        // The state was faster, and has it.
        Err(err) => assert!(matches!(err.trouble(), Trouble::InUse { .. }), "{err}"),
    }
    running.assert_works(&["a"]);
}

#[test]
fn a_file_that_is_locked_at_the_start_is_waited_for() {
    let mut running = Running::start();
    running.add("a");
    running.stop();
    let lock = Connection::open(running.path(STATE_FILE)).unwrap();
    lock.execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE; COMMIT").unwrap();
    let folder_lock = Arc::new(Lock::take(running.folder.path()).unwrap());
    running.state = State::open(folder_lock, Duration::from_millis(10)).unwrap();
    running.run();
    assert_eq!(running.trouble(), Some(Trouble::Locked));
    drop(lock);
    running.assert_works(&["a"]);
}
