//! What a conversion probably takes: a model, whose constants are measured, and what a trial of some objects teaches it.
//!
//! A record takes a core's time and bytes of a file, an object takes a core's time; what else there is follows from these. Everything is a
//! [`Span`], since logs differ: by what their records hold, and machines by how fast they are.

use serde::Serialize;

/// Bytes of a compressed object for a record, from least to most of real and synthetic logs of 14 to 29 fields; groupings into tasks rest on 32.
const COMPRESSED_BYTES_PER_RECORD: (f64, f64, f64) = (25.0, 32.0, 45.0);

/// Bytes of a Parquet file for a record. Likely: 5.2 GB of text that became 0.72 GB (docs/SCALE.md). The ends: v2 records, of 14 columns
/// (docs/PERFORMANCE.md, 145 MB of 9.6 M records), and half as much again as is likely, since synthetic values repeat more than real ones.
const PARQUET_BYTES_PER_RECORD: Span = Span { low: 15.0, likely: 22.0, high: 33.0 };

/// A core's seconds for a record. Likely: 17 s for a GB of gzip of 32 bytes a record (docs/SCALE.md). The ends: v2 and v5 records on two cores
/// (docs/PERFORMANCE.md: 9.6 M records in 1.6 s, 4.8 M in 1.7 s).
const CORE_SECONDS_PER_RECORD: Span = Span { low: 0.33e-6, likely: 0.54e-6, high: 0.71e-6 };

/// A core's seconds for an object, from S3 to S3 (docs/SCALE.md: 177 to 195 µs).
const CORE_SECONDS_PER_OBJECT: Span = Span { low: 177e-6, likely: 186e-6, high: 195e-6 };

/// How runs of the same work differ, as parts of the likely one: 15.3 s on a quiet machine, 22 s on a busy one, 17 s mostly (docs/SCALE.md).
const SPEED_SPREAD: (f64, f64) = (0.9, 1.3);

/// Stored bytes of a trial that tell a speed. A shorter one is mostly beginning and end.
pub const SPEED_BYTES_MIN: u64 = 4 << 20;

/// What bytes a record the objects that were not tried may have beside those that were, as a part of it.
const OBJECTS_SPREAD: f64 = 0.05;

/// What the objects that were not tried may have beside one that was.
const ONE_OBJECT_SPREAD: f64 = 0.15;

/// What a record takes less, as a part of it, for each ten times that its file has more records: dictionaries are shared by more.
/// From the least to the most that was measured, of v2 and v5 records (docs/SCALE.md).
const LONGER_FILES: Span = Span { low: 0.07, likely: 0.10, high: 0.13 };

/// Bytes of a file for each byte of its footer that do not grow with its records: footer, indexes, and what begins pages and dictionaries. Measured
/// of v2 and v5 records: files of 200 and of 600 of them.
const FIXED_BYTES_PER_FOOTER_BYTE: f64 = 2.1;

/// Largest part of files that does not grow with their records.
const FIXED_PART_MAX: f64 = 0.8;

/// Records of the longest file of which that was measured.
const LONGER_FILE_RECORDS_MAX: f64 = 1.5e6;

/// An estimate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Span {
    /// It is hardly less.
    pub low: f64,
    /// The best guess.
    pub likely: f64,
    /// It is hardly more.
    pub high: f64,
}

impl Span {
    /// What is known.
    pub fn exactly(value: f64) -> Self {
        Self { low: value, likely: value, high: value }
    }

    /// Between parts of the best guess.
    fn around(likely: f64, (low, high): (f64, f64)) -> Self {
        Self { low: likely * low, likely, high: likely * high }
    }

    /// So many of these.
    #[must_use]
    pub fn times(self, n: f64) -> Self {
        Self { low: self.low * n, likely: self.likely * n, high: self.high * n }
    }

    /// As many of these as that is.
    #[must_use]
    fn by(self, n: Self) -> Self {
        Self { low: self.low * n.low, likely: self.likely * n.likely, high: self.high * n.high }
    }

    /// Both together: what is less in one may be less in all.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low + other.low, likely: self.likely + other.likely, high: self.high + other.high }
    }
}

/// What the conversion of some objects on one thread came to, nothing of which was kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trial {
    /// Objects that were converted.
    pub objects: u64,
    /// Their bytes, as they are stored.
    pub bytes: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// Their records.
    pub records: u64,
    /// Bytes of the files that were made of them.
    pub parquet_bytes: u64,
    /// How many files that are.
    #[serde(skip)]
    pub files: u64,
    /// Bytes of their footers.
    #[serde(skip)]
    pub footer_bytes: u64,
    /// How long it took, reading included.
    pub seconds: f64,
    /// Bytes and records of each of them.
    #[serde(skip)]
    pub each: Vec<(u64, u64)>,
}

