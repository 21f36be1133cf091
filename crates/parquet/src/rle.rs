//! The hybrid of run-length and bit-packed encoding that Parquet uses for levels and dictionary keys.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/> (RLE / bit-packing hybrid).

/// Values that are packed together: a packed run is a whole number of such groups.
const GROUP: usize = 8;

/// Bits that hold every value up to `max`, at least one: some readers do not expect a width of zero.
pub(crate) fn bit_width(max: u32) -> u32 {
    (u32::BITS - max.leading_zeros()).max(1)
}

/// Appends a page's keys, each below `1 << width`: their width and the keys in it.
pub(crate) fn push_keys(keys: &[u32], width: u32, out: &mut Vec<u8>) {
    out.push(width as u8);
    encode(keys, width, out);
}

/// Appends `values`, each below `1 << width`, to `out`.
///
/// This is a hot loop. Runs are looked for group by group only: that misses less than a group at either end of a run, and
/// costs a vector compare for eight values.
pub(crate) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let (groups, tail) = values.as_chunks::<GROUP>();
    // A run ends the packed values before it; one that saves less than the headers of both would not pay.
    let run_min = 5usize.div_ceil(width as usize);
    let (mut packed_from, mut at) = (0, 0);
    while at < groups.len() {
        let value = groups[at][0];
        let run = groups[at..].iter().take_while(|g| **g == [value; GROUP]).count();
        if run >= run_min {
            pack(&groups[packed_from..at], &[], width, out);
            at += run;
            packed_from = at;
            // The last run may take the tail along, which else needs a padded group of its own.
            let ends_page = at == groups.len() && tail.iter().all(|v| *v == value);
            if ends_page {
                return run_of(value, run * GROUP + tail.len(), width, out);
            }
            run_of(value, run * GROUP, width, out);
        } else {
            at += run.max(1);
        }
    }
    pack(&groups[packed_from..], tail, width, out);
}

/// Appends levels of one bit, given as bytes of eight, lowest bit first, of `count` values; bits past them are zero.
///
/// Packed levels are those very bytes; only long runs of ones are found among them.
pub(crate) fn levels(bytes: &[u8], count: usize, out: &mut Vec<u8>) {
    const RUN_MIN: usize = 5;
    let whole = count / GROUP;
    let (mut packed_from, mut at) = (0, 0);
    while at < whole {
        let run = bytes[at..whole].iter().take_while(|b| **b == 0xff).count();
        if run >= RUN_MIN {
            packed_levels(&bytes[packed_from..at], out);
            run_of(1, run * GROUP, 1, out);
            at += run;
            packed_from = at;
        } else {
            at += run.max(1);
        }
    }
    packed_levels(&bytes[packed_from..], out);
}

fn packed_levels(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        varint((bytes.len() as u64) << 1 | 1, out);
        out.extend_from_slice(bytes);
    }
}

/// Appends a run of `count` times `value`.
pub(crate) fn run_of(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    if count > 0 {
        varint((count as u64) << 1, out);
        out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
}

/// Appends one bit-packed run of `groups` and a `tail` of less than a group, padded with zeros.
fn pack(groups: &[[u32; GROUP]], tail: &[u32], width: u32, out: &mut Vec<u8>) {
    let count = groups.len() + usize::from(!tail.is_empty());
    if count == 0 {
        return;
    }
    varint((count as u64) << 1 | 1, out);
    out.reserve(count * width as usize);
    pack_groups(groups, width, out);
    if !tail.is_empty() {
        let mut padded = [0; GROUP];
        padded[..tail.len()].copy_from_slice(tail);
        pack_groups(&[padded], width, out);
    }
}

/// Appends `width` bytes for each group. This is a hot loop: one for each width that dictionaries of a row group have, so
/// that shifts are constants and nothing is carried from group to group.
fn pack_groups(groups: &[[u32; GROUP]], width: u32, out: &mut Vec<u8>) {
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                $($width => groups.iter().for_each(|g| pack_group::<$width>(g, out)),)*
                _ => pack_bits(groups.as_flattened().iter().map(|v| u64::from(*v)), width, out),
            }
        };
    }
    by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

