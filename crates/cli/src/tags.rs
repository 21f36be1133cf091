//! Keys of tags: those that `--tag-key` gives, and those that flow logs describe.

use std::collections::BTreeSet;

use flowquet_ec2::FlowLog;
use flowquet_format::{Catalogue, TAG_FIELDS, TagKey, TagKeyError, normalised, tag_entries};

use crate::args::FormatArgs;
use crate::exit::Exit;
use crate::output::{Failure, shown};

const OPTION: &str = "--tag-key";

/// Entries of a field list by which tags are called as the arguments and the `described` flow logs say; empty where they say nothing.
pub(crate) fn tag_entries_of(
    args: &FormatArgs,
    described: &[FlowLog],
    catalogue: &Catalogue,
) -> Result<String, Failure> {
    let mut keys = Vec::new();
    let mut said = BTreeSet::new();
    for text in &args.tag_key {
        let plain = text.trim().strip_suffix('=').map(|field| normalised(field.trim()));
        match plain.filter(|field| TAG_FIELDS.contains(&field.as_str())) {
            Some(field) => _ = said.insert(field),
            None => keys.push(TagKey::parse(text).ok_or_else(|| {
                let message = format!("expected FIELD=KEY in {OPTION}, found `{}`", shown(text));
                Failure::message(Exit::Usage, &message, Some("give it as --tag-key instance-tag=Team"))
            })?),
        }
    }
    said.extend(keys.iter().map(|tag| tag.field.clone()));
    keys.extend(described_keys(described, &said)?);
    tag_entries(&keys, args.decode_tags, catalogue).map_err(|error| {
        let hint = match &error {
            TagKeyError::Key(_) => {
                Some("choose a name yourself: a `[[field]]` entry with tag_of in a file for --fields")
            }
            TagKeyError::Two(..) => Some("flow logs that write different tags belong in tables of their own"),
            TagKeyError::Column(..) | TagKeyError::Taken(..) => {
                Some("leave one of them its own name: --tag-key FIELD=")
            }
            TagKeyError::Field(_) => None,
        };
        Failure::message(Exit::Usage, &format!("{OPTION}: {}", shown(&error.to_string())), hint)
    })
}

/// The keys that flow logs have of the fields that no argument speaks of: those that agree.
fn described_keys(described: &[FlowLog], said: &BTreeSet<String>) -> Result<Vec<TagKey>, Failure> {
    let mut keys: Vec<(TagKey, &str)> = Vec::new();
    for log in described {
        for (field, key) in log.tag_fields().filter(|(field, _)| !said.contains(field)) {
            match keys.iter().find(|(tag, _)| tag.field == field) {
                None => keys.push((TagKey { field, key: key.to_owned() }, &log.id)),
                Some((tag, _)) if tag.key == key => {}
                Some((tag, other)) => {
                    let message = format!(
                        "{field} holds the tag `{}` in {} and `{}` in {}: a column cannot be called by both",
                        shown(&tag.key),
                        shown(other),
                        shown(key),
                        shown(&log.id)
                    );
                    let hint = format!(
                        "convert them into tables of their own, by --flow-log-id, or leave the field its name: {OPTION} {field}="
                    );
                    return Err(Failure::message(Exit::Usage, &message, Some(&hint)));
                }
            }
        }
    }
    Ok(keys.into_iter().map(|(tag, _)| tag).collect())
}
