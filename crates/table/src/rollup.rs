//! What records say of roll-ups: partitions of one table, grouped and summed, as those of another.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::checked;

/// What a file of a roll-up holds, and what it was made of. Where a compaction made several files of one, or one of several, the sums
/// of a partition's files are those of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledUp {
    /// URL of the table that was rolled up.
    pub source: String,
    /// Time bucket and columns that its records were grouped by.
    pub by: String,
    /// Sixteen hexadecimal digits of a digest of the files that it was made of and of how.
    #[serde(deserialize_with = "checked::id")]
    pub of: String,
    /// Sums over its rows.
    pub sums: RollupSums,
}

/// Sums that a roll-up and what it was made of have in common: of many groups, each of which has a sum of 64 bits, so that they have more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupSums {
    /// Records.
    pub flows: u64,
    /// Their packets.
    #[serde(serialize_with = "put_wide", deserialize_with = "wide")]
    pub packets: i128,
    /// Their bytes.
    #[serde(serialize_with = "put_wide", deserialize_with = "wide")]
    pub bytes: i128,
}

/// What 64 bits do not hold is text in records: few readers of JSON keep such a number as it is.
fn put_wide<S: Serializer>(value: &i128, to: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*value) {
        Ok(value) => to.serialize_i64(value),
        Err(_) => to.collect_str(value),
    }
}

fn wide<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wide {
        Number(i64),
        Text(String),
    }
    match Wide::deserialize(from)? {
        Wide::Number(value) => Ok(value.into()),
        Wide::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

impl RollupSums {
    /// Those of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            flows: self.flows.saturating_add(other.flows),
            packets: self.packets.saturating_add(other.packets),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// All of these.
    pub fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), Self::with)
    }
}

/// A partition was rolled up anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// URL of the table that was rolled up.
    pub source: String,
    /// Files of the partition in it; none where it has no such partition any more.
    pub files: Vec<RolledUpFile>,
    /// Sums over their rows.
    pub sums: RollupSums,
}

/// A file that was rolled up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledUpFile {
    /// Key below the root of the table that was rolled up.
    #[serde(deserialize_with = "checked::data_key")]
    pub key: String,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_more_than_64_bits_are_text() {
        for (bytes, told) in [
            (0, "0"),
            (i64::MAX.into(), "9223372036854775807"),
            (i128::from(i64::MAX) + 1, "\"9223372036854775808\""),
            (i128::MAX, "\"170141183460469231731687303715884105727\""),
        ] {
            let sums = RollupSums { flows: 1, packets: -5, bytes };
            let json = serde_json::to_string(&sums).expect("plain values");
            assert_eq!(json, format!("{{\"flows\":1,\"packets\":-5,\"bytes\":{told}}}"));
            assert_eq!(serde_json::from_str::<RollupSums>(&json).expect("its own"), sums);
        }
        for wrong in ["1.5", "9223372036854775808", "\"x\"", "null"] {
            let json = format!("{{\"flows\":1,\"packets\":1,\"bytes\":{wrong}}}");
            assert!(serde_json::from_str::<RollupSums>(&json).is_err(), "{wrong}");
        }
    }
}
