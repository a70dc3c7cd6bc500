//! The table against a model, from one thread and from several.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::access::woken::Woken;

fn id(number: usize) -> ClientId {
    ClientId::try_from(format!("client{number}").as_str()).unwrap()
}

fn peer(port: u16) -> Peer {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

/// Registers a session that is gone already.
fn register(table: &Table, client: usize, port: u16, duplicate: Duplicate) -> Result<Registration, Taken> {
    obtain(table, Register { client: id(client), peer: peer(port), session: nobody(), duplicate })
}

/// The steps of a session, and of the registry for it, to obtain a row.
fn obtain(table: &Table, new: Register) -> Result<Registration, Taken> {
    table.insert_new(new).or_else(|held| table.decide(held))
}

fn nobody() -> Waker {
    Waker::noop().clone()
}

#[test]
fn the_late_end_of_an_older_session_leaves_the_newer_row() {
    let table = Table::default();
    let older = register(&table, 1, 1, Duplicate::Takeover).unwrap();
    let newer = register(&table, 1, 2, Duplicate::Takeover).unwrap();
    drop(older);
    assert!(table.contains("client1"));
    let held = register(&table, 1, 3, Duplicate::Reject).unwrap_err();
    assert_eq!(held, Taken { by: peer(2) });
    drop(newer);
    assert!(table.is_empty());
}

#[test]
fn a_rejected_newcomer_changes_nothing() {
    let table = Table::default();
    let first = register(&table, 1, 1, Duplicate::Reject).unwrap();
    assert_eq!(register(&table, 1, 2, Duplicate::Reject).unwrap_err(), Taken { by: peer(1) });
    assert_eq!((table.len(), table.contains("client1")), (1, true));
    drop(first);
    assert!(table.is_empty());
    drop(register(&table, 1, 3, Duplicate::Reject).unwrap());
}

#[test]
fn from_a_takeover_on_nothing_of_the_older_session_takes_effect() {
    let table = Table::default();
    let older = register(&table, 1, 1, Duplicate::Takeover).unwrap();
    assert_eq!(older.claim().while_current(|| "stored"), Some("stored"));
    let newer = register(&table, 1, 2, Duplicate::Takeover).unwrap();
    assert_eq!(older.claim().while_current(|| "stored"), None);
    older.leaves();
    drop(older);
    assert_eq!(newer.claim().while_current(|| "stored"), Some("stored"));
}

#[test]
fn a_takeover_waits_for_the_hand_over_that_is_under_way() {
    let table = Table::default();
    let older = register(&table, 1, 1, Duplicate::Takeover).unwrap();
    let (entered, inside) = mpsc::channel();
    let (leave, told) = mpsc::channel();
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let order = &order;
        scope.spawn(move || {
            let effect = || {
                entered.send(()).unwrap();
                told.recv().unwrap();
                order.lock().unwrap().push("older");
            };
            older.claim().while_current(effect).unwrap();
        });
        inside.recv().unwrap();
        let newer = scope.spawn(|| {
            let row = register(&table, 1, 2, Duplicate::Takeover);
            order.lock().unwrap().push("newer");
            row
        });
        // The wait of the other thread cannot be observed; without it, it would most likely be done by now.
        thread::sleep(std::time::Duration::from_millis(20));
        leave.send(()).unwrap();
        drop(newer.join().unwrap());
    });
    assert_eq!(*order.lock().unwrap(), ["older", "newer"]);
}

#[test]
fn a_session_whose_peer_has_closed_does_not_keep_its_id() {
    let table = Table::default();
    let older = register(&table, 1, 1, Duplicate::Reject).unwrap();
    assert!(register(&table, 1, 2, Duplicate::Reject).is_err());
    older.leaves();
    assert_eq!(older.claim().while_current(|| ()), Some(()));
    let newer = register(&table, 1, 3, Duplicate::Reject).unwrap();
    assert_eq!(older.claim().while_current(|| ()), None);
    older.leaves();
    drop(older);
    assert_eq!(register(&table, 1, 4, Duplicate::Reject).unwrap_err(), Taken { by: peer(3) });
    drop(newer);
}