impl Trial {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.text_bytes += other.text_bytes;
        self.records += other.records;
        self.parquet_bytes += other.parquet_bytes;
        self.files += other.files;
        self.footer_bytes += other.footer_bytes;
        self.seconds += other.seconds;
        self.each.extend_from_slice(&other.each);
    }

    /// Whether it tells anything of objects like these.
    fn is_telling(&self) -> bool {
        self.records > 0 && self.bytes > 0
    }

    /// Whether it tells how fast this machine is.
    pub fn tells_speed(&self) -> bool {
        self.is_telling() && self.bytes >= SPEED_BYTES_MIN
    }

    /// A core's seconds for a record, its object's share not counted.
    fn core_seconds_per_record(&self) -> Span {
        let of_objects = CORE_SECONDS_PER_OBJECT.likely * self.objects as f64;
        // An object costs less where nothing is far away.
        let of_records = (self.seconds - of_objects).max(self.seconds / 2.0);
        Span::around(of_records / self.records as f64, SPEED_SPREAD)
    }
}

/// Objects that are alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alike {
    /// How many.
    pub objects: u64,
    /// Their bytes, as they are stored.
    pub bytes: u64,
    /// [`estimated_rows`](crate::estimated_rows) of them.
    pub rows_by_size: u64,
    /// [`estimated_rows`](crate::estimated_rows) of a task of theirs, which is about one file.
    pub task_rows: u64,
}

/// What objects come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Expected {
    /// Records.
    pub records: Span,
    /// Bytes of Parquet files.
    pub parquet_bytes: Span,
    /// Seconds of a core.
    pub core_seconds: Span,
}

impl Expected {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            records: self.records.plus(other.records),
            parquet_bytes: self.parquet_bytes.plus(other.parquet_bytes),
            core_seconds: self.core_seconds.plus(other.core_seconds),
        }
    }

    /// What a part of it comes to.
    #[must_use]
    pub fn times(self, part: f64) -> Self {
        Self {
            records: self.records.times(part),
            parquet_bytes: self.parquet_bytes.times(part),
            core_seconds: self.core_seconds.times(part),
        }
    }
}

/// What objects that are alike come to: by a trial of some of them, or else by the constants; as fast as `speed` was, if that tells.
pub fn expect(alike: Alike, trial: Option<&Trial>, speed: &Trial) -> Expected {
    let trial = trial.filter(|trial| trial.is_telling());
    let records = trial.map_or_else(|| records_by_size(alike), |trial| records_by(trial, alike));
    let parquet = trial.map_or(PARQUET_BYTES_PER_RECORD, |trial| parquet_bytes_per_record(trial, alike));
    let per_record =
        if speed.tells_speed() { speed.core_seconds_per_record() } else { CORE_SECONDS_PER_RECORD };
    Expected {
        records,
        parquet_bytes: parquet.by(records),
        core_seconds: per_record.by(records).plus(CORE_SECONDS_PER_OBJECT.times(alike.objects as f64)),
    }
}

fn records_by_size(alike: Alike) -> Span {
    let (least, likely, most) = COMPRESSED_BYTES_PER_RECORD;
    Span::around(alike.rows_by_size as f64, (likely / most, likely / least))
}

fn records_by(trial: &Trial, alike: Alike) -> Span {
    let likely = trial.records as f64 / trial.bytes as f64 * alike.bytes as f64;
    if trial.objects == alike.objects && trial.bytes == alike.bytes {
        return Span::exactly(trial.records as f64);
    }
    let part = trial.records as f64 / trial.bytes as f64;
    let parts =
        || trial.each.iter().filter(|(bytes, _)| *bytes > 0).map(|(b, n)| *n as f64 / *b as f64 / part);
    let spread = if trial.objects > 1 { OBJECTS_SPREAD } else { ONE_OBJECT_SPREAD };
    let low = parts().fold(1.0 - spread, f64::min);
    let high = parts().fold(1.0 + spread, f64::max);
    Span::around(likely, (low, high))
}

