use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const _: () = assert!(size_of::<Visit>() <= 8);

fn limits(max_connections: impl Into<Option<u32>>, rate: impl Into<Option<(u32, u32)>>) -> Limits {
    let rate = rate.into().map(|(n, burst)| RateLimit::new(NonZeroU32::new(n).unwrap(), burst));
    Limits { max_connections: max_connections.into(), rate, ..Limits::default() }
}

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

#[test]
fn a_source_has_a_number_of_connections_and_others_have_their_own() {
    let (sources, now) = (Sources::new(limits(2, None)), Instant::now());
    let enter = |number| sources.enter(address(number), now);
    let [first, _second] = [1, 1].map(|number| enter(number).unwrap());
    assert_eq!(enter(1).unwrap_err(), Refusal::TooMany);
    let _other = enter(2).unwrap();
    drop(first);
    assert!(enter(1).is_ok());
}

#[test]
fn a_source_has_a_rate_of_its_own_and_refused_connections_take_nothing_of_it() {
    let (sources, now) = (Sources::new(limits(3, (1, 1))), Instant::now());
    let enter = |number, millis| sources.enter(address(number), now + Duration::from_millis(millis));
    let [_first, second] = [1, 1].map(|number| enter(number, 0).unwrap());
    assert_eq!(enter(1, 999).unwrap_err(), Refusal::TooFast);
    let _other = enter(2, 999).unwrap();
    let _third = enter(1, 1000).unwrap();
    assert_eq!(enter(1, 2000).unwrap_err(), Refusal::TooMany);
    drop(second);
    assert!(enter(1, 2000).is_ok());
}

#[test]
fn a_token_is_given_back_without_lifting_the_limit() {
    let (sources, now) = (Sources::new(limits(None, (1, 0))), Instant::now());
    let enter = |millis| sources.enter(address(1), now + Duration::from_millis(millis));
    enter(0).unwrap().give_back_token();
    enter(0).unwrap().give_back_token();
    assert_eq!(enter(0).unwrap_err(), Refusal::TooFast);
    let admitted = (0..=10_000).filter(|&n| enter(n).map(|visit| visit.give_back_token()).is_ok()).count();
    assert!(admitted <= 2 * 11, "{admitted}");
}

#[test]
fn an_ipv6_source_is_a_network() {
    let of = |ipv6_prefix| Limits { ipv6_prefix, ..limits(1, None) };
    let (sources, now) = (Sources::new(of(64)), Instant::now());
    let enter = |bits| sources.enter(Ipv6Addr::from_bits(bits).into(), now);
    let first = enter(1 << 100).unwrap();
    assert_eq!(enter((1 << 100) + 1).unwrap_err(), Refusal::TooMany);
    let _other = enter((1 << 100) + (1 << 64)).unwrap();
    sources.set(of(128), now);
    let _neighbour = enter((1 << 100) + 1).unwrap();
    drop(first);
    assert_eq!(sources.known(), 2);
}

#[test]
fn a_source_is_forgotten_when_it_no_longer_counts() {
    let (sources, now) = (Sources::new(limits(None, (2, 3))), Instant::now());
    let enter = |number, millis| sources.enter(address(number), now + Duration::from_millis(millis));
    let kept = enter(1, 0).unwrap();
    (0..4).for_each(|_| drop(enter(2, 0).unwrap()));
    assert_eq!(sources.known(), 2);
    let _other = enter(3, 1999).unwrap();
    assert_eq!(sources.known(), 3);
    let _another = enter(3, 2000).unwrap();
    assert_eq!(sources.known(), 2);
    drop(kept);
    assert_eq!(sources.known(), 1);
}

#[test]
fn a_full_table_admits_known_sources_and_those_with_room() {
    let (sources, now) = (Sources::with_room(limits(2, (1, 0)), 2), Instant::now());
    let enter = |number, millis| sources.enter(address(number), now + Duration::from_millis(millis));
    let _open = enter(1, 0).unwrap();
    drop(enter(2, 500).unwrap());
    assert_eq!(enter(3, 1499).unwrap_err(), Refusal::TooFast);
    let _second = enter(1, 1499).unwrap();
    let _third = enter(3, 1500).unwrap();
    assert_eq!(sources.known(), 2);
}

#[test]
fn without_limits_nothing_is_kept() {
    let (sources, now) = (Sources::new(Limits::default()), Instant::now());
    let visits: Vec<_> = (0..100).map(|_| sources.enter(address(1), now).unwrap()).collect();
    assert!(sources.known() == 0 && visits.iter().all(|visit| visit.0.is_none()));
    sources.set(limits(1, None), now);
    drop(visits);
    let _one = sources.enter(address(1), now).unwrap();
    assert_eq!(sources.enter(address(1), now).unwrap_err(), Refusal::TooMany);
    sources.set(Limits::default(), now);
    assert!(sources.enter(address(1), now).is_ok());
}

#[test]
fn new_limits_apply_to_known_sources_and_forget_nothing() {
    let (sources, now) = (Sources::new(limits(None, (1, 1))), Instant::now());
    let at = |millis| now + Duration::from_millis(millis);
    let enter = |millis| sources.enter(address(1), at(millis));
    let _visits = [enter(0).unwrap(), enter(0).unwrap()];
    sources.set(limits(None, (10, 5)), at(0));
    assert_eq!(enter(99).unwrap_err(), Refusal::TooFast);
    let _third = enter(100).unwrap();
    sources.set(limits(2, (10, 5)), at(100));
    assert_eq!(enter(1000).unwrap_err(), Refusal::TooMany);
    sources.set(limits(None, None), at(1000));
    sources.set(limits(None, (1, 0)), at(1000));
    let _fourth = enter(1000).unwrap();
    assert_eq!(enter(1000).unwrap_err(), Refusal::TooFast);
}