#[inline(always)]
fn pack_group<const WIDTH: usize>(group: &[u32; GROUP], out: &mut Vec<u8>) {
    let half =
        |values: &[u32]| values.iter().rev().fold(0u64, |bits, value| bits << WIDTH | u64::from(*value));
    let (low, high) = group.split_at(GROUP / 2);
    let bits = u128::from(half(low)) | u128::from(half(high)) << (WIDTH * GROUP / 2);
    out.extend_from_slice(&bits.to_le_bytes()[..WIDTH]);
}

/// Appends `values` of `width` bits, up to 64, lowest bit first; together they fill whole bytes.
pub(crate) fn pack_bits(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut filled) = (0u128, 0);
    for value in values {
        bits |= u128::from(value) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            filled -= 64;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..filled as usize / 8]);
}

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A decoder written from the specification, value by value.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 1 {
                let len = (header >> 1) as usize * width as usize;
                for i in 0..(header >> 1) as usize * 8 {
                    let bit = |b: usize| u32::from(bytes[b / 8] >> (b % 8) & 1);
                    values.push((0..width as usize).map(|b| bit(i * width as usize + b) << b).sum());
                }
                bytes = &bytes[len..];
            } else {
                let len = width.div_ceil(8) as usize;
                let value: u32 = (0..len).map(|i| u32::from(bytes[i]) << (8 * i)).sum();
                values.extend(std::iter::repeat_n(value, (header >> 1) as usize));
                bytes = &bytes[len..];
            }
        }
        assert!(bytes.is_empty(), "all bytes are used");
        assert!(values.len() - count < 8, "only the last group is padded");
        values.truncate(count);
        values
    }

    #[track_caller]
    fn check(values: &[u32]) {
        let least = bit_width(values.iter().copied().max().unwrap_or(0));
        for width in least..=32 {
            let mut out = Vec::new();
            encode(values, width, &mut out);
            assert_eq!(decode(&out, width, values.len()), values, "width {width}");
        }
    }

    #[test]
    fn runs_at_every_place() {
        for before in 0..20 {
            for run in 0..40 {
                for after in [0, 1, 7, 8, 9] {
                    let distinct = |n: usize| (0..n as u32).map(|i| i % 5);
                    let values: Vec<u32> =
                        distinct(before).chain(std::iter::repeat_n(6, run)).chain(distinct(after)).collect();
                    check(&values);
                }
            }
        }
        check(&[u32::MAX; 3]);
        check(&(0..5000).map(|i| i * 31 % 4097).collect::<Vec<_>>());
    }

    #[test]
    fn levels_equal_values_of_one_bit() {
        for count in (0..70).chain([1000, 16_384]) {
            for every in [1, 2, 7, 60, 500, usize::MAX] {
                let values: Vec<u32> = (0..count).map(|i| u32::from(i % every != every - 1)).collect();
                let byte = |bits: &[u32]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | *bit as u8);
                let bytes: Vec<u8> = values.chunks(8).map(byte).collect();
                let mut out = Vec::new();
                levels(&bytes, count, &mut out);
                assert_eq!(decode(&out, 1, count), values);
            }
        }
    }

    #[test]
    fn constants_cost_almost_nothing() {
        let mut out = Vec::new();
        encode(&[1; 16_384], 1, &mut out);
        assert_eq!(out.len(), 4);
    }

    proptest! {
        #[test]
        fn decodes_to_what_was_encoded(runs in proptest::collection::vec((0u32..9, 1usize..50), 0..40), shift in 0u32..29) {
            let values: Vec<u32> = runs.iter().flat_map(|(v, n)| std::iter::repeat_n(v << shift, *n)).collect();
            check(&values);
        }
    }
}
