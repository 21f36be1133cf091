//! Keys and levels as Parquet packs them, back to numbers: what [`crate::rle`] encodes.

/// What a page's packed numbers are not.
pub(super) const CUT_SHORT: &str = "expected whole pages, found one that is cut short";

/// Reads the variable-length number at the start of `bytes`.
pub(super) fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(CUT_SHORT)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("expected numbers of 64 bits in pages, found a longer one".to_owned())
}

/// Appends the `count` numbers of `width` bits, at most 32, that `bytes` begin with.
pub(super) fn decode(mut bytes: &[u8], width: u32, count: usize, out: &mut Vec<u32>) -> Result<(), String> {
    if width > u32::BITS {
        return Err(format!("expected keys of at most 32 bits, found {width}"));
    }
    let mut left = count;
    while left > 0 {
        let header = varint(&mut bytes)?;
        let len = usize::try_from(header >> 1).map_err(|_| CUT_SHORT)?;
        if header & 1 == 0 {
            let value_bytes = width.div_ceil(8) as usize;
            let (value, rest) = bytes.split_at_checked(value_bytes).ok_or(CUT_SHORT)?;
            let value = value.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
            let run = len.min(left);
            out.extend(std::iter::repeat_n(value, run));
            (bytes, left) = (rest, left - run);
        } else {
            // A group is eight numbers; what pads the last one is not there for us.
            let packed_bytes = len.checked_mul(width as usize).ok_or(CUT_SHORT)?;
            let (packed, rest) = bytes.split_at_checked(packed_bytes).ok_or(CUT_SHORT)?;
            let run = len.saturating_mul(8).min(left);
            unpack(packed, width, run, |value| out.push(value as u32));
            (bytes, left) = (rest, left - run);
        }
        if len == 0 {
            return Err("expected runs of keys, found an empty one".to_owned());
        }
    }
    Ok(())
}

/// Gives the first `count` numbers of `width` bits, at most 64, that `packed` holds, lowest bit first. It must hold as many.
///
/// This is a hot loop: each number is cut out of one unaligned word, so that none waits for the one before it.
#[inline]
pub(super) fn unpack(packed: &[u8], width: u32, count: usize, mut each: impl FnMut(u64)) {
    let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
    let width = width as usize;
    // A number of more than 57 bits may reach into a ninth byte.
    let whole = match width {
        0..=57 => (packed.len().saturating_sub(7) * 8).checked_div(width).map_or(count, |n| n.min(count)),
        _ => 0,
    };
    let mut number = 0;
    if width > 0 {
        while number < whole {
            let at = number * width;
            let Some(word) = packed[at / 8..].first_chunk::<8>() else { break };
            each(u64::from_le_bytes(*word) >> (at % 8) & mask);
            number += 1;
        }
    }
    while number < count {
        let at = number * width;
        let mut word = [0; 16];
        let rest = packed.get(at / 8..).unwrap_or_default();
        let len = rest.len().min(16);
        word[..len].copy_from_slice(&rest[..len]);
        each((u128::from_le_bytes(word) >> (at % 8)) as u64 & mask);
        number += 1;
    }
}

/// Appends the `count` numbers of a page of differences, which [`crate::delta`] encodes; they are of `bits` bits and wrap around
/// within them.
pub(super) fn decode_deltas(
    mut bytes: &[u8],
    bits: u32,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), String> {
    let zigzag = |number: u64| (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
    let wrapped = |value: i64| value << (64 - bits) >> (64 - bits);
    let block = varint(&mut bytes)?;
    let miniblocks = varint(&mut bytes)?;
    let total = varint(&mut bytes)?;
    let per_miniblock = block.checked_div(miniblocks).unwrap_or_default();
    if total != count as u64 || per_miniblock == 0 || per_miniblock % 32 != 0 || block > 1 << 20 {
        return Err(format!("expected a page of {count} differences, found one of {total}"));
    }
    let mut last = wrapped(zigzag(varint(&mut bytes)?));
    if count == 0 {
        return Ok(());
    }
    out.push(last);
    let mut left = count - 1;
    while left > 0 {
        let min = zigzag(varint(&mut bytes)?);
        let (widths, rest) = bytes.split_at_checked(miniblocks as usize).ok_or(CUT_SHORT)?;
        bytes = rest;
        for width in widths.iter().map(|width| u32::from(*width)) {
            if left == 0 {
                break;
            }
            let packed_bytes = per_miniblock as usize * width as usize / 8;
            let (packed, rest) = bytes.split_at_checked(packed_bytes).ok_or(CUT_SHORT)?;
            bytes = rest;
            if width > 64 {
                return Err(format!("expected differences of at most 64 bits, found {width}"));
            }
            let run = left.min(per_miniblock as usize);
            unpack(packed, width, run, |delta| {
                last = wrapped(last.wrapping_add(min).wrapping_add(delta.cast_signed()));
                out.push(last);
            });
            left -= run;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delta, rle};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_come_back(
            runs in proptest::collection::vec((any::<u32>(), 1usize..40, any::<bool>()), 0..12),
            width in 1u32..=32,
        ) {
            let mask = u32::MAX >> (32 - width);
            let value = |(value, len, repeats): (u32, usize, bool)| {
                (0..len as u32).map(move |i| if repeats { value & mask } else { value.wrapping_mul(i | 1) & mask })
            };
            let values: Vec<u32> = runs.into_iter().flat_map(value).collect();
            let mut packed = Vec::new();
            rle::encode(&values, width, &mut packed);
            let mut found = Vec::new();
            decode(&packed, width, values.len(), &mut found).expect("as it was encoded");
            prop_assert_eq!(&found, &values);
            // Whatever is missing, nothing panics.
            for cut in 0..packed.len() {
                let _ = decode(&packed[..cut], width, values.len(), &mut Vec::new());
            }
        }

        #[test]
        fn differences_come_back(
            values in proptest::collection::vec(prop_oneof![any::<i64>(), 0..1000i64], 0..200),
        ) {
            let narrow: Vec<i64> = values.iter().map(|v| i64::from(*v as i32)).collect();
            for (values, bytes) in [(values, 8), (narrow, 4)] {
                let mut packed = Vec::new();
                delta::encode(values.iter().copied(), bytes, &mut packed);
                let mut found = Vec::new();
                decode_deltas(&packed, 8 * bytes as u32, values.len(), &mut found).expect("as it was encoded");
                prop_assert_eq!(&found, &values);
                for cut in 0..packed.len() {
                    let _ = decode_deltas(&packed[..cut], 64, values.len(), &mut Vec::new());
                }
            }
        }

        #[test]
        fn anything_is_a_page_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60), width in 0u32..70, count in 0usize..100) {
            let mut keys = Vec::new();
            if decode(&bytes, width, count, &mut keys).is_ok() {
                prop_assert_eq!(keys.len(), count);
            }
            let mut numbers = Vec::new();
            if decode_deltas(&bytes, 32, count, &mut numbers).is_ok() {
                prop_assert_eq!(numbers.len(), count);
            }
        }
    }
}
