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
pub struct UniqueName {
    /// The name, a path in which the day stands where it tells one.
    pub path: String,
    /// What the ending of the key tells of the object's form.
    pub form: NamedForm,
}

/// The form of an object, as the ending of its key tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedForm {
    /// `.log.gz`, `.gz`, `.zst`: packed in a way that tells whether it is whole.
    Packed,
    /// `.log`, or none: text, of which a part looks like the whole.
    Plain,
    /// Something else, such as ` (1).log.gz`, `-mended.log.gz` or `.log.parquet`.
    Other,
}

impl UniqueName {
    /// The name that `key` ends with, if it is one.
    pub fn of(key: &str) -> Option<Self> {
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        let (stem, _) = name.split_once('.').unwrap_or((name, ""));
        if let Some([.., hash]) = file_name_parts(name) {
            let added = hash.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(hash.len());
            let at = stem.len() - hash.len() + added;
            return (added > 0).then(|| Self { path: name[..at].to_owned(), form: form(&name[at..]) });
        }
        if let Some((_, unix_s)) = firehose(name) {
            let path = format!("{}/{stem}", TimeSlot::at(unix_s).date()?);
            return Some(Self { path, form: form(&name[stem.len()..]) });
        }
        let task = export(folder, name)?;
        let from = task.rfind('/').map_or(0, |at| at + 1);
        let path = key[from..key.len() - name.len() + stem.len()].to_owned();
        Some(Self { path, form: form(&name[stem.len()..]) })
    }
}

fn form(ending: &str) -> NamedForm {
    match ending.strip_prefix(".log").unwrap_or(ending) {
        "" | ".txt" => NamedForm::Plain,
        ".gz" | ".gzip" | ".zst" | ".zstd" => NamedForm::Packed,
        _ => NamedForm::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0a1b2c3d-0000-4000-8000-0123456789ab";

    #[track_caller]
    fn check(key: &str, path: &str, form: NamedForm) {
        let expected = (!path.is_empty()).then(|| UniqueName { path: path.to_owned(), form });
        assert_eq!(UniqueName::of(key), expected, "{key}");
    }

    #[test]
    fn names_that_are_given_once_are_known_wherever_they_lie() {
        let aws = "111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_1f2e3d4c";
        check(
            &format!("AWSLogs/111122223333/vpcflowlogs/eu-west-1/2024/01/01/{aws}.log.gz"),
            aws,
            NamedForm::Packed,
        );
        for (ending, form) in [
            ("", NamedForm::Plain),
            (".log", NamedForm::Plain),
            (".log.parquet", NamedForm::Other),
            (".gz", NamedForm::Packed),
            (" (1).log.gz", NamedForm::Other),
            ("-mended.log.gz", NamedForm::Other),
            (".log.gz.1", NamedForm::Other),
        ] {
            check(&format!("{aws}{ending}"), aws, form);
        }
        let firehose = format!("flow-1-2024-01-15-07-00-10-{UUID}");
        check(&format!("x/2024/01/15/07/{firehose}"), &format!("2024-01-15/{firehose}"), NamedForm::Plain);
        check(&format!("{firehose}.gz"), &format!("2024-01-15/{firehose}"), NamedForm::Packed);
        let export = format!("{UUID}/eni-0a-all/000000");
        check(&format!("{export}.gz"), &export, NamedForm::Packed);
        check(&format!("exported/{export}.gz"), &export, NamedForm::Packed);
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
            check(key, "", NamedForm::Other);
        }
    }
}
