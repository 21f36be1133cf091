//! Addresses as numbers, from their text.

use std::net::{IpAddr, Ipv4Addr};

/// The address that a text spells, as [`IpAddr`]'s own parser has it, which takes several times as long for IPv4.
pub fn parsed_address(text: &str) -> Option<IpAddr> {
    match parsed_v4(text.as_bytes()) {
        Some(address) => Some(IpAddr::V4(Ipv4Addr::from_bits(address))),
        None if text.contains(':') => text.parse().ok(),
        None => None,
    }
}

/// Four numbers up to 255 without zeros before them, and dots between them.
fn parsed_v4(text: &[u8]) -> Option<u32> {
    let (mut address, mut part, mut digits, mut dots) = (0_u32, 0_u32, 0, 0);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            if digits == 3 || (digits == 1 && part == 0) {
                return None;
            }
            part = part * 10 + u32::from(digit);
            digits += 1;
        } else if *byte == b'.' && digits > 0 && dots < 3 && part < 256 {
            address = address << 8 | part;
            (part, digits) = (0, 0);
            dots += 1;
        } else {
            return None;
        }
    }
    (dots == 3 && digits > 0 && part < 256).then_some(address << 8 | part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str) {
        assert_eq!(parsed_address(text), text.parse().ok(), "{text}");
    }

    #[test]
    fn as_the_standard_library_parses() {
        for text in [
            "10.0.0.1",
            "255.255.255.255",
            "256.0.0.1",
            "0.0.0.0",
            "00.0.0.0",
            "01.2.3.4",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "1.2.3.4 ",
            "",
            "-",
            "1234.1.1.1",
            "::1",
            "::ffff:10.0.0.1",
            "2001:db8::1",
            "2001:db8::g",
            "fe80::1%eth0",
        ] {
            check(text);
        }
    }

    proptest! {
        #[test]
        fn texts_like_addresses(text in "[0-9]{0,4}(\\.[0-9]{0,3}){2,4}|[0-9a-f:.]{0,20}") {
            check(&text);
        }
    }
}
