//! Ids of tasks.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::checked;

/// The id of a task: sixteen lowercase hexadecimal digits. It is a text in records and names, and a number where checkpoints
/// have many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId([u8; Self::DIGITS]);

impl TaskId {
    const DIGITS: usize = 16;

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits")
    }

    /// Their number.
    pub(crate) fn number(self) -> u64 {
        u64::from_str_radix(self.as_str(), 16).expect("sixteen hexadecimal digits")
    }
}

impl From<u64> for TaskId {
    fn from(number: u64) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |place: usize| HEX[(number >> (60 - 4 * place)) as usize & 0xf];
        Self(std::array::from_fn(digit))
    }
}

// As the hash of the text, so that maps are asked by names of files.
impl Hash for TaskId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for TaskId {
    fn borrow(&self) -> &str {
        self
    }
}

impl Deref for TaskId {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let id = checked::id(from)?;
        Ok(Self(id.as_bytes().try_into().expect("as long as all ids")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sixteen_lowercase_digits() {
        for (text, number) in
            [("0000000000000000", 0), ("00000000deadbeef", 0xdead_beef), ("ffffffffffffffff", u64::MAX)]
        {
            let id: TaskId = serde_json::from_str(&format!("\"{text}\"")).expect("an id");
            assert_eq!((id.number(), TaskId::from(number)), (number, id));
            assert_eq!(serde_json::to_string(&id).expect("a text"), format!("\"{text}\""));
        }
        for wrong in
            ["", "0", "00000000DEADBEEF", "00000000deadbeef0", "+000000deadbeef0", "../../../../../x"]
        {
            let error = serde_json::from_str::<TaskId>(&format!("\"{wrong}\"")).expect_err(wrong).to_string();
            assert!(error.starts_with("expected an id of sixteen hexadecimal digits, found `"), "{error}");
        }
    }
}
