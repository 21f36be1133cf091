//! How many different values: exactly up to a limit, by a sketch past it.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use datasketches::hll::{HllSketch, HllType};

/// Values that one counter counts exactly.
pub(super) const EXACT_MAX: usize = 1 << 16;

/// Registers of a sketch, as a power of two: 4 KiB, and a standard error of 1.6 %.
const SKETCH_LG_K: u8 = 12;

/// How many values take as much memory as a sketch: about 20 bytes each.
pub(super) const SKETCH_VALUES: usize = 256;

/// Passes hashes through: they are mixed already.
#[derive(Debug, Default, Clone)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are counted");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// How many different values there are, by their hashes of 64 bits: two that are the same are one in 2^64.
#[derive(Debug, Clone)]
pub(super) enum Distinct {
    Exact(HashSet<u64, BuildHasherDefault<Hashed>>),
    Sketch(Box<HllSketch>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(HashSet::default())
    }
}

impl Distinct {
    /// Adds a value. Returns whether it is kept, so that it takes memory.
    pub(super) fn add(&mut self, hash: u64) -> bool {
        match self {
            Self::Exact(values) => {
                let is_new = values.insert(hash);
                if values.len() > EXACT_MAX {
                    self.estimate();
                }
                is_new
            }
            Self::Sketch(sketch) => {
                sketch.update(hash);
                false
            }
        }
    }

    /// Lets go of the values, and counts by a sketch from now on.
    pub(super) fn estimate(&mut self) {
        let Self::Exact(values) = self else { return };
        let mut sketch = HllSketch::new(SKETCH_LG_K, HllType::Hll8).expect("a size that sketches have");
        // The estimate may depend on the order.
        let mut values: Vec<u64> = values.drain().collect();
        values.sort_unstable();
        values.into_iter().for_each(|hash| sketch.update(hash));
        *self = Self::Sketch(Box::new(sketch));
    }

    /// Values that take memory, or that would take as much as the sketch does.
    pub(super) fn kept(&self) -> usize {
        match self {
            Self::Exact(values) => values.len(),
            Self::Sketch(_) => SKETCH_VALUES,
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Exact(values) => values.len() as u64,
            Self::Sketch(sketch) => sketch.estimate().round() as u64,
        }
    }

    pub(super) fn is_estimated(&self) -> bool {
        matches!(self, Self::Sketch(_))
    }
}

#[cfg(test)]
mod tests {
    use flowquet_format::hash_text;

    use super::*;

    fn of(values: std::ops::Range<u32>) -> Distinct {
        let mut distinct = Distinct::default();
        values.for_each(|value| {
            distinct.add(hash_text(&value.to_le_bytes()));
        });
        distinct
    }

    #[test]
    fn exact_up_to_the_limit_and_close_past_it() {
        let all = EXACT_MAX as u32;
        let mut distinct = of(0..all);
        assert_eq!((distinct.count(), distinct.is_estimated()), (u64::from(all), false));
        assert!(!distinct.add(hash_text(&7_u32.to_le_bytes())));
        assert!(distinct.add(hash_text(&all.to_le_bytes())));
        assert!(distinct.is_estimated());
        for n in [100_000, 1_000_000] {
            let distinct = of(0..n);
            let error = distinct.count() as f64 / f64::from(n) - 1.0;
            assert!(distinct.is_estimated() && error.abs() < 0.05, "{error}");
            assert_eq!(distinct.kept(), SKETCH_VALUES);
        }
    }
}
