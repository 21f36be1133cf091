//! A growing column of numbers or keys: values, with a mark where one is null.

use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

/// A type with a value to spare that stands for null.
pub(crate) trait Nullable: ArrowNativeType {
    const NULL: Self;
}

/// Values of flow logs have no sign.
impl Nullable for i32 {
    const NULL: Self = -1;
}

/// As for 32 bits.
impl Nullable for i64 {
    const NULL: Self = -1;
}

/// Keys of dictionaries, of which there are far fewer.
impl Nullable for u32 {
    const NULL: Self = u32::MAX;
}

/// Values, nulls marked by [`Nullable::NULL`] until the column is finished.
#[derive(Debug)]
pub(crate) struct Growing<T: Nullable> {
    values: Vec<T>,
    has_nulls: bool,
    /// What the last finished column lies in. Once its reader has dropped it, the next one takes the memory over: fresh
    /// memory costs a page fault every 4 KiB.
    lent: Option<Buffer>,
}

impl<T: Nullable> Default for Growing<T> {
    fn default() -> Self {
        Self { values: Vec::new(), has_nulls: false, lent: None }
    }
}

impl<T: Nullable> Growing<T> {
    /// Bytes of the column as Arrow has it, by its length.
    pub(crate) fn bytes(&self) -> usize {
        self.values.len() * size_of::<T>() + self.values.len() / 8
    }

    /// Appends values; `has_nulls` says whether any of them may be [`Nullable::NULL`].
    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = T>, has_nulls: bool) {
        self.take_back();
        self.has_nulls |= has_nulls;
        self.values.extend(values);
    }

    /// Appends `values`, of which those are null that `nulls` says.
    pub(crate) fn extend_from_array(&mut self, values: &[T], nulls: Option<&NullBuffer>) {
        self.take_back();
        match nulls {
            None => self.values.extend_from_slice(values),
            Some(nulls) => {
                self.has_nulls = true;
                self.values.extend(
                    values.iter().zip(nulls).map(|(value, valid)| if valid { *value } else { T::NULL }),
                );
            }
        }
    }

    /// The values as they are, to append to; nulls must be announced to [`Self::extend`] or [`Self::note_nulls`].
    #[inline]
    pub(crate) fn open(&mut self) -> &mut Vec<T> {
        self.take_back();
        &mut self.values
    }

    #[inline]
    pub(crate) fn note_nulls(&mut self) {
        self.has_nulls = true;
    }

    fn take_back(&mut self) {
        if let Some(mut values) = self.lent.take().and_then(|lent| lent.into_vec().ok()) {
            values.clear();
            self.values = values;
        }
    }

    /// The column so far, zeros where it is null. Leaves this empty.
    pub(crate) fn finish(&mut self) -> (ScalarBuffer<T>, Option<NullBuffer>) {
        let mut values = std::mem::take(&mut self.values);
        let nulls = std::mem::take(&mut self.has_nulls).then(|| take_nulls(&mut values)).flatten();
        let len = values.len();
        let buffer = Buffer::from_vec(values);
        self.lent = Some(buffer.clone());
        (ScalarBuffer::new(buffer, 0, len), nulls)
    }
}

/// Values that are looked at together for nulls, which most columns have few of.
const STRIDE: usize = 32;

/// Replaces nulls by zeros and says where they were.
fn take_nulls<T: Nullable>(values: &mut [T]) -> Option<NullBuffer> {
    let len = values.len();
    let mut bits = vec![u8::MAX; len.div_ceil(8)];
    let mut has_nulls = false;
    for (values, bits) in values.chunks_mut(STRIDE).zip(bits.chunks_mut(STRIDE / 8)) {
        if !values.iter().fold(false, |any, value| any | (*value == T::NULL)) {
            continue;
        }
        has_nulls = true;
        for (values, bits) in values.chunks_mut(8).zip(bits) {
            for (bit, value) in values.iter_mut().enumerate().filter(|(_, value)| **value == T::NULL) {
                *bits &= !(1 << bit);
                *value = T::default();
            }
        }
    }
    has_nulls.then(|| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bits), 0, len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_where_they_were_put() {
        for len in [0, 1, 7, 8, 9, 31, 32, 33, 64, 1000] {
            let mut growing = Growing::<i32>::default();
            let value = |i: i32| if i % 3 == 0 { i32::NULL } else { i };
            growing.extend((0..len).map(value), true);
            growing.extend_from_array(&[5, 0], Some(&NullBuffer::from(vec![true, false])));
            let (values, nulls) = growing.finish();
            let nulls = nulls.expect("one is null");
            for i in 0..len {
                assert_eq!((values[i as usize], nulls.is_null(i as usize)), (value(i).max(0), i % 3 == 0));
            }
            assert_eq!((values[len as usize], nulls.is_null(len as usize + 1)), (5, true));
        }
    }

    #[test]
    fn memory_comes_back_when_its_reader_is_done() {
        let mut growing = Growing::<i64>::default();
        growing.extend(0..1000, false);
        let (values, nulls) = growing.finish();
        assert_eq!((values.len(), nulls), (1000, None));
        let at = values.as_ptr();
        drop(values);
        growing.extend(0..10, true);
        assert_eq!(growing.open().as_ptr(), at);
        let (kept, nulls) = growing.finish();
        assert_eq!(nulls, None);
        growing.extend(5..8, false);
        assert_eq!(
            (&kept[..3], growing.open().len()),
            (&[0, 1, 2][..], 3),
            "what is still read is left alone"
        );
    }
}
