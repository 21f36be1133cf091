//! The hybrid of run-length and bit-packed encoding that Parquet uses for levels and dictionary keys.
//!
//! Source: <https://parquet.apache.org/docs/file-format/data-pages/encodings/> (RLE / bit-packing hybrid).

/// Shortest run that is written as a run inside other values; a shorter one would cost more than its packed bits, since
/// it ends the group of packed values before it.
const RUN_MIN: usize = 16;

/// Bits that hold every value up to `max`, at least one: some readers do not expect a width of zero.
pub(crate) fn bit_width(max: u32) -> u32 {
    (u32::BITS - max.leading_zeros()).max(1)
}

/// Appends `values`, each below `1 << width`, to `out`.
pub(crate) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let mut packed_from = 0;
    let mut at = 0;
    while at < values.len() {
        let value = values[at];
        let run = values[at..].iter().take_while(|v| **v == value).count();
        let unaligned = (at - packed_from) % 8;
        // Packed values come in groups of eight; only the last group of a page may be padded.
        let to_group = if unaligned == 0 { 0 } else { 8 - unaligned };
        let ends_page = at + run == values.len();
        if run >= to_group + RUN_MIN || (ends_page && unaligned == 0 && run >= 8) {
            at += to_group;
            pack(&values[packed_from..at], width, out);
            let run = run - to_group;
            run_of(value, run, width, out);
            at += run;
            packed_from = at;
        } else {
            at += run;
        }
    }
    pack(&values[packed_from..], width, out);
}

/// Appends a run of `count` times `value`.
pub(crate) fn run_of(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    if count > 0 {
        varint((count as u64) << 1, out);
        out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
}

/// Appends one bit-packed run, padded to a multiple of eight values.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    out.reserve(groups * width as usize + 8);
    let (mut bits, mut filled) = (0u64, 0);
    for value in values {
        bits |= u64::from(*value) << filled;
        filled += width;
        if filled >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            filled -= 32;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..filled.div_ceil(8) as usize]);
    out.resize(end, 0);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
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
        for width in [least, (least + 1).min(32), 32] {
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
