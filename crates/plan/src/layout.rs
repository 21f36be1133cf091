//! Keys of a table: where its records and files stand below the table root.
//!
//! | key | what |
//! |---|---|
//! | `_flowquet/table.json` | table contract |
//! | `_flowquet/plans/00000001.json.gz` | plan record 1 |
//! | `_flowquet/commits/7d1f….json` | commit record of task `7d1f…` |
//! | `_flowquet/rejects/7d1f….jsonl` | its rejects, if any |
//! | `_flowquet/compactions/00000001.json` | compaction record 1 |
//! | `_flowquet/compactions/00000001.done` | its files are in place, and those that it retired are gone |
//! | `_flowquet/compacted/9c4e…/9c4e…-0000.parquet` | a file of compaction `9c4e…` until it is in place |
//! | `_flowquet/spool/…` | standard input until its task is committed |
//! | `date=2019-08-20/7d1f…-0000.parquet` | its first file in that partition |

/// Folder of everything that is not data; engines ignore names that begin with `_`.
pub const RECORDS: &str = "_flowquet";

/// Key of the table contract.
pub const CONTRACT_KEY: &str = "_flowquet/table.json";

/// Folder of plan records.
pub const PLANS: &str = "_flowquet/plans";

/// Folder of commit records.
pub const COMMITS: &str = "_flowquet/commits";

/// Folder of reject files.
pub const REJECTS: &str = "_flowquet/rejects";

/// Folder of compaction records.
pub const COMPACTIONS: &str = "_flowquet/compactions";

/// Folder of files that compactions wrote and that are not in place yet.
pub const COMPACTED: &str = "_flowquet/compacted";

/// Folder of standard input that was read and is not committed yet.
pub const SPOOL: &str = "_flowquet/spool";

/// Folder of files being written.
pub const STAGING: &str = "_flowquet/staging";

/// Key of plan record `number`, counted from 1.
pub fn plan_key(number: u64) -> String {
    format!("{PLANS}/{number:08}.json.gz")
}

/// The number in a plan record's key.
pub fn plan_number(key: &str) -> Option<u64> {
    key.strip_prefix(PLANS)?.strip_prefix('/')?.strip_suffix(".json.gz")?.parse().ok()
}

/// Key of compaction record `number`, counted from 1.
pub fn compaction_key(number: u64) -> String {
    format!("{COMPACTIONS}/{number:08}.json")
}

/// The number in a compaction record's key.
pub fn compaction_number(key: &str) -> Option<u64> {
    key.strip_prefix(COMPACTIONS)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()
}

/// Key of what says that a compaction is through.
pub fn compaction_done_key(number: u64) -> String {
    format!("{COMPACTIONS}/{number:08}.done")
}

/// Folder of a compaction's files that are not in place yet.
pub fn compacted_folder(id: &str) -> String {
    format!("{COMPACTED}/{id}")
}

/// Key of a compaction's file until it is in place; `key` is the one that it has then.
pub fn compacted_key(id: &str, key: &str) -> String {
    format!("{COMPACTED}/{id}/{}", key.rsplit('/').next().unwrap_or(key))
}

/// Key of a task's commit record.
pub fn commit_key(task_id: &str) -> String {
    format!("{COMMITS}/{task_id}.json")
}

/// Key of a task's rejects.
pub fn rejects_key(task_id: &str) -> String {
    format!("{REJECTS}/{task_id}.jsonl")
}

/// Key of a task's `sequence`-th file in the partition `folder` (empty where the table has no partitions).
pub fn output_name(folder: &str, task_id: &str, sequence: usize) -> String {
    let slash = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{slash}{task_id}-{sequence:04}.parquet")
}

/// The id of the task that an output's key names.
pub fn task_of_output(key: &str) -> Option<&str> {
    let name = key.rsplit('/').next()?.strip_suffix(".parquet")?;
    name.rsplit_once('-').map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(plan_number(&plan_key(42)), Some(42));
        assert_eq!(plan_number("_flowquet/plans/x.json"), None);
        assert_eq!(compaction_number(&compaction_key(7)), Some(7));
        assert_eq!(compaction_number(&compaction_done_key(7)), None);
        assert_eq!(
            compacted_key("ab", "date=2019-08-20/ab-0001.parquet"),
            "_flowquet/compacted/ab/ab-0001.parquet"
        );
        assert_eq!(output_name("date=2019-08-20", "ab", 1), "date=2019-08-20/ab-0001.parquet");
        assert_eq!(output_name("", "ab", 0), "ab-0000.parquet");
        for folder in ["", "account=1/date=2019-08-20"] {
            assert_eq!(task_of_output(&output_name(folder, "ab", 7)), Some("ab"));
        }
        assert_eq!(task_of_output("date=2019-08-20/other.csv"), None);
    }
}
