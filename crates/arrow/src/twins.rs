//! Twins of address columns: the same rows, with values that compare as addresses do and not as text.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, UInt32Array};
use arrow_buffer::Buffer;
use flowquet_format::{ADDRESS_BYTES, address_bytes};

/// The twin of the dictionary column `text`: null where a value is no address.
pub(crate) fn twin(text: &ArrayRef) -> ArrayRef {
    let text = text.as_dictionary::<UInt32Type>();
    let values = text.values().as_string::<i32>();
    let mut bytes = Vec::with_capacity(values.len() * ADDRESS_BYTES);
    // Keys of those that are addresses; mostly all are, and then the keys are the same.
    let mut keys_of = Vec::with_capacity(values.len());
    let mut count = 0;
    for value in values.iter() {
        let address = value.and_then(address_bytes);
        keys_of.push(address.map(|address| {
            bytes.extend_from_slice(&address);
            count += 1;
            count - 1
        }));
    }
    let keys = if keys_of.len() == count as usize {
        text.keys().clone()
    } else {
        text.keys().iter().map(|key| key.and_then(|key| keys_of[key as usize])).collect::<UInt32Array>()
    };
    let values = FixedSizeBinaryArray::new(ADDRESS_BYTES as i32, Buffer::from_vec(bytes), None);
    Arc::new(DictionaryArray::try_new(keys, Arc::new(values)).expect("keys count the values"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;

    #[test]
    fn addresses_and_what_is_none() {
        for values in [
            &["10.0.0.1", "2001:db8::1", "9.255.0.1"][..],
            &["10.0.0.1", "10.0.0.x", "::1", "unknown", "256.1.1.1"],
        ] {
            let keys = UInt32Array::from_iter((0..values.len() as u32).map(Some).chain([None, Some(0)]));
            let text = DictionaryArray::try_new(keys, Arc::new(StringArray::from(values.to_vec())));
            let text: ArrayRef = Arc::new(text.expect("keys count the values"));
            let twin = twin(&text);
            let twin = twin.as_dictionary::<UInt32Type>();
            let addresses = twin.values().as_fixed_size_binary();
            for (row, value) in values.iter().map(Some).chain([None, Some(&values[0])]).enumerate() {
                let expected = value.and_then(|v| address_bytes(v));
                let found =
                    twin.keys().is_valid(row).then(|| addresses.value(twin.keys().value(row) as usize));
                assert_eq!(found, expected.as_ref().map(|a| &a[..]), "{value:?}");
            }
        }
    }
}
