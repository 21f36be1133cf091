//! Dictionaries of integers: of values that lie close together, but for few.

use crate::chunk::ChunkWriter;
use crate::integer::Integer;
use crate::{Error, rle};

/// Widest span of values for which a table indexed by value is kept: 1 MiB of it, which an L2 cache holds. Ports, flags,
/// and the times of a day lie within; byte counts do, but for few.
const SPAN_MAX: i64 = 1 << 18;

/// Of so many values one may lie apart from the others: it is looked up by searching.
const APART_SHARE: usize = 32;

/// Distinct values in ascending order.
pub(crate) struct Dictionary {
    min: i64,
    /// All values are `min` and a multiple of it.
    step: i64,
    pub(crate) values: Vec<i64>,
    /// The first of those that the table by value does not reach.
    apart_from: usize,
}

impl Dictionary {
    /// The dictionary of `values`, if they lie close together, in steps of `step`, but for few that lie above the others, and it
    /// makes the column smaller than plain values. Then `table[(value - min) / step]` is the key of one of those that lie close.
    pub(crate) fn of<T: Integer>(
        values: &[T],
        min: i64,
        max: i64,
        step: i64,
        table: &mut Vec<u32>,
    ) -> Option<Self> {
        let span = max.checked_sub(min)? / step;
        let mut apart = Vec::new();
        if span >= SPAN_MAX {
            apart = Self::apart(values, min.checked_add(SPAN_MAX)?, step)?;
        }
        if step > 1 && values.iter().any(|v| (v.widened() - min) % step != 0) {
            return None;
        }
        table.clear();
        table.resize(span.min(SPAN_MAX - 1) as usize + 1, 0);
        // Nearly all columns have steps of 1, where a division would cost more than all else.
        match step {
            1 if apart.is_empty() => values.iter().for_each(|v| table[(v.widened() - min) as usize] = 1),
            1 => {
                for value in values {
                    if let Some(key) = table.get_mut((value.widened() - min) as usize) {
                        *key = 1;
                    }
                }
            }
            _ => values.iter().for_each(|v| table[((v.widened() - min) / step) as usize] = 1),
        }
        let mut distinct = Vec::new();
        for (offset, key) in table.iter_mut().enumerate() {
            if *key == 1 {
                *key = distinct.len() as u32;
                distinct.push(min + offset as i64 * step);
            }
        }
        let apart_from = distinct.len();
        distinct.append(&mut apart);
        let width = rle::bit_width(distinct.len() as u32 - 1);
        let packed_bits = distinct.len() * T::BYTES * 8 + values.len() * width as usize;
        let is_smaller = packed_bits < values.len() * T::BYTES * 8;
        is_smaller.then_some(Self { min, step, values: distinct, apart_from })
    }

    /// The distinct ones of `values` from `least` on, in ascending order; `None` where they are not few.
    fn apart<T: Integer>(values: &[T], least: i64, step: i64) -> Option<Vec<i64>> {
        let share_max = values.len() / APART_SHARE;
        let is_apart = |value: &i64| *value >= least;
        if step > 1 || values.iter().filter(|value| is_apart(&value.widened())).count() > share_max {
            return None;
        }
        let mut apart: Vec<i64> = values.iter().map(|value| value.widened()).filter(is_apart).collect();
        apart.sort_unstable();
        apart.dedup();
        Some(apart)
    }

    pub(crate) fn has_apart(&self) -> bool {
        self.apart_from < self.values.len()
    }

    /// Puts the keys of `values` into `keys`.
    ///
    /// This is a hot loop.
    pub(crate) fn keys<T: Integer>(&self, values: &[T], table: &[u32], keys: &mut Vec<u32>) {
        let Self { min, step, values: distinct, apart_from } = self;
        keys.clear();
        match step {
            1 if !self.has_apart() => {
                keys.extend(values.iter().map(|v| table[(v.widened() - min) as usize]));
            }
            1 => {
                let apart = &distinct[*apart_from..];
                let key_apart = |value| apart_from + apart.partition_point(|found| *found < value);
                keys.extend(values.iter().map(|value| {
                    let key = table.get((value.widened() - min) as usize);
                    key.copied().unwrap_or_else(|| key_apart(value.widened()) as u32)
                }));
            }
            _ => keys.extend(values.iter().map(|v| table[((v.widened() - min) / step) as usize])),
        }
    }

    /// Whether a column of `count` values, of which `sample` is a sample, is smaller by its keys than by its values, both
    /// compressed. Where all values lie close together it always was.
    pub(crate) fn pays<T: Integer>(
        &self,
        sample: &[T],
        count: usize,
        table: &[u32],
        writer: &mut ChunkWriter<'_>,
    ) -> Result<bool, Error> {
        let (mut keys, mut packed, mut plain, mut dictionary) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        self.keys(sample, table, &mut keys);
        rle::push_keys(&keys, rle::bit_width(self.values.len() as u32 - 1), &mut packed);
        sample.iter().for_each(|value| value.push_plain(&mut plain));
        self.values.iter().for_each(|value| T::narrowed(*value).push_plain(&mut dictionary));
        let of_all = |of_sample: usize| of_sample * count / sample.len();
        let by_keys = of_all(writer.compressed_len(&packed)?) + writer.compressed_len(&dictionary)?;
        Ok(by_keys < of_all(writer.compressed_len(&plain)?))
    }
}
