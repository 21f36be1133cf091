//! Which values of a growing column are not null.

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

/// One bit a value, set where it is not null; as in Arrow, lowest bit first.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    words: Vec<u64>,
    len: usize,
    nulls: usize,
}

impl Validity {
    #[inline]
    pub(crate) fn push(&mut self, valid: bool) {
        let bit = self.len % 64;
        if bit == 0 {
            self.words.push(0);
        }
        *self.words.last_mut().expect("pushed above") |= u64::from(valid) << bit;
        self.nulls += usize::from(!valid);
        self.len += 1;
    }

    pub(crate) fn push_valid(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let bit = self.len % 64;
            if bit == 0 {
                self.words.push(0);
            }
            let take = left.min(64 - bit);
            let ones = if take == 64 { u64::MAX } else { (1 << take) - 1 };
            *self.words.last_mut().expect("pushed above") |= ones << bit;
            self.len += take;
            left -= take;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The bits as Arrow has them, `None` where nothing is null. Leaves this empty.
    pub(crate) fn finish(&mut self) -> Option<NullBuffer> {
        let Self { words, len, nulls } = std::mem::take(self);
        (nulls > 0).then(|| {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bytes), 0, len))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_single_bits() {
        let mut validity = Validity::default();
        let mut expected = Vec::new();
        for run in [0, 1, 63, 64, 65, 130, 7] {
            validity.push_valid(run);
            expected.extend(std::iter::repeat_n(true, run));
            validity.push(false);
            expected.push(false);
        }
        assert_eq!(validity.len(), expected.len());
        let nulls = validity.finish().expect("some are null");
        assert_eq!(nulls.iter().collect::<Vec<_>>(), expected);
        assert_eq!((validity.len(), validity.finish()), (0, None));
    }
}