fn parquet_bytes_per_record(trial: &Trial, alike: Alike) -> Span {
    let file_records = (alike.task_rows as f64).min(LONGER_FILE_RECORDS_MAX);
    let tens = (file_records / trial.records as f64).max(1.0).log10();
    let part = |less: f64, spread: f64| (1.0 - less * tens) * (1.0 + spread);
    let parts = Span {
        low: part(LONGER_FILES.high, -OBJECTS_SPREAD),
        likely: part(LONGER_FILES.likely, 0.0),
        high: part(LONGER_FILES.low, OBJECTS_SPREAD),
    };
    // A file has what does not grow once, however few records the trial's had.
    let bytes = trial.parquet_bytes as f64;
    let fixed = (FIXED_BYTES_PER_FOOTER_BYTE * trial.footer_bytes as f64).min(FIXED_PART_MAX * bytes);
    let of_a_file = fixed / (trial.files as f64).max(1.0);
    parts
        .times((bytes - fixed) / trial.records as f64)
        .plus(Span::exactly(of_a_file / (alike.task_rows as f64).max(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(each: &[(u64, u64)], seconds: f64) -> Trial {
        let (bytes, records) = each.iter().fold((0, 0), |(b, n), (bytes, records)| (b + bytes, n + records));
        Trial {
            objects: each.len() as u64,
            bytes,
            text_bytes: 5 * bytes,
            records,
            parquet_bytes: records * 20,
            files: 0,
            footer_bytes: 0,
            seconds,
            each: each.to_vec(),
        }
    }

    #[test]
    fn without_a_trial_the_constants_hold() {
        let alike = Alike { objects: 10, bytes: 32_000, rows_by_size: 1_000, task_rows: 1_000 };
        let found = expect(alike, None, &Trial::default());
        assert_eq!(found.records, Span { low: 32.0 / 45.0 * 1_000.0, likely: 1_000.0, high: 1_280.0 });
        assert_eq!(found.parquet_bytes.likely, 22_000.0);
        assert!((found.core_seconds.likely - (0.54e-3 + 1.86e-3)).abs() < 1e-9);
        // What tells nothing changes nothing.
        assert_eq!(expect(alike, Some(&trial(&[(10, 0)], 1.0)), &Trial::default()), found);
    }

    #[test]
    fn short_files_tell_of_long_ones() {
        // Three files of 200 v2 records, and of as many v5 records; a file of 60,000 had 17.2 and 25.4 bytes a record.
        for (file, footer, expected) in [(8_555, 1_958, 17.2), (15_369, 4_065, 25.4)] {
            let short = Trial {
                parquet_bytes: 3 * file,
                files: 3,
                footer_bytes: 3 * footer,
                ..trial(&[(6_400, 200), (6_400, 200), (6_400, 200)], 0.1)
            };
            let alike = Alike { objects: 300, bytes: 1_920_000, rows_by_size: 60_000, task_rows: 60_000 };
            let found = expect(alike, Some(&short), &Trial::default()).parquet_bytes;
            let [low, likely, high] = [found.low, found.likely, found.high].map(|bytes| bytes / 60_000.0);
            assert!(low < expected && expected < high, "{low} to {high}");
            assert!((likely / expected - 1.0).abs() < 0.1, "{likely}");
        }
    }

    #[test]
    fn a_trial_of_some_tells_of_all() {
        let alike = Alike { objects: 100, bytes: 1_000_000, rows_by_size: 31_250, task_rows: 31_250 };
        let two = trial(&[(10_000, 200), (10_000, 300)], 0.1);
        let found = expect(alike, Some(&two), &two);
        assert_eq!(found.records.likely, 25_000.0);
        assert!((found.records.low - 20_000.0).abs() < 1e-6 && (found.records.high - 30_000.0).abs() < 1e-6);
        // Of 500 records each took 20 bytes, and in a file of 62.5 times as many a record takes less.
        let less = 1.0 - 0.10 * 62.5_f64.log10();
        assert!((found.parquet_bytes.likely - 25_000.0 * 20.0 * less).abs() < 1.0, "{found:?}");
        assert!(found.parquet_bytes.low < found.parquet_bytes.likely);
        let one = trial(&[(10_000, 250)], 0.1);
        let found = expect(alike, Some(&one), &one);
        assert!((found.records.low - 21_250.0).abs() < 1e-6 && (found.records.high - 28_750.0).abs() < 1e-6);
        // Of all of them.
        let all = trial(&[(10_000, 250); 100], 0.1);
        assert_eq!(expect(alike, Some(&all), &all).records, Span::exactly(25_000.0));
    }

    #[test]
    fn a_trial_that_is_long_enough_tells_the_speed() {
        let alike = Alike { objects: 1, bytes: 8 << 20, rows_by_size: 0, task_rows: 0 };
        let long = trial(&[(4 << 20, 100_000)], 1.0);
        let found = expect(alike, Some(&long), &long);
        assert!((found.core_seconds.likely - 2.0).abs() < 1e-3, "{found:?}");
        assert!(found.core_seconds.low < 1.8 && found.core_seconds.high > 2.5);
    }
}
