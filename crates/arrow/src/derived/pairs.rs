//! An interface's address beside the packet's: whether they are the same.

use std::net::IpAddr;

use arrow_array::{Array as _, StringArray, UInt32Array};
use flowquet_format::direction_of;

use super::inputs::keys_with_nulls;
use crate::growing::Nullable;

/// Whether two addresses are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Pair {
    /// One is not there, or is no address.
    Unknown,
    Same,
    Other,
}

/// Compares two text columns row by row, their texts once for most pairs of values: of each value it is remembered which one of the other
/// column is the same, and which one last was not.
pub(super) fn compare(own: (&UInt32Array, &StringArray), packet: (&UInt32Array, &StringArray)) -> Vec<Pair> {
    let (own_keys, packet_keys) = (keys_with_nulls(own.0), keys_with_nulls(packet.0));
    let (own, packet) = (own.1, packet.1);
    let mut known = vec![(u32::NULL, u32::NULL); own.len()];
    let pair = |(a, b): (&u32, &u32)| {
        let (a, b) = (*a, *b);
        if a == u32::NULL || b == u32::NULL {
            return Pair::Unknown;
        }
        let (same, other) = &mut known[a as usize];
        if *same == b {
            return Pair::Same;
        }
        if *other == b {
            return Pair::Other;
        }
        let pair = compare_texts(own.value(a as usize), packet.value(b as usize));
        match pair {
            Pair::Same => *same = b,
            Pair::Other => *other = b,
            Pair::Unknown => {}
        }
        pair
    };
    own_keys.iter().zip(packet_keys.iter()).map(pair).collect()
}

/// An IPv6 address can be spelt in several ways.
fn compare_texts(own: &str, packet: &str) -> Pair {
    match (own.parse::<IpAddr>(), packet.parse::<IpAddr>()) {
        (Ok(own), Ok(packet)) if own == packet => Pair::Same,
        (Ok(_), Ok(_)) => Pair::Other,
        _ => Pair::Unknown,
    }
}

/// Of each row 1 where either pair has another address, 0 where each that is kept is the same, negative where that cannot be told.
pub(super) fn is_nat<'a>(
    src: Option<&'a [Pair]>,
    dst: Option<&'a [Pair]>,
    rows: usize,
) -> impl Iterator<Item = i32> + 'a {
    (0..rows).map(move |row| match (src.map(|s| s[row]), dst.map(|d| d[row])) {
        (Some(Pair::Other), _) | (_, Some(Pair::Other)) => 1,
        (Some(Pair::Same) | None, Some(Pair::Same) | None) => 0,
        _ => i32::NULL,
    })
}

/// Of each row the direction, counted from 1: what is `given`, else what pairs of source and destination tell; 0 where nothing does.
pub(super) fn directions<P: AsRef<[Pair]>>(
    given: Option<&[u8]>,
    pairs: Option<&[P; 2]>,
    rows: usize,
) -> Vec<u8> {
    let mut codes = given.map_or_else(|| vec![0; rows], <[u8]>::to_vec);
    let Some([src, dst]) = pairs else { return codes };
    for ((code, src), dst) in
        codes.iter_mut().zip(src.as_ref()).zip(dst.as_ref()).filter(|((code, _), _)| **code == 0)
    {
        if *src != Pair::Unknown && *dst != Pair::Unknown {
            let told = direction_of(*src == Pair::Other, *dst == Pair::Other);
            *code = told.map_or(0, |direction| direction as u8 + 1);
        }
    }
    codes
}
