//! Keys of a table: where its records and files stand below the table root.
//!
//! | key | what |
//! |---|---|
//! | `_flowquet/table.json` | table contract |
//! | `_flowquet/plans/00000001.json.gz` | plan record 1 |
//! | `_flowquet/commits/by-plan/00000001-7d1f….json` | commit record of task `7d1f…` of plan 1 |
//! | `_flowquet/commits/7d1f….json` | the same, of a plan of layout 4 |
//! | `_flowquet/rejects/7d1f….jsonl` | its rejects, if any |
//! | `_flowquet/rejects/7d1f….lost.json` | somebody accepted that these are lost |
//! | `_flowquet/compactions/00000001.json` | record 1 of compactions and reconversions |
//! | `_flowquet/compactions/00000001.done` | its files are in place, and those that it retired are gone |
//! | `_flowquet/compacted/9c4e…/9c4e…-0000.parquet` | a file of compaction `9c4e…` until it is in place |
//! | `_flowquet/checkpoints/00000001.json` | checkpoint 1 |
//! | `_flowquet/checkpoints/segments/files-5c1b…` | a segment of checkpoints, named after its bytes |
//! | `_flowquet/ignored/5c1b….json` | an object that nobody needs to be told of any more |
//! | `_flowquet/enrichments/5c1b…` | a file that fills columns, named after its bytes |
//! | `_flowquet/catalog.json` | the catalog's table that points here |
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

/// Folder of commit records of plans of layout 5 and later, in the order of their plans: whoever has seen the first plans lists
/// only the rest.
pub(crate) const COMMITS_BY_PLAN: &str = "_flowquet/commits/by-plan";

/// Folder of records of objects that are ignored.
pub(crate) const IGNORED: &str = "_flowquet/ignored";

/// Folder of checkpoints.
pub(crate) const CHECKPOINTS: &str = "_flowquet/checkpoints";

/// Folder of segments of checkpoints.
pub(crate) const SEGMENTS: &str = "_flowquet/checkpoints/segments";

/// Folder of files that fill columns.
pub const ENRICHMENTS: &str = "_flowquet/enrichments";

/// Key of what says which table of a catalog points here.
pub(crate) const CATALOG_KEY: &str = "_flowquet/catalog.json";

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

/// Key of the file that fills columns and whose bytes have this SHA-256 digest.
pub fn enrichment_key(sha256: &str) -> String {
    format!("{ENRICHMENTS}/{sha256}")
}

/// The digest in the key of a file that fills columns.
pub(crate) fn enrichment_of_key(key: &str) -> Option<&str> {
    let name = key.strip_prefix(ENRICHMENTS)?.strip_prefix('/')?;
    is_sha256(name).then_some(name)
}

/// Whether a text is a SHA-256 digest.
fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Key of plan record `number`, counted from 1.
pub fn plan_key(number: u64) -> String {
    format!("{PLANS}/{number:08}.json.gz")
}

/// The number in a plan record's key.
pub fn plan_number(key: &str) -> Option<u64> {
    number_in(key, PLANS, ".json.gz", plan_key)
}

/// Key of compaction record `number`, counted from 1.
pub fn compaction_key(number: u64) -> String {
    format!("{COMPACTIONS}/{number:08}.json")
}

/// The number in a compaction record's key.
pub fn compaction_number(key: &str) -> Option<u64> {
    number_in(key, COMPACTIONS, ".json", compaction_key)
}

/// Key of what says that a compaction is through.
pub fn compaction_done_key(number: u64) -> String {
    format!("{COMPACTIONS}/{number:08}.done")
}

/// The number of a compaction whose mark of completion has this key.
pub(crate) fn compaction_done_number(key: &str) -> Option<u64> {
    number_in(key, COMPACTIONS, ".done", compaction_done_key)
}

/// Key of checkpoint `number`, counted from 1.
pub(crate) fn checkpoint_key(number: u64) -> String {
    format!("{CHECKPOINTS}/{number:08}.json")
}

/// The number in a checkpoint's key.
pub(crate) fn checkpoint_number(key: &str) -> Option<u64> {
    number_in(key, CHECKPOINTS, ".json", checkpoint_key)
}

/// Folder of a compaction's files that are not in place yet.
pub fn compacted_folder(id: &str) -> String {
    format!("{COMPACTED}/{id}")
}

/// Key of a compaction's file until it is in place; `key` is the one that it has then.
pub fn compacted_key(id: &str, key: &str) -> String {
    format!("{COMPACTED}/{id}/{}", key.rsplit('/').next().unwrap_or(key))
}

/// Key of the commit record of a task of plan `number`, which is of layout `layout_version`.
///
/// | layout | key |
/// |---|---|
/// | 4 | `_flowquet/commits/7d1f….json` |
/// | 5 | `_flowquet/commits/by-plan/00000012-7d1f….json` |
pub fn commit_key(task_id: &str, number: u64, layout_version: u32) -> String {
    if layout_version < 5 {
        format!("{COMMITS}/{task_id}.json")
    } else {
        format!("{COMMITS_BY_PLAN}/{number:08}-{task_id}.json")
    }
}

/// Behind this key stand the commit records of plan `number` and of later ones.
pub(crate) fn before_commits_of(number: u64) -> String {
    format!("{COMMITS_BY_PLAN}/{number:08}")
}

