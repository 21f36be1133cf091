//! Networks by their addresses: the longest that an address lies in, and those around it.

use std::net::IpAddr;

use flowquet_format::parsed_address;

use crate::error::shown;

/// No network around one.
const NONE: u32 = u32::MAX;

/// A network. IPv4 addresses that are mapped into IPv6 (RFC 4291, 2.5.5.2) are IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Network {
    /// Whether it is of IPv6.
    is_v6: bool,
    start: u128,
    /// Bits that all its addresses share.
    length: u8,
}

/// The address as family and number.
fn number(address: IpAddr) -> (bool, u128) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (false, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (true, v6.to_bits()),
    }
}

impl Network {
    /// The network that a text spells: `10.0.0.0/8`, `2001:db8::/32`, or an address for itself alone.
    ///
    /// # Errors
    /// What was expected and found.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("expected a network such as 10.0.0.0/8 or 2001:db8::/32, found `{}`", shown(text));
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address = parsed_address(address).ok_or_else(wrong)?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |length: &&str| !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        let mut length = match length {
            None => bits,
            Some(length) => Some(length).filter(is_number).and_then(|l| l.parse().ok()).ok_or_else(wrong)?,
        };
        if length > bits {
            return Err(wrong());
        }
        let (is_v6, start) = number(address);
        // A network of mapped addresses; a shorter one is around all of IPv4, and of IPv6.
        let (is_v6, start) = match (address, is_v6, length) {
            (IpAddr::V6(_), false, 96..) => {
                length -= 96;
                (false, start)
            }
            (IpAddr::V6(v6), false, _) => (true, v6.to_bits()),
            _ => (is_v6, start),
        };
        let network = Self { is_v6, start, length };
        let first = start & !network.host_bits();
        if first != start {
            let fits = Self { start: first, ..network };
            return Err(format!(
                "expected a network whose host bits are 0, such as {fits}, found `{}`",
                shown(text)
            ));
        }
        Ok(network)
    }

    /// The bits in which its addresses differ.
    fn host_bits(self) -> u128 {
        let bits = if self.is_v6 { 128 } else { 32 };
        let host = bits - u32::from(self.length);
        1_u128.checked_shl(host).map_or(u128::MAX, |next| next - 1)
    }

    fn last(self) -> u128 {
        self.start | self.host_bits()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address: IpAddr = match self.is_v6 {
            false => IpAddr::V4((self.start as u32).into()),
            true => IpAddr::V6(self.start.into()),
        };
        write!(f, "{address}/{}", self.length)
    }
}

/// Networks, each once, and which one is around another.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    /// Sorted: IPv4 before IPv6, then by first address, then the shorter first.
    sorted: Vec<Network>,
    /// The place of the next longer network around each, or [`NONE`].
    around: Vec<u32>,
}

impl Networks {
    /// Of networks that are sorted, each once.
    pub(crate) fn new(sorted: Vec<Network>) -> Self {
        debug_assert!(sorted.is_sorted_by(|a, b| a < b));
        let mut around = Vec::with_capacity(sorted.len());
        // Those around the last one, the shortest first.
        let mut open: Vec<u32> = Vec::new();
        for (place, network) in sorted.iter().enumerate() {
            let is_within = |outer: &Network| outer.is_v6 == network.is_v6 && network.start <= outer.last();
            while open.last().is_some_and(|outer| !is_within(&sorted[*outer as usize])) {
                open.pop();
            }
            around.push(open.last().copied().unwrap_or(NONE));
            open.push(place as u32);
        }
        Self { sorted, around }
    }

    /// The places of the networks that an address lies in, the longest first.
    pub(crate) fn of(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        let (is_v6, number) = number(address);
        // The last network that does not begin behind the address: that is in all others that the address lies in, since networks do not overlap but
        // for one in the other.
        let behind = self.sorted.partition_point(|n| (n.is_v6, n.start) <= (is_v6, number));
        let mut next = behind.checked_sub(1).map_or(NONE, |place| place as u32);
        std::iter::from_fn(move || {
            while next != NONE {
                let place = next as usize;
                next = self.around[place];
                let network = self.sorted[place];
                if network.is_v6 == is_v6 && number <= network.last() {
                    return Some(place);
                }
            }
            None
        })
    }

    /// Bits that all addresses of a network share.
    pub(crate) fn length(&self, place: usize) -> u8 {
        self.sorted[place].length
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.sorted.len() * (size_of::<Network>() + size_of::<u32>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_as_texts() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            (
                "::ffff:0:0/95",
                "expected a network whose host bits are 0, such as ::fffe:0:0/95, found `::ffff:0:0/95`",
            ),
            (
                "10.0.0.1/8",
                "expected a network whose host bits are 0, such as 10.0.0.0/8, found `10.0.0.1/8`",
            ),
            ("10.0.0.0/33", "found `10.0.0.0/33`"),
            ("10.0.0.0/", "found `10.0.0.0/`"),
            ("10.0.0.0/+8", "found `10.0.0.0/+8`"),
            ("10.0.0/8", "found `10.0.0/8`"),
            ("::/129", "found `::/129`"),
            ("", "found ``"),
            ("x", "found `x`"),
        ] {
            let told = Network::parse(text).map_or_else(|error| error, |network| network.to_string());
            assert!(told.ends_with(expected), "{text}: {told}");
        }
    }

    fn network() -> impl Strategy<Value = Network> {
        // Few bits, so that networks nest and touch.
        (any::<bool>(), 0_u128..256, 0_u8..=8).prop_map(|(is_v6, bits, length)| {
            let (width, base) = if is_v6 { (128, 0x2001 << 112) } else { (32, 0x0a00_0000) };
            let network = Network { is_v6, start: 0, length: width - 8 + length };
            Network { start: (base + bits) & !network.host_bits(), ..network }
        })
    }

    proptest! {
        #[test]
        fn the_longest_comes_first(networks in proptest::collection::btree_set(network(), 0..40), asked in 0_u128..300, is_v6: bool) {
            let sorted: Vec<Network> = networks.into_iter().collect();
            let address: IpAddr = match is_v6 {
                true => IpAddr::V6(((0x2001 << 112) + asked).into()),
                false => IpAddr::V4((0x0a00_0000 + asked as u32).into()),
            };
            let (family, number) = number(address);
            let is_in = |n: &&Network| n.is_v6 == family && n.start <= number && number <= n.last();
            let mut expected: Vec<Network> = sorted.iter().filter(is_in).copied().collect();
            expected.sort_by_key(|n| std::cmp::Reverse(n.length));
            let networks = Networks::new(sorted.clone());
            let found: Vec<Network> = networks.of(address).map(|place| sorted[place]).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
