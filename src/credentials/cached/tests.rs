use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use super::super::directory::Asking;
use super::super::queue::Turn;
use super::*;
use crate::access::Networks;

const HOUR: Option<Duration> = Some(Duration::from_secs(3600));
const SHORT: Option<Duration> = Some(Duration::from_nanos(1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const ALWAYS: Standing = Standing { enabled: true, expires_at: None, networks: Networks::Any };

/// A table in memory that records its queries.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    ids: HashMap<String, Standing>,
    is_down: bool,
    /// Look-ups of ids with this prefix are never answered.
    hangs: Option<&'static str>,
    asked: Vec<String>,
}

impl Directory for Table {
    const AT_ONCE: usize = 4;

    fn look_up(&self, client: &ClientId, turn: Turn) -> Asking<Option<Standing>> {
        let mut known = self.known();
        known.asked.push(client.to_string());
        if known.hangs.is_some_and(|prefix| client.as_str().starts_with(prefix)) {
            return Box::pin(async {
                let _turn = turn;
                std::future::pending().await
            });
        }
        let answer = match known.is_down {
            true => Err(Failed::Unasked("it is away".into())),
            false => Ok(known.ids.get(client.as_str()).cloned()),
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Table {
    fn knowing(ids: &[&str]) -> Self {
        let table = Self::default();
        table.known().ids.extend(ids.iter().map(|id| ((*id).to_owned(), ALWAYS)));
        table
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.known().asked)
    }

    fn cached(&self, lifetime: Option<Duration>, size: usize) -> Cached<Self> {
        let config = config::Credentials { cache_time: lifetime, cache_size: size, ..Default::default() };
        Cached::new(self.clone(), &config)
    }
}

async fn check_from<D: Directory>(cached: &Cached<D>, id: &str, peer: IpAddr) -> Result<(), Denied> {
    cached.check(&ClientId::try_from(id).unwrap(), peer).await
}

async fn check<D: Directory>(cached: &Cached<D>, id: &str) -> Result<(), Denied> {
    check_from(cached, id, PEER).await
}

#[tokio::test]
async fn a_known_id_is_looked_up_once_and_an_unknown_one_each_time() {
    let table = Table::knowing(&["a"]);
    let cached = table.cached(HOUR, 10);
    for _ in 0..2 {
        assert_eq!(check(&cached, "a").await, Ok(()));
        assert_eq!(check(&cached, "x").await, Err(Denied::Unknown));
    }
    assert_eq!(table.asked(), ["a", "x", "x"]);
}

#[tokio::test]
async fn the_networks_of_a_cached_id_apply_to_each_peer() {
    let table = Table::default();
    let bound = Standing { networks: "10.0.0.0/8".parse().unwrap(), ..ALWAYS };
    table.known().ids.insert("a".into(), bound);
    let cached = table.cached(HOUR, 10);
    for _ in 0..2 {
        assert_eq!(check_from(&cached, "a", PEER).await, Err(Denied::Elsewhere));
        assert_eq!(check_from(&cached, "a", [10, 1, 2, 3].into()).await, Ok(()));
    }
    assert_eq!(table.asked(), ["a"]);
}

#[tokio::test]
async fn unknown_ids_evict_nothing_and_known_ids_evict_the_least_used() {
    let table = Table::knowing(&["a", "b", "c"]);
    let cached = table.cached(HOUR, 2);
    for id in ["a", "b", "x", "y", "z", "a", "c"] {
        let _ = check(&cached, id).await;
    }
    table.asked();
    for id in ["a", "c", "b"] {
        assert_eq!(check(&cached, id).await, Ok(()));
    }
    assert_eq!(table.asked(), ["b"]);
}

#[tokio::test]
async fn a_change_takes_effect_when_the_lifetime_is_over() {
    let table = Table::knowing(&["a", "b"]);
    let cached = table.cached(SHORT, 10);
    assert_eq!((check(&cached, "a").await, check(&cached, "b").await), (Ok(()), Ok(())));
    table.known().ids.insert("a".into(), Standing { enabled: false, ..ALWAYS });
    table.known().ids.remove("b");
    assert_eq!(check(&cached, "a").await, Err(Denied::Disabled));
    assert_eq!(check(&cached, "b").await, Err(Denied::Unknown));
}

#[tokio::test]
async fn while_the_database_is_down_only_cached_ids_are_accepted() {
    let table = Table::knowing(&["a", "b", "off"]);
    table.known().ids.insert("off".into(), Standing { enabled: false, ..ALWAYS });
    let cached = table.cached(SHORT, 10);
    for id in ["a", "off"] {
        let _ = check(&cached, id).await;
    }
    table.known().is_down = true;
    assert_eq!(check(&cached, "a").await, Ok(()));
    assert_eq!(check(&cached, "off").await, Err(Denied::Disabled));
    for id in ["b", "x"] {
        assert!(matches!(check(&cached, id).await, Err(Denied::Unavailable(_))), "{id}");
    }
    table.known().is_down = false;
    assert_eq!(check(&cached, "b").await, Ok(()));
}

#[tokio::test]
async fn without_a_lifetime_nothing_is_cached() {
    let table = Table::knowing(&["a"]);
    let cached = table.cached(None, 10);
    assert_eq!((check(&cached, "a").await, check(&cached, "a").await), (Ok(()), Ok(())));
    assert_eq!(table.asked(), ["a", "a"]);
    table.known().is_down = true;
    assert!(matches!(check(&cached, "a").await, Err(Denied::Unavailable(_))));
}

#[tokio::test]
async fn a_cached_id_is_rejected_from_its_expiry_on() {
    let table = Table::default();
    let at = SystemTime::now() + Duration::from_millis(200);
    table.known().ids.insert("a".into(), Standing { expires_at: Some(at), ..ALWAYS });
    let cached = table.cached(HOUR, 10);
    // Slow machines may be late already.
    let _ = check(&cached, "a").await;
    table.known().is_down = true;
    let mut results = HashSet::new();
    while SystemTime::now() <= at {
        results.insert(check(&cached, "a").await.is_ok());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(check(&cached, "a").await, Err(Denied::Expired { .. })), "{results:?}");
    assert_eq!(table.asked(), ["a"]);
}

#[tokio::test]
async fn a_late_result_does_not_replace_a_newer_one() {
    let table = Table::knowing(&["a"]);
    let cached = table.cached(HOUR, 10);
    let (a, before) = (ClientId::try_from("a").unwrap(), Instant::now());
    assert_eq!(check(&cached, "a").await, Ok(()));
    cached.0.remember(&a, None, before);
    assert!(cached.0.fresh(&a).is_some());
}

#[tokio::test]
async fn a_cached_result_is_used_in_an_outage_for_the_grace_and_no_longer() {
    for (outage_grace, is_used) in [(HOUR, true), (SHORT, false), (None, false)] {
        let table = Table::knowing(&["a"]);
        let config = config::Credentials { cache_time: SHORT, outage_grace, ..Default::default() };
        let cached = Cached::new(table.clone(), &config);
        assert_eq!(check(&cached, "a").await, Ok(()));
        table.known().is_down = true;
        assert_eq!(check(&cached, "a").await.is_ok(), is_used, "{outage_grace:?}");
    }
}

/// The ids "a" and "off" are cached, and "off" was disabled since. Look-ups of ids with this prefix are no longer answered.
async fn overloaded(hangs: &'static str) -> (Table, Cached<Table>) {
    let table = Table::knowing(&["a", "off"]);
    let cached = table.cached(SHORT, 10);
    for id in ["a", "off"] {
        assert_eq!(check(&cached, id).await, Ok(()));
    }
    table.known().ids.insert("off".into(), Standing { enabled: false, ..ALWAYS });
    table.known().hangs = Some(hangs);
    (table, cached)
}

fn flood(cached: &Cached<Table>, look_ups: usize) -> Vec<tokio::task::JoinHandle<Result<(), Denied>>> {
    let stranger = |number| cached.check(&ClientId::try_from(&*format!("x{number}")).unwrap(), PEER);
    (0..look_ups).map(|number| tokio::spawn(stranger(number))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_ids_does_not_affect_known_ids_and_lets_no_disabled_id_in() {
    let (_table, cached) = overloaded("x").await;
    let flood = flood(&cached, 100);
    tokio::task::yield_now().await;
    assert_eq!(check(&cached, "a").await, Ok(()));
    assert_eq!(check(&cached, "off").await, Err(Denied::Disabled));
    let mut rejected = 0;
    for look_up in flood.into_iter().skip(3) {
        assert_eq!(look_up.await.unwrap(), Err(Denied::Overloaded));
        rejected += 1;
    }
    assert_eq!(rejected, 97);
}

#[tokio::test(start_paused = true)]
async fn without_a_turn_a_cached_id_is_used_in_an_outage_only() {
    let (table, cached) = overloaded("").await;
    let off = ClientId::try_from("off").unwrap();
    // They take all turns, and keep them.
    let _known: Vec<_> = (0..4).map(|_| tokio::spawn(cached.check(&off, PEER))).collect();
    tokio::task::yield_now().await;
    assert_eq!(check(&cached, "off").await, Err(Denied::Overloaded));
    assert_eq!(check(&cached, "a").await, Err(Denied::Overloaded));
    cached.0.is_down.store(true, Ordering::Relaxed);
    assert_eq!(check(&cached, "a").await, Ok(()));
    assert_eq!(table.asked().len(), 6);
}
