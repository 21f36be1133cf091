//! Networks of addresses.

use std::str::FromStr;

use crate::columns::{ADDRESS_BYTES, address_bytes};

/// Bits before the address in one of IPv4: they stand as IPv6 maps them.
const MAPPED_BITS: u32 = 96;

/// A network such as `10.0.0.0/8` or `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: u128,
    last: u128,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("expected an address or a network such as 10.0.0.0/8, found `{text}`");
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let bytes = address_bytes(address).ok_or_else(error)?;
        let before = if address.contains(':') { 0 } else { MAPPED_BITS };
        let bits = match length {
            None => u128::BITS,
            Some(length) => {
                let given = length.parse::<u32>().ok().filter(|l| *l <= u128::BITS - before);
                given.filter(|_| length.bytes().all(|b| b.is_ascii_digit())).ok_or_else(error)? + before
            }
        };
        let host = if bits == 0 { u128::MAX } else { u128::MAX.checked_shr(bits).unwrap_or(0) };
        let first = u128::from_be_bytes(bytes) & !host;
        Ok(Self { first, last: first | host })
    }
}

impl Network {
    /// Its first and last address.
    pub fn bounds(&self) -> [[u8; ADDRESS_BYTES]; 2] {
        [self.first, self.last].map(u128::to_be_bytes)
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: [u8; ADDRESS_BYTES]) -> bool {
        (self.first..=self.last).contains(&u128::from_be_bytes(address))
    }

    /// Whether any address between two, both included, is in it.
    pub fn overlaps(&self, least: [u8; ADDRESS_BYTES], most: [u8; ADDRESS_BYTES]) -> bool {
        self.first <= u128::from_be_bytes(most) && u128::from_be_bytes(least) <= self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, within, without) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("10.1.2.3/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "::10.0.0.1"]),
            ("192.0.2.7", ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::1", "2001:db8::"]),
            ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db9::", "10.0.0.1"]),
            ("::/0", ["::", "10.0.0.1"], ["x", "y"]),
        ] {
            let parsed: Network = network.parse().expect("a network");
            for address in within {
                assert!(parsed.contains(address_bytes(address).expect("an address")), "{address} {network}");
            }
            for address in without.into_iter().filter_map(address_bytes) {
                assert!(!parsed.contains(address), "{address:?} {network}");
            }
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "x"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_that_overlap() {
        let network: Network = "10.1.0.0/16".parse().expect("a network");
        let bytes = |text| address_bytes(text).expect("an address");
        for (least, most, expected) in [
            ("10.0.0.0", "10.0.255.255", false),
            ("10.0.0.0", "10.1.0.0", true),
            ("10.1.255.255", "11.0.0.0", true),
            ("10.2.0.0", "11.0.0.0", false),
        ] {
            assert_eq!(network.overlaps(bytes(least), bytes(most)), expected, "{least} {most}");
        }
    }
}
