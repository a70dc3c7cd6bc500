//! What happens to the file and its folder while they are in use.

use std::fs;

use super::*;
use crate::database::beside;

type Accident = fn(&Path);

#[test]
fn a_file_that_is_lost_is_written_again_with_all_that_it_had() {
    let accidents: [(&str, Accident); 6] = [
        ("moved", |path| fs::rename(path, path.with_file_name("elsewhere")).unwrap()),
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("removed with its log", |path| {
            ["", "-wal", "-shm"].iter().for_each(|ending| fs::remove_file(beside(path, ending)).unwrap());
        }),
        ("emptied", |path| {
            fs::write(path.with_file_name("empty"), "").unwrap();
            fs::rename(path.with_file_name("empty"), path).unwrap();
        }),
        ("log removed", |path| fs::remove_file(beside(path, "-wal")).unwrap()),
        ("lock removed", |path| fs::remove_file(path.with_file_name("lock")).unwrap()),
    ];
    for (what, accident) in accidents {
        let mut running = Running::start();
        running.add("before");
        accident(&running.path("state.db"));
        // Nothing is asked of it meanwhile.
        eventually(what, || {
            ["state.db", "state.db-wal", "lock"].iter().all(|name| running.path(name).exists())
        });
        eventually(what, || running.has("before"));
        running.add("after");
        running.stop();
        assert_eq!(running.ids("state.db"), ["after", "before"], "{what}");
    }
}

#[test]
fn a_file_that_is_replaced_is_used_and_the_old_content_is_saved() {
    let mut running = Running::start();
    running.add("old");
    let mut other = Running::start();
    other.add("new");
    other.stop();
    fs::copy(other.path("state.db"), running.path("new.db")).unwrap();
    fs::rename(running.path("new.db"), running.path("state.db")).unwrap();
    eventually("the new file is used", || running.has("new"));
    assert!(!running.has("old"));
    running.add("later");
    running.stop();
    assert_eq!(running.ids("state.db"), ["later", "new"]);
    let saved = fs::read_dir(running.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let saved: Vec<String> = saved.map(|name| name.into_string().unwrap()).collect();
    let saved = saved.iter().find(|name| name.starts_with("state-2")).expect("the old content is saved");
    assert_eq!(running.ids(saved), ["old"]);
}

#[test]
fn a_folder_that_is_moved_away_fails_until_it_is_back() {
    let mut running = Running::start();
    running.add("before");
    let (place, away) = (running.folder.path().to_owned(), running.folder.path().with_extension("away"));
    fs::rename(&place, &away).unwrap();
    eventually("it is noticed", || !running.has("before"));
    let refused = done(running.state.write(|connection| add(connection, "nowhere"))).unwrap_err();
    assert_eq!(refused.trouble(), &Trouble::Moved);
    fs::rename(&away, &place).unwrap();
    eventually("it is used again", || running.has("before"));
    running.add("after");
    running.stop();
    assert_eq!(running.ids("state.db"), ["after", "before"]);
}

#[test]
fn a_new_file_that_is_moved_before_anything_is_written_is_written_again() {
    let mut running = Running::start();
    fs::rename(running.path("state.db"), running.path("elsewhere")).unwrap();
    eventually("it is written again", || running.path("state.db").exists() && !running.has("before"));
    running.add("after");
    running.stop();
    assert_eq!(running.ids("state.db"), ["after"]);
}