/// The id of the task whose commit record a key names.
pub(crate) fn task_of_commit(key: &str) -> Option<&str> {
    let name = key.strip_prefix(COMMITS)?.strip_prefix('/')?.strip_suffix(".json")?;
    let id = match name.strip_prefix("by-plan/") {
        Some(name) => name.split_once('-')?.1,
        None => name,
    };
    is_id(id).then_some(id)
}

/// The number of the plan whose commit has this key; none in keys of layout 4.
pub(crate) fn plan_of_commit(key: &str) -> Option<u64> {
    let name = key.strip_prefix(COMMITS_BY_PLAN)?.strip_prefix('/')?;
    name.split_once('-')?.0.parse().ok()
}

/// Whether a text is an id: sixteen hexadecimal digits.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a key names a data file below a table root, or a folder of such: no empty segment, none that begins with a dot or an
/// underscore, no character that separates or steers elsewhere, and no way out of the table.
pub(crate) fn is_data_key(key: &str) -> bool {
    let is_plain = |b: u8| !b.is_ascii_control() && b != b'\\';
    key.bytes().all(is_plain) && key.split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '_']))
}

/// The number in a key, which is that of no other key: written as `key_of` writes it.
fn number_in(key: &str, folder: &str, ending: &str, key_of: fn(u64) -> String) -> Option<u64> {
    let number = key.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ending)?.parse().ok()?;
    (key_of(number) == key).then_some(number)
}

/// Key of standard input that is being read, under a name that nobody else has.
pub fn incoming_key(name: &str) -> String {
    format!("{SPOOL}/incoming-{name}")
}

/// Whether a key is that of standard input that is being read.
pub(crate) fn is_incoming(key: &str) -> bool {
    let name = key.strip_prefix(SPOOL).and_then(|k| k.strip_prefix("/incoming-"));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The name of standard input in the spool: the SHA-256 digest of its bytes.
pub fn spooled_name(key: &str) -> Option<&str> {
    let name = key.strip_prefix(SPOOL)?.strip_prefix('/')?;
    is_sha256(name).then_some(name)
}

/// Key of the record that the loss of a task's rejects is accepted.
pub(crate) fn rejects_loss_key(task_id: &str) -> String {
    format!("{REJECTS}/{task_id}.lost.json")
}

/// The task of such a record.
pub(crate) fn task_of_rejects_loss(key: &str) -> Option<&str> {
    key.strip_prefix(REJECTS)?.strip_prefix('/')?.strip_suffix(".lost.json").filter(|id| is_id(id))
}

/// The task whose rejects stand under this key.
pub(crate) fn task_of_rejects(key: &str) -> Option<&str> {
    key.strip_prefix(REJECTS)?.strip_prefix('/')?.strip_suffix(".jsonl").filter(|id| is_id(id))
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
    let (id, sequence) = name.rsplit_once('-')?;
    (is_id(id) && !sequence.is_empty() && sequence.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";

    #[test]
    fn keys() {
        assert_eq!(plan_number(&plan_key(42)), Some(42));
        for other in ["x.json", "1.json.gz", "+0000001.json.gz", "00000001.json.gz/x", "a/00000001.json.gz"] {
            assert_eq!(plan_number(&format!("{PLANS}/{other}")), None, "{other}");
        }
        assert_eq!(compaction_number(&compaction_key(7)), Some(7));
        assert_eq!(compaction_number(&compaction_done_key(7)), None);
        assert_eq!(
            compacted_key("ab", "date=2019-08-20/ab-0001.parquet"),
            "_flowquet/compacted/ab/ab-0001.parquet"
        );
        assert_eq!(output_name("date=2019-08-20", ID, 1), format!("date=2019-08-20/{ID}-0001.parquet"));
        assert_eq!(output_name("", ID, 0), format!("{ID}-0000.parquet"));
        for folder in ["", "account=1/date=2019-08-20"] {
            assert_eq!(task_of_output(&output_name(folder, ID, 7)), Some(ID));
        }
        for other in ["date=2019-08-20/other.csv", "date=1/x-0001.parquet", "0123456789abcdef-x.parquet"] {
            assert_eq!(task_of_output(other), None);
        }
    }

    #[test]
    fn commits_of_layout_5_stand_in_the_order_of_their_plans() {
        assert_eq!(commit_key(ID, 12, 4), format!("_flowquet/commits/{ID}.json"));
        assert_eq!(commit_key(ID, 12, 5), format!("_flowquet/commits/by-plan/00000012-{ID}.json"));
        for layout in [4, 5] {
            assert_eq!(task_of_commit(&commit_key(ID, 12, layout)), Some(ID));
        }
        let before = before_commits_of(12);
        assert!(commit_key("ffffffffffffffff", 11, 5) < before && before < commit_key("0", 12, 5));
        assert_eq!(task_of_commit("_flowquet/commits/../../x.json"), None);
    }

    #[test]
    fn data_keys_stay_inside_the_table() {
        for (key, expected) in [
            ("date=2019-08-20/x.parquet", true),
            ("x.parquet", true),
            ("../x", false),
            ("/x", false),
            ("a//b", false),
            ("_flowquet/table.json", false),
            ("a/.b", false),
            ("a/..", false),
            ("a/../b", false),
            ("a\\..\\b", false),
            ("a\0b", false),
            ("a\nb", false),
            ("a\x1b[2J", false),
            ("", false),
        ] {
            assert_eq!(is_data_key(key), expected, "{key}");
        }
    }
}
