use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn rules(lines: &[&str]) -> Rules {
    Rules::parse(lines).unwrap()
}

fn problems(lines: &[&str]) -> Vec<(usize, Problem)> {
    Rules::parse(lines).unwrap_err().into_iter().map(|bad| (bad.index, bad.problem)).collect()
}

#[test]
fn the_normal_form_has_no_host_bits_and_no_mapped_addresses() {
    let lines = [
        "allow 192.168.0.1/24",
        " deny\t10.0.0.7 ",
        "allow 10.0.0.8/32",
        "deny ::ffff:1.2.3.4",
        "deny ::ffff:1.2.3.4/120",
        "allow fe80::1:2/10",
        "allow ::1",
        "deny all",
    ];
    let normal = "allow 192.168.0.0/24, deny 10.0.0.7, allow 10.0.0.8, deny 1.2.3.4, deny 1.2.3.0/24, \
                  allow fe80::/10, allow ::1, deny all";
    assert_eq!(rules(&lines).to_string(), normal);
    assert_eq!(Rules::default(), rules(&["allow all"]));
}

#[test]
fn an_ipv6_network_does_not_match_ipv4() {
    let rules = rules(&["deny ::/0", "allow all"]);
    assert!(rules.admits("1.2.3.4".parse().unwrap()));
    assert!(rules.admits("::ffff:1.2.3.4".parse().unwrap()));
    assert!(!rules.admits("::1.2.3.4".parse().unwrap()));
}

#[test]
fn every_invalid_line_is_reported() {
    let no_rule = |got: &str| Problem::NoRule { got: got.into() };
    let no_net = |got: &str| Problem::NoNet { got: got.into() };
    let prefix = |got: &str, most| Problem::Prefix { got: got.into(), most };
    assert_eq!(problems(&[]), [(0, Problem::Empty)]);
    assert_eq!(problems(&["allow 10.0.0.0/8"]), [(0, Problem::Open)]);
    assert_eq!(problems(&["deny all", "allow all"]), [(0, Problem::Early)]);
    for line in ["", "allow", "all", "Allow all", "permit all", "allow 10.0.0.0 /8", "allow all all"] {
        assert_eq!(problems(&[line, "allow all"]), [(0, no_rule(line))]);
    }
    for net in
        ["10.0.0", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/-1", "ALL", "a.example", "[::1]"]
    {
        assert_eq!(problems(&[&format!("deny {net}"), "allow all"]), [(0, no_net(net))]);
    }
    for (net, most) in
        [("10.0.0.0/33", 32), ("10.0.0.0/999", 32), ("::/129", 128), ("::ffff:1.2.3.4/129", 128)]
    {
        assert_eq!(problems(&[&format!("deny {net}"), "allow all"]), [(0, prefix(net, most))]);
    }
    assert_eq!(
        problems(&["allow all", "nobody", "deny 1.2.3.4/33", "allow ::1"]),
        [(0, Problem::Early), (1, no_rule("nobody")), (2, prefix("1.2.3.4/33", 32)), (3, Problem::Open)]
    );
}

proptest! {
    #[test]
    fn random_text_never_panics(lines in vec("(allow|deny|) ?(all|[0-9a-f:./]{0,20}|.{0,20})", 0..4)) {
        let _ = Rules::parse(&lines);
    }

    #[test]
    fn an_ipv4_network_ends_at_its_edges(address: u32) {
        for prefix in 0..=32 {
            let size = 1_u64 << (32 - prefix);
            let first = u64::from(address) / size * size;
            let address = Ipv4Addr::from_bits(address);
            let plain = rules(&[&format!("allow {address}/{prefix}"), "deny all"]);
            let mapped = rules(&[&format!("allow ::ffff:{address}/{}", 96 + prefix), "deny all"]);
            prop_assert_eq!(&mapped, &plain);
            let admits = |address: u64| {
                let address = Ipv4Addr::from_bits(u32::try_from(address).unwrap());
                assert_eq!(plain.admits(address.into()), plain.admits(address.to_ipv6_mapped().into()));
                plain.admits(address.into())
            };
            prop_assert!(admits(first) && admits(first + size - 1));
            prop_assert!(first == 0 || !admits(first - 1));
            prop_assert!(first + size > u64::from(u32::MAX) || !admits(first + size));
        }
    }

    #[test]
    fn an_ipv6_network_ends_at_its_edges(address: u128) {
        for prefix in 0..=128 {
            let host_bits = if prefix == 0 { u128::MAX } else { (1 << (128 - prefix)) - 1 };
            let (first, last) = (address & !host_bits, address | host_bits);
            let net = rules(&[&format!("allow {}/{prefix}", Ipv6Addr::from_bits(address)), "deny all"]);
            let admits = |address| net.admits(Ipv6Addr::from_bits(address).into());
            prop_assert!(admits(first) && admits(last));
            prop_assert!(first == 0 || !admits(first - 1));
            prop_assert!(last == u128::MAX || !admits(last + 1));
        }
    }

    /// The oracle compares bits as text, last rule first.
    #[test]
    fn the_first_match_wins(list in vec((any::<bool>(), 0..16_u32, 26..=32_usize), 0..8), all: bool, peer in 0..16_u32) {
        let verdict = |allow| if allow { "allow" } else { "deny" };
        let address = |low| Ipv4Addr::from_bits(0x0a00_0000 | low);
        let bits = |low, prefix: usize| format!("{:032b}", address(low).to_bits())[..prefix].to_owned();
        let mut lines: Vec<String> = list
            .iter()
            .map(|(allow, low, prefix)| format!("{} {}/{prefix}", verdict(*allow), address(*low)))
            .collect();
        lines.push(format!("{} all", verdict(all)));
        let mut expected = all;
        for (allow, low, prefix) in list.into_iter().rev() {
            if bits(low, prefix) == bits(peer, prefix) {
                expected = allow;
            }
        }
        let rules = Rules::parse(&lines).unwrap();
        prop_assert_eq!(rules.admits(address(peer).into()), expected);
        let normal: Vec<String> = rules.to_string().split(", ").map(str::to_owned).collect();
        prop_assert_eq!(Rules::parse(&normal), Ok(rules));
    }
}
