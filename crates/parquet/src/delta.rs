//! Integers as packed differences, for columns whose values are many but not large.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/> (DELTA_BINARY_PACKED).

use crate::rle::{pack_bits, varint};

/// Values of a block, each with a smallest difference of its own.
const BLOCK: usize = 128;

/// Values of a miniblock, each with a bit width of its own.
const MINIBLOCK: usize = 32;

/// Appends `values` of a column of `bytes` bytes a value to `out`. Differences wrap around within those bytes.
pub(crate) fn encode(values: impl ExactSizeIterator<Item = i64>, bytes: usize, out: &mut Vec<u8>) {
    let unused_bits = 64 - 8 * bytes as u32;
    let wrapped = |delta: i64| delta << unused_bits >> unused_bits;
    varint(BLOCK as u64, out);
    varint((BLOCK / MINIBLOCK) as u64, out);
    varint(values.len() as u64, out);
    let mut values = values.peekable();
    let mut last = values.next().unwrap_or_default();
    varint(zigzag(last), out);
    let mut deltas = [0i64; BLOCK];
    while values.peek().is_some() {
        let mut filled = 0;
        let mut min = i64::MAX;
        for (delta, value) in deltas.iter_mut().zip(values.by_ref()) {
            *delta = wrapped(value.wrapping_sub(last));
            min = min.min(*delta);
            last = value;
            filled += 1;
        }
        // What is missing in the last block is padded with the smallest difference, which packs to nothing.
        deltas[filled..].fill(min);
        varint(zigzag(min), out);
        let (miniblocks, _) = deltas.as_chunks::<MINIBLOCK>();
        let packed = |m: &[i64; MINIBLOCK]| {
            m.map(|delta| delta.wrapping_sub(min).cast_unsigned() & (u64::MAX >> unused_bits))
        };
        let width = |m: &[i64; MINIBLOCK]| {
            u64::BITS - packed(m).iter().fold(0, |bits, value| bits | value).leading_zeros()
        };
        let widths: [u32; BLOCK / MINIBLOCK] = std::array::from_fn(|i| width(&miniblocks[i]));
        out.extend(widths.iter().map(|w| *w as u8));
        for (miniblock, width) in miniblocks.iter().zip(widths) {
            pack_bits(packed(miniblock).into_iter(), width, out);
        }
    }
}

/// Small numbers of either sign as small numbers.
fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A decoder written from the specification, bit by bit.
    fn decode(mut bytes: &[u8]) -> Vec<i64> {
        fn read(bytes: &mut &[u8]) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    return value;
                }
            }
        }
        let signed = |n: u64| (n >> 1).cast_signed() ^ -((n & 1).cast_signed());
        let (block, miniblocks) = (read(&mut bytes) as usize, read(&mut bytes) as usize);
        let count = read(&mut bytes) as usize;
        let mut values = vec![signed(read(&mut bytes))];
        while values.len() < count {
            let min = signed(read(&mut bytes));
            let (widths, mut data) = bytes.split_at(miniblocks);
            for width in widths {
                let per = block / miniblocks;
                for i in 0..per {
                    let bit = |b: usize| u64::from(data[b / 8] >> (b % 8) & 1);
                    let width = usize::from(*width);
                    let delta: u64 = (0..width).map(|b| bit(i * width + b) << b).sum();
                    values.push(values[values.len() - 1].wrapping_add(min).wrapping_add(delta.cast_signed()));
                }
                data = &data[per / 8 * usize::from(*width)..];
            }
            bytes = data;
        }
        assert!(bytes.is_empty(), "all bytes are used");
        values.truncate(count);
        values
    }

    #[track_caller]
    fn check(values: &[i64]) {
        let mut out = Vec::new();
        encode(values.iter().copied(), 8, &mut out);
        assert_eq!(decode(&out), values);
        let narrow: Vec<i64> = values.iter().map(|v| i64::from(*v as i32)).collect();
        out.clear();
        encode(narrow.iter().copied(), 4, &mut out);
        let decoded: Vec<i64> = decode(&out).into_iter().map(|v| i64::from(v as i32)).collect();
        assert_eq!(decoded, narrow);
    }

    #[test]
    fn lengths_around_blocks_and_extreme_values() {
        for len in (1..300).chain([16_384]) {
            check(&(0..len).map(|i| i * i % 1000).collect::<Vec<_>>());
            check(&vec![i64::MAX; len as usize]);
        }
        check(&[0, i64::MAX, 0, i64::MIN, i64::MAX, -1, 5, i64::from(i32::MIN), i64::from(i32::MAX)]);
    }

    proptest! {
        #[test]
        fn decodes_to_what_was_encoded(values in proptest::collection::vec(
            prop_oneof![0..1000i64, any::<i64>()], 1..400)) {
            check(&values);
        }
    }
}