#[test]
fn a_visit_outlives_its_sources() {
    let sources = Sources::new(limits(1, None));
    let visit = sources.enter(address(1), Instant::now()).unwrap();
    drop(sources);
    drop(visit);
}

#[test]
fn a_past_flood_is_forgotten_in_parts() {
    let (sources, now) = (Sources::new(limits(None, (1, 0))), Instant::now());
    (0..100).for_each(|number| drop(sources.enter(address(number), now).unwrap()));
    let later = now + Duration::from_secs(2);
    let _visit = sources.enter(address(200), later).unwrap();
    assert_eq!(sources.known(), 100 - 16 + 1);
    (0..6).for_each(|_| drop(sources.enter(address(200), later)));
    assert_eq!(sources.known(), 1);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter(u8),
    Leave(usize),
    Pause(u64),
    Set(Option<u32>, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6u8).prop_map(Step::Enter),
        3 => any::<usize>().prop_map(Step::Leave),
        2 => (0..1500u64).prop_map(Step::Pause),
        1 => (prop::option::of(0..4u32), 0..4u32).prop_map(|(max, burst)| Step::Set(max, burst)),
    ]
}

/// A source as the definition has it: every admission, never forgotten.
#[derive(Default)]
struct Model {
    open: u32,
    /// Parts of tokens, and when they were counted.
    bucket: Option<(u64, u64)>,
}

/// At two tokens a second, each millisecond earns one part.
const TOKEN: u64 = 500;

/// The parts of a full bucket.
fn full(burst: u32) -> u64 {
    (u64::from(burst) + 1) * TOKEN
}

impl Model {
    fn parts(&mut self, burst: u32, now: u64) -> u64 {
        let (parts, at) = self.bucket.unwrap_or((full(burst), now));
        let parts = (parts + now - at).min(full(burst));
        self.bucket = Some((parts, now));
        parts
    }
}

proptest! {
    /// The model is a map of sources that never forgets any. With room for all of them, forgetting makes no difference;
    /// the table has no more of them than have open connections or have not recovered.
    #[test]
    fn sources_are_as_in_a_map_that_forgets_nothing(steps in prop::collection::vec(step(), 0..200)) {
        let start = Instant::now();
        let (mut max, mut burst, mut millis) = (Some(2), 1, 0);
        let sources = Sources::new(limits(max, (2, burst)));
        let mut models: HashMap<u8, Model> = HashMap::new();
        let mut open = Vec::new();
        for step in steps {
            let now = start + Duration::from_millis(millis);
            match step {
                Step::Enter(number) => {
                    let model = models.entry(number).or_default();
                    let parts = model.parts(burst, millis);
                    let visit = sources.enter(address(number), now);
                    let expected = match () {
                        () if max.is_some_and(|max| model.open >= max) => Some(Refusal::TooMany),
                        () if parts < TOKEN => Some(Refusal::TooFast),
                        () => None,
                    };
                    prop_assert_eq!(visit.as_ref().err().copied(), expected);
                    if let Ok(visit) = visit {
                        model.bucket = Some((parts - TOKEN, millis));
                        model.open += 1;
                        open.push((number, visit));
                    }
                }
                Step::Leave(which) if !open.is_empty() => {
                    let (number, visit) = open.swap_remove(which % open.len());
                    drop(visit);
                    models.get_mut(&number).unwrap().open -= 1;
                }
                Step::Leave(_) => {}
                Step::Pause(pause) => millis += pause,
                Step::Set(new_max, new_burst) => {
                    sources.set(limits(new_max, (2, new_burst)), now);
                    for model in models.values_mut() {
                        // A source that was forgotten has the new burst at once.
                        let parts = model.parts(burst, millis);
                        let is_forgotten = model.open == 0 && parts >= full(burst);
                        model.bucket = (!is_forgotten).then_some((parts.min(full(new_burst)), millis));
                    }
                    (max, burst) = (new_max, new_burst);
                }
            }
            let counting = models.values_mut().filter_map(|model| {
                (model.open > 0 || model.parts(burst, millis) < full(burst)).then_some(())
            });
            prop_assert!(sources.known() >= counting.count());
        }
        drop(open);
        millis += 10_000;
        let _last = sources.enter(address(100), start + Duration::from_millis(millis));
        prop_assert!(sources.known() <= 1);
    }

    /// With less room than sources, no source ever has more than its limits.
    #[test]
    fn a_full_table_admits_nothing_unchecked(steps in prop::collection::vec((0..20u8, 0..400u64), 0..200)) {
        let (start, mut millis) = (Instant::now(), 0);
        let sources = Sources::with_room(limits(None, (1, 0)), 3);
        let mut admitted: HashMap<u8, u64> = HashMap::new();
        for (number, pause) in steps {
            millis += pause;
            let counting = admitted.values().filter(|&&at| millis - at < 1000).count();
            let expected = match admitted.get(&number) {
                Some(at) if millis - at < 1000 => false,
                _ => counting < 3,
            };
            let visit = sources.enter(address(number), start + Duration::from_millis(millis));
            prop_assert_eq!(visit.is_ok(), expected);
            admitted.extend(expected.then_some((number, millis)));
            prop_assert!(sources.known() <= 3);
        }
    }
}
