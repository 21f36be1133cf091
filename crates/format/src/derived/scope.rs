//! Scopes of addresses: the longest of some networks that an address lies in tells.

use std::net::IpAddr;
use std::sync::OnceLock;

use super::registry::rows;

const SCOPES: &str = include_str!("../../../../schemas/registries/scopes.tsv");

/// The scope of an address in no network of the table.
const PUBLIC: &str = "public";

/// Where a scope begins, of one family, in order: it reaches to where the next one begins.
type Begins = Vec<(u128, &'static str)>;

/// A network: first and last address, and its scope.
type Network = (u128, u128, &'static str);

/// The scope of an address, by IANA's registries and AWS's documentation.
pub fn scope_of(address: IpAddr) -> &'static str {
    static FAMILIES: OnceLock<[Begins; 2]> = OnceLock::new();
    let families = FAMILIES.get_or_init(|| [32, 128].map(|bits| begins_of(&networks(bits))));
    let (family, number) = match address {
        IpAddr::V4(v4) => (0, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (1, v6.to_bits()),
    };
    let begins = &families[family];
    begins[begins.partition_point(|(start, _)| *start <= number) - 1].1
}

/// The networks of the family whose addresses have so many bits.
fn networks(bits: u32) -> Vec<Network> {
    let network = |row: Vec<&'static str>| {
        let (address, length) = row[0].split_once('/').expect("a test reads the table");
        let (of_family, start) = match address.parse().expect("a test reads the table") {
            IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (128, v6.to_bits()),
        };
        let host = of_family - length.parse::<u32>().expect("a test reads the table");
        let last = start | u128::MAX.checked_shr(128 - host).unwrap_or_default();
        (of_family == bits).then_some((start, last, row[1]))
    };
    rows(SCOPES).filter_map(network).collect()
}

fn begins_of(networks: &[Network]) -> Begins {
    let ends = networks.iter().filter_map(|(_, last, _)| last.checked_add(1));
    let mut starts: Vec<u128> = networks.iter().map(|(start, ..)| *start).chain(ends).chain([0]).collect();
    starts.sort_unstable();
    starts.dedup();
    let scope = |at: u128| {
        let around = networks.iter().filter(|(start, last, _)| (*start..=*last).contains(&at));
        around.min_by_key(|(start, last, _)| last - start).map_or(PUBLIC, |(.., scope)| *scope)
    };
    starts.into_iter().map(|start| (start, scope(start))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_network_tells() {
        for (address, expected) in [
            ("0.0.0.0", "reserved"),
            ("1.0.0.0", "public"),
            ("10.255.255.255", "private"),
            ("11.0.0.0", "public"),
            ("172.15.255.255", "public"),
            ("172.31.16.139", "private"),
            ("192.168.0.1", "private"),
            ("100.64.0.1", "cgnat"),
            ("100.128.0.0", "public"),
            ("127.0.0.1", "loopback"),
            ("169.254.0.1", "link-local"),
            ("169.254.169.254", "aws-reserved"),
            ("169.254.169.255", "link-local"),
            ("203.0.113.12", "documentation"),
            ("224.0.0.251", "multicast"),
            ("255.255.255.255", "reserved"),
            ("52.95.128.179", "public"),
            ("::", "reserved"),
            ("::1", "loopback"),
            ("::ffff:10.0.0.1", "reserved"),
            ("2001:db8:1234:a100:8d6e:3477:df66:f105", "documentation"),
            ("2600:1f18::1", "public"),
            ("fd00:ec2::254", "aws-reserved"),
            ("fd00:ec3::1", "private"),
            ("fe80::1", "link-local"),
            ("ff02::1", "multicast"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"),
        ] {
            assert_eq!(scope_of(address.parse().expect("an address")), expected, "{address}");
        }
    }

    #[test]
    fn networks_have_no_host_bits() {
        for bits in [32, 128] {
            for (start, last, _) in networks(bits) {
                assert_eq!(start & (last - start), 0);
            }
        }
    }
}
