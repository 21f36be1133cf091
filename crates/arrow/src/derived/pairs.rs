//! An interface's address beside the packet's: whether they are the same.

use std::net::IpAddr;
use std::rc::Rc;

use arrow_array::{Array as _, StringArray};
use flowquet_format::{direction_of, parsed_address};

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

/// A column of addresses of the interface: keys, values, and what each value spells.
pub(super) struct Own<'a> {
    pub(super) keys: Rc<[u32]>,
    pub(super) values: &'a StringArray,
    pub(super) parsed: Rc<[Option<IpAddr>]>,
}

/// Compares the interface's addresses with the packet's, row by row. Mostly both are the same text, so that of each value it is remembered which one of
/// the other column that is, and which one last was another; only then the packet's is parsed.
pub(super) fn compare(own: &Own<'_>, packet_keys: &[u32], packet: &StringArray) -> Vec<Pair> {
    let mut known = vec![(u32::NULL, u32::NULL); own.values.len()];
    let pair = |(a, b): (&u32, &u32)| {
        let (a, b) = (*a, *b);
        let Some((same, other)) = known.get_mut(a as usize).filter(|_| b != u32::NULL) else {
            return Pair::Unknown;
        };
        if *same == b {
            return Pair::Same;
        }
        if *other == b {
            return Pair::Other;
        }
        let Some(own_address) = own.parsed[a as usize] else { return Pair::Unknown };
        let text = packet.value(b as usize);
        // An IPv6 address can be spelt in several ways.
        let is_same = text == own.values.value(a as usize)
            || match parsed_address(text) {
                Some(address) => address == own_address,
                None => return Pair::Unknown,
            };
        *(if is_same { same } else { other }) = b;
        if is_same { Pair::Same } else { Pair::Other }
    };
    own.keys.iter().zip(packet_keys).map(pair).collect()
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
