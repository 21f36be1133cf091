//! CDK's `LogFormat`: constants and functions that stand for fields, in all languages of CDK.

use crate::catalogue::{Catalogue, normalised};

/// Constants of CDK's `LogFormat` whose field has another name, as
/// <https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/aws-ec2/lib/vpc-flow-logs.ts> has them. The others are the
/// field's name in capitals.
const RENAMED: [(&str, &str); 9] = [
    ("SRC_ADDR", "srcaddr"),
    ("DST_ADDR", "dstaddr"),
    ("SRC_PORT", "srcport"),
    ("DST_PORT", "dstport"),
    ("START_TIMESTAMP", "start"),
    ("END_TIMESTAMP", "end"),
    ("TRAFFIC_TYPE", "type"),
    ("PKT_SRC_ADDR", "pkt-srcaddr"),
    ("PKT_DST_ADDR", "pkt-dstaddr"),
];

/// What a word of CDK code stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cdk<'a> {
    /// The class itself, as a type.
    Class,
    /// `custom` or `field`: what follows in brackets is a format, or a field's name.
    Function,
    /// A constant and the fields that it stands for.
    Fields(Vec<&'a str>),
    /// No member of the class, and the constant that is nearest.
    Unknown(&'a str, Option<String>),
}

/// Reads `ec2.LogFormat.SRC_ADDR`, and Go's `awsec2.LogFormat_SRC_ADDR`; `None` for a word that is none of CDK's.
pub(super) fn cdk<'a>(word: &'a str, catalogue: &'a Catalogue) -> Option<Cdk<'a>> {
    const CLASS: &str = "LogFormat";
    let at = word.rfind(CLASS)?;
    if !(at == 0 || word[..at].ends_with(['.', ':', '*'])) {
        return None;
    }
    let member = &word[at + CLASS.len()..];
    if member.is_empty() {
        return Some(Cdk::Class);
    }
    let member = member.strip_prefix(['.', '_']).or_else(|| member.strip_prefix("::"))?;
    if ["custom", "field"].contains(&member.to_ascii_lowercase().as_str()) {
        return Some(Cdk::Function);
    }
    if member == "ALL_DEFAULT_FIELDS" {
        return catalogue.named_format("v2").map(Cdk::Fields);
    }
    let named = RENAMED.iter().find(|(constant, _)| *constant == member).map(|(_, field)| *field);
    let name = named.map_or_else(|| normalised(member), str::to_owned);
    // A constant is in capitals; `LogFormat.json` is something else.
    let is_constant = !member.contains(|c: char| c.is_ascii_lowercase());
    Some(match catalogue.field(&name) {
        Some(spec) if is_constant => Cdk::Fields(vec![spec.name.as_str()]),
        _ => Cdk::Unknown(member, nearest_constant(member, catalogue)),
    })
}

fn nearest_constant(member: &str, catalogue: &Catalogue) -> Option<String> {
    let of_fields: Vec<String> =
        catalogue.fields().iter().map(|s| s.name.to_ascii_uppercase().replace('-', "_")).collect();
    let known = RENAMED.iter().map(|(constant, _)| *constant).chain(of_fields.iter().map(String::as_str));
    crate::nearest::nearest(&member.to_ascii_uppercase(), known).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_log_format() {
        let catalogue = Catalogue::builtin();
        for (word, expected) in [
            ("ec2.LogFormat.SRC_ADDR", Some(Cdk::Fields(vec!["srcaddr"]))),
            ("aws_cdk.aws_ec2.LogFormat.ECS_TASK_ID", Some(Cdk::Fields(vec!["ecs-task-id"]))),
            ("LogFormat.TRAFFIC_TYPE", Some(Cdk::Fields(vec!["type"]))),
            ("awsec2.LogFormat_START_TIMESTAMP", Some(Cdk::Fields(vec!["start"]))),
            ("ec2.LogFormat.custom", Some(Cdk::Function)),
            ("awsec2.LogFormat_Custom", Some(Cdk::Function)),
            ("LogFormat.field", Some(Cdk::Function)),
            ("[]awsec2.LogFormat", Some(Cdk::Class)),
            ("LogFormat.SRC_ADR", Some(Cdk::Unknown("SRC_ADR", Some("SRC_ADDR".to_owned())))),
            ("LogFormat.json", Some(Cdk::Unknown("json", None))),
            ("MyLogFormat.VERSION", None),
            ("log-format", None),
            ("LogFormatter", None),
        ] {
            assert_eq!(cdk(word, catalogue), expected, "{word}");
        }
        let Some(Cdk::Fields(all)) = cdk("LogFormat.ALL_DEFAULT_FIELDS", catalogue) else { panic!("fields") };
        assert_eq!(all.len(), 14);
    }
}
