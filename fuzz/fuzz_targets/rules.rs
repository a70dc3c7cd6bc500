//! Lists of access rules, one rule per line of the input, against a model that compares addresses bit by bit.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::{Corpus, fuzz_target};
use trap_server::access::Rules;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(input) else { return Corpus::Reject };
    check(&text.lines().collect::<Vec<_>>());
    Corpus::Keep
});

fn check(lines: &[&str]) {
    let model = Model::parse(lines);
    match (Rules::parse(lines), model) {
        (Ok(rules), Some(model)) => check_rules(&rules, &model),
        (Err(bad), None) => {
            assert!(bad.is_sorted_by(|one, next| one.index < next.index) && !bad.is_empty(), "{bad:?}");
            for rule in bad {
                assert!(rule.index < lines.len().max(1) && !rule.to_string().is_empty(), "{rule:?}");
            }
        }
        (rules, model) => panic!("{lines:?}: {rules:?} and in the model {model:?}"),
    }
}

fn check_rules(rules: &Rules, model: &Model) {
    let normal = rules.to_string();
    let again: Vec<&str> = normal.split(", ").collect();
    assert_eq!(Rules::parse(&again).as_ref(), Ok(rules), "{normal}");
    for peer in model.peers() {
        assert_eq!(rules.admits(peer), model.admits(peer), "{peer}: {normal}");
        if let IpAddr::V4(peer) = peer {
            assert_eq!(
                rules.admits(peer.into()),
                rules.admits(peer.to_ipv6_mapped().into()),
                "{peer}: {normal}"
            );
        }
    }
}

/// A list as the documentation describes it. Every address is 128 bits, an IPv4 address in its mapped form.
#[derive(Debug)]
struct Model {
    nets: Vec<Net>,
    all: bool,
}

#[derive(Debug)]
struct Net {
    allow: bool,
    address: u128,
    prefix: u32,
}

impl Model {
    fn parse(lines: &[&str]) -> Option<Self> {
        let (last, nets) = lines.split_last()?;
        let (all, "all") = words(last)? else { return None };
        Some(Self { nets: nets.iter().map(|line| Net::parse(line)).collect::<Option<_>>()?, all })
    }

    fn admits(&self, peer: IpAddr) -> bool {
        self.nets.iter().find(|net| net.contains(bits(peer))).map_or(self.all, |net| net.allow)
    }

    /// Both edges of each network, and the addresses just outside.
    fn peers(&self) -> impl Iterator<Item = IpAddr> {
        let always = [0, 1, u128::MAX, bits(Ipv4Addr::LOCALHOST.into()), bits(Ipv4Addr::BROADCAST.into())];
        let edges = self.nets.iter().flat_map(|Net { address, prefix, .. }| {
            let hosts = u128::MAX.checked_shr(*prefix).unwrap_or(0);
            let (first, last) = (address & !hosts, address | hosts);
            [*address, first, last, first.wrapping_sub(1), last.wrapping_add(1)]
        });
        always.into_iter().chain(edges).map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical())
    }
}

impl Net {
    fn parse(line: &str) -> Option<Self> {
        let (allow, net) = words(line)?;
        let (address, prefix) =
            net.split_once('/').map_or((net, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => return None,
            Some(digits) => digits.parse().ok().filter(|prefix| *prefix <= most)?,
            None => most,
        };
        Some(Self { allow, address: bits(address), prefix: 128 - most + prefix })
    }

    /// An IPv6 network that holds all mapped addresses is not meant for IPv4.
    fn contains(&self, peer: u128) -> bool {
        let is_mapped = |bits: u128| bits >> 32 == 0xffff;
        let is_ipv4 = is_mapped(self.address) && self.prefix >= 96;
        let alike = (0..self.prefix).all(|bit| (self.address ^ peer) >> (127 - bit) & 1 == 0);
        alike && is_ipv4 == is_mapped(peer)
    }
}

/// The verdict of a line, and its other word.
fn words(line: &str) -> Option<(bool, &str)> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["allow", net] => Some((true, net)),
        ["deny", net] => Some((false, net)),
        _ => None,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}
