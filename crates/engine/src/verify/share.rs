//! Which files are read whole.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use flowquet_format::hash_text;
use flowquet_table::LiveFile;

/// A share of a table's files, chosen by their names: the same files whenever it is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// All.
    All,
    /// So many of a hundred.
    Percent(f64),
    /// The n-th of t parts, counted from 1: all parts together are all files.
    Part(u64, u64),
    /// Files of about so many bytes in all.
    Bytes(u64),
}

/// What is no share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareError;

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a share of files: `5%`, `3/30` or a size such as `10G`")
    }
}

impl std::error::Error for ShareError {}

impl FromStr for Share {
    type Err = ShareError;

    /// Reads `5%` and `3/30`; sizes are read by whoever knows their units.
    fn from_str(text: &str) -> Result<Self, ShareError> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| ShareError)?;
            return if percent > 0.0 && percent <= 100.0 {
                Ok(Self::Percent(percent))
            } else {
                Err(ShareError)
            };
        }
        let (part, parts) = text.split_once('/').ok_or(ShareError)?;
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| ShareError);
        let (part, parts) = (number(part)?, number(parts)?);
        if (1..=parts).contains(&part) { Ok(Self::Part(part, parts)) } else { Err(ShareError) }
    }
}

impl Share {
    /// Whether a file is in it that is none of the data files, of which these are `chosen`.
    pub(super) fn has(self, key: &str, chosen: &BTreeSet<&str>) -> bool {
        let hash = |key: &str| hash_text(key.as_bytes());
        match self {
            Self::All => true,
            Self::Percent(percent) => hash(key) as f64 <= percent / 100.0 * u64::MAX as f64,
            Self::Part(part, parts) => hash(key) % parts == part - 1,
            // As large a part of them as of data files.
            Self::Bytes(_) => chosen.iter().map(|key| hash(key)).max().is_some_and(|last| hash(key) <= last),
        }
    }

    /// Keys of the files that are in it.
    pub(super) fn choose<'a>(self, files: &[&'a LiveFile]) -> BTreeSet<&'a str> {
        let keys = files.iter().map(|f| f.output.key.as_str());
        match self {
            Self::All | Self::Percent(_) | Self::Part(..) => {
                keys.filter(|key| self.has(key, &BTreeSet::new())).collect()
            }
            Self::Bytes(bytes) => {
                let mut in_order: Vec<(u64, &'a LiveFile)> =
                    files.iter().map(|f| (hash_text(f.output.key.as_bytes()), *f)).collect();
                in_order.sort_by_key(|(hash, _)| *hash);
                let (mut chosen, mut left) = (BTreeSet::new(), bytes);
                for (_, file) in in_order {
                    if left == 0 {
                        break;
                    }
                    chosen.insert(file.output.key.as_str());
                    left = left.saturating_sub(file.output.bytes);
                }
                chosen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowquet_table::{Duplicates, OutputRecord};
    use std::sync::Arc;

    #[test]
    fn shares_are_read() {
        assert_eq!("5%".parse(), Ok(Share::Percent(5.0)));
        assert_eq!("0.5%".parse(), Ok(Share::Percent(0.5)));
        assert_eq!("3/30".parse(), Ok(Share::Part(3, 30)));
        for wrong in ["", "0%", "101%", "-1%", "0/3", "4/3", "1/0", "x/3", "5", "NaN%"] {
            assert_eq!(wrong.parse::<Share>(), Err(ShareError), "{wrong}");
        }
    }

    #[test]
    fn parts_are_all_files_once() {
        let file = |i: u64| LiveFile {
            output: OutputRecord {
                key: format!("date=2024-01-15/{i:016x}-0000.parquet"),
                partition: "date=2024-01-15".into(),
                rows: 1,
                bytes: 100,
                time: None,
                format: "".into(),
                digest: None,
                duplicates: Duplicates::default(),
                rollup: None,
                crc32: None,
            },
            options: Arc::default(),
            is_compacted: false,
            tasks: Arc::new([]),
        };
        let files: Vec<LiveFile> = (0..1_000).map(file).collect();
        let files: Vec<&LiveFile> = files.iter().collect();
        let parts: Vec<BTreeSet<&str>> = (1..=7).map(|n| Share::Part(n, 7).choose(&files)).collect();
        assert!(parts.iter().all(|part| (100..200).contains(&part.len())), "even parts");
        assert_eq!(parts.iter().map(BTreeSet::len).sum::<usize>(), 1_000);
        assert_eq!(parts.into_iter().flatten().collect::<BTreeSet<_>>(), Share::All.choose(&files));
        assert!((30..80).contains(&Share::Percent(5.0).choose(&files).len()));
        assert_eq!(Share::Percent(100.0).choose(&files).len(), 1_000);
        assert_eq!(Share::Bytes(950).choose(&files).len(), 10);
        assert_eq!(Share::Bytes(1 << 40).choose(&files).len(), 1_000);
        let chosen = Share::Bytes(50_000).choose(&files);
        let others = (0..1_000).filter(|i| Share::Bytes(50_000).has(&format!("{i}.jsonl"), &chosen)).count();
        assert!((400..600).contains(&others), "{others} of 1,000 beside half of the files");
        assert!(!Share::Bytes(1).has("0.jsonl", &BTreeSet::new()));
    }
}
