//! Names of objects that are given once, so that a copy of an object is known by its name wherever it lies.

use crate::key_group::{export, firehose};
use crate::object_key::file_name_parts;
use crate::time::TimeSlot;

/// What a sender calls an object, and no other one.
///
/// | key | name |
/// |---|---|
/// | `…/111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_1f.log.gz` | without what follows the hash at its end |
/// | `…/flow-1-2024-01-01-00-05-10-UUID.gz` | as Firehose gave it |
/// | `…/UUID/eni-0a-all/000000.gz` | with the folders of an export of a log group, whose UUID no other export has |
///
/// Other names, such as `part-0000.gz`, may be anybody's: they have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueName<'a> {
    /// The name, a path in which the day stands where it tells one.
    pub path: String,
    /// How it is packed, as what follows in the key tells: `.gz` of `.log.gz`, nothing of `.log`. None where something else follows, as in
    /// ` (1).log.gz` or `-mended.log.gz`.
    pub packing: Option<&'a str>,
}

impl<'a> UniqueName<'a> {
    /// The name that `key` ends with, if it is one.
    pub fn of(key: &'a str) -> Option<Self> {
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        let (stem, _) = name.split_once('.').unwrap_or((name, ""));
        if let Some([.., hash]) = file_name_parts(name) {
            let added = hash.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(hash.len());
            let at = stem.len() - hash.len() + added;
            return (added > 0).then(|| Self { path: name[..at].to_owned(), packing: packing(&name[at..]) });
        }
        if let Some((_, unix_s)) = firehose(name) {
            let path = format!("{}/{stem}", TimeSlot::at(unix_s).date()?);
            return Some(Self { path, packing: packing(&name[stem.len()..]) });
        }
        let task = export(folder, name)?;
        let from = task.rfind('/').map_or(0, |at| at + 1);
        let path = key[from..key.len() - name.len() + stem.len()].to_owned();
        Some(Self { path, packing: packing(&name[stem.len()..]) })
    }
}

/// The packing that the ending of a name tells, if it tells no more.
fn packing(ending: &str) -> Option<&str> {
    let packing = ending.strip_prefix(".log").unwrap_or(ending);
    ["", ".bz2", ".gz", ".gzip", ".parquet", ".txt", ".xz", ".zst", ".zstd"]
        .contains(&packing)
        .then_some(packing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0a1b2c3d-0000-4000-8000-0123456789ab";

    #[track_caller]
    fn check(key: &str, path: &str, packing: Option<&str>) {
        let expected = (!path.is_empty()).then(|| UniqueName { path: path.to_owned(), packing });
        assert_eq!(UniqueName::of(key), expected, "{key}");
    }

    #[test]
    fn names_that_are_given_once_are_known_wherever_they_lie() {
        let aws = "111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_1f2e3d4c";
        check(
            &format!("AWSLogs/111122223333/vpcflowlogs/eu-west-1/2024/01/01/{aws}.log.gz"),
            aws,
            Some(".gz"),
        );
        for (ending, packing) in [
            ("", Some("")),
            (".log", Some("")),
            (".log.parquet", Some(".parquet")),
            (".gz", Some(".gz")),
            (" (1).log.gz", None),
            ("-mended.log.gz", None),
            (".log.gz.1", None),
        ] {
            check(&format!("{aws}{ending}"), aws, packing);
        }
        let firehose = format!("flow-1-2024-01-15-07-00-10-{UUID}");
        check(&format!("x/2024/01/15/07/{firehose}"), &format!("2024-01-15/{firehose}"), Some(""));
        check(&format!("{firehose}.gz"), &format!("2024-01-15/{firehose}"), Some(".gz"));
        let export = format!("{UUID}/eni-0a-all/000000");
        check(&format!("{export}.gz"), &export, Some(".gz"));
        check(&format!("exported/{export}.gz"), &export, Some(".gz"));
    }

    #[test]
    fn names_that_anybody_gives_are_none() {
        for key in [
            "a.log",
            "part-0000.gz",
            "",
            "111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_.log.gz",
            "111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_-.log.gz",
            "eni-0a-all/000000.gz",
            &format!("{UUID}/flow.log.gz"),
            &format!("{UUID}/eni-0a-all/000000"),
        ] {
            check(key, "", None);
        }
    }
}
