//! Digests in records.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A digest of records, as `docs/SEMANTICS.md` defines it: that of all rows is the sum of those of its parts. In records it is
/// sixteen hexadecimal digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u64);

impl Digest {
    /// That of the rows of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// That of these rows without the others, which are some of them.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }

    /// That of all rows; none where a part has none.
    pub fn sum(parts: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        parts.into_iter().try_fold(Self::default(), |sum, part| Some(sum.with(part?)))
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        hex(from, 16).map(Self)
    }
}

/// CRC-32 of the bytes of a file, as zlib, gzip and S3 have it. In records it is eight hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crc32(pub u32);

impl std::fmt::Display for Crc32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl Serialize for Crc32 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Crc32 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        hex(from, 8).map(|number| Self(number as u32))
    }
}

fn hex<'de, D: Deserializer<'de>>(from: D, digits: usize) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    let is_hex = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let number = is_hex.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
    let found: String = text.chars().take(40).collect();
    number.ok_or_else(|| {
        serde::de::Error::custom(format!(
            "expected {digits} hexadecimal digits, found `{}`",
            found.escape_debug()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_hexadecimal_digits() {
        let json = serde_json::to_string(&(Digest(0xab), Crc32(7))).expect("plain values");
        assert_eq!(json, r#"["00000000000000ab","00000007"]"#);
        assert_eq!(
            serde_json::from_str::<(Digest, Crc32)>(&json).expect("as written"),
            (Digest(0xab), Crc32(7))
        );
        for wrong in [r#""ab""#, r#""00000000000000AB""#, r#""+0000000000000ab""#, "7"] {
            assert!(serde_json::from_str::<Digest>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn digests_add_up() {
        let max = Some(Digest(u64::MAX));
        assert_eq!(Digest::sum([max, Some(Digest(3))]), Some(Digest(2)));
        assert_eq!(Digest::sum([max, None]), None);
        assert_eq!(Digest::sum([]), Some(Digest(0)));
    }
}
