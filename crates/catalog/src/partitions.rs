//! Partitions as a catalog knows them: values, and the place of their files.

use flowquet_format::HIVE_NULL;

/// A partition and where its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlace {
    /// Values of the partition columns, in their order.
    pub values: Vec<String>,
    /// URL of its folder; ends in a slash.
    pub location: String,
    /// Whether its files may be about to move: then one that points below `_flowquet/` is left alone.
    pub may_move: bool,
}

/// The values in a partition's folder, such as `account=123456789012/date=2019-08-20`.
pub fn partition_values(folder: &str) -> Vec<String> {
    let value = |part: &str| unescaped(part.split_once('=').map_or(part, |(_, value)| value));
    folder.split('/').filter(|part| !part.is_empty()).map(value).collect()
}

/// Whether a value is that of no value.
pub(crate) fn is_null(value: &str) -> bool {
    value == HIVE_NULL
}

/// Undoes Hive's `%XX`.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_folders() {
        assert_eq!(partition_values(""), [""; 0]);
        assert_eq!(partition_values("account=1/date=2024-01-15/hour=05"), ["1", "2024-01-15", "05"]);
        assert_eq!(partition_values("account=a%2Fb%3Dc%25"), ["a/b=c%"]);
        assert!(is_null(&partition_values("date=__HIVE_DEFAULT_PARTITION__")[0]));
    }
}