#[test]
fn only_the_older_session_is_woken_and_gets_the_peer_of_the_newer() {
    let table = Table::default();
    let newcomer = |port, duplicate| {
        let woken = Arc::new(Woken::default());
        let session = Waker::from(Arc::clone(&woken));
        (obtain(&table, Register { client: id(1), peer: peer(port), session, duplicate }), woken)
    };
    let (first, first_woken) = newcomer(1, Duplicate::Takeover);
    let (second, second_woken) = newcomer(2, Duplicate::Takeover);
    let (third, third_woken) = newcomer(3, Duplicate::Reject);
    assert_eq!(first.unwrap().claim().replaced_by(), Some(peer(2)));
    assert_eq!(second.unwrap().claim().replaced_by(), None);
    assert!(third.is_err());
    assert_eq!([first_woken, second_woken, third_woken].map(|woken| woken.count()), [1, 0, 0]);
}

#[test]
fn a_claim_outlives_its_registration() {
    let table = Table::default();
    let older = register(&table, 1, 1, Duplicate::Takeover).unwrap();
    let claim = older.claim().clone();
    drop(older);
    assert!(table.is_empty());
    assert_eq!((claim.client(), claim.while_current(|| ())), (&id(1), Some(())));
}

#[derive(Clone, Debug)]
enum Step {
    Register(usize, Duplicate),
    /// Drops one of the registrations that are out.
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let duplicate = prop_oneof![Just(Duplicate::Takeover), Just(Duplicate::Reject)];
    prop_oneof![
        (0..4usize, duplicate).prop_map(|(client, duplicate)| Step::Register(client, duplicate)),
        any::<usize>().prop_map(Step::Drop)
    ]
}

proptest! {
    /// The model: which registration has each id, by its port.
    #[test]
    fn the_table_is_like_its_model(steps in vec(step(), 0..80)) {
        let table = Table::default();
        let mut model = HashMap::new();
        let mut out = Vec::new();
        for (port, step) in (1..).zip(steps) {
            match step {
                Step::Register(client, duplicate) => {
                    let holder = model.get(&client).copied();
                    match (register(&table, client, port, duplicate), holder) {
                        (Ok(row), None) => out.push((client, port, row)),
                        (Ok(row), Some(_)) => {
                            prop_assert_eq!(duplicate, Duplicate::Takeover);
                            out.push((client, port, row));
                        }
                        (Err(held), holder) => {
                            prop_assert_eq!(duplicate, Duplicate::Reject);
                            prop_assert_eq!(Some(held.by), holder.map(peer));
                            continue;
                        }
                    }
                    model.insert(client, port);
                }
                Step::Drop(which) if !out.is_empty() => {
                    let (client, port, row) = out.swap_remove(which % out.len());
                    prop_assert_eq!(row.claim().client(), &id(client));
                    drop(row);
                    if model.get(&client) == Some(&port) {
                        model.remove(&client);
                    }
                }
                Step::Drop(_) => {}
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert!(model.keys().all(|client| table.contains(id(*client).as_str())));
        }
        drop(out);
        prop_assert!(table.is_empty());
    }
}

/// With one policy or the other, the last thread to register has the id for as long as it likes, and nothing stays.
#[test]
fn threads_leave_nothing_behind() {
    for duplicate in [Duplicate::Takeover, Duplicate::Reject] {
        let table = Table::default();
        thread::scope(|scope| {
            for number in 0..4u16 {
                let table = &table;
                scope.spawn(move || {
                    let own = 100 + usize::from(number);
                    for round in 0..2000 {
                        let kept = register(table, own, number, duplicate).unwrap();
                        let shared = register(table, round % 3, number, duplicate);
                        assert!(duplicate == Duplicate::Reject || shared.is_ok());
                        assert!(
                            shared.is_err()
                                || duplicate == Duplicate::Takeover
                                || table.contains(id(round % 3).as_str())
                        );
                        assert!(table.contains(id(own).as_str()));
                        drop((shared, kept));
                        assert!(!table.contains(id(own).as_str()));
                    }
                });
            }
        });
        assert!(table.is_empty(), "{} rows are left", table.len());
    }
}
