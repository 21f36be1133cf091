//! Fields that hold a tag's value: the log names them by their place, people by the tag's key.
//!
//! A flow log of version 11 writes the values of up to two tags of an instance, of a network interface and of an Auto Scaling group. Its
//! lines do not name the tags; only `TagFieldSpecifications` of the flow log does
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TagFieldSpecification.html>).

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::catalogue::{Catalogue, FieldSpec, LogKind, normalised};

/// The fields of log formats that hold the value of a tag.
pub const TAG_FIELDS: [&str; 6] =
    ["instance-tag", "instance-tag-2", "interface-tag", "interface-tag-2", "asg-tag", "asg-tag-2"];

/// What a tag field holds: the value of the tag that is called `key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagKey {
    /// One of [`TAG_FIELDS`].
    pub field: String,
    /// The tag's key, such as `Team` or `aws:autoscaling:groupName`.
    pub key: String,
}

/// Why tag keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagKeyError {
    /// No field that holds a tag's value.
    Field(String),
    /// The key has no letter or digit that a column's name could have.
    Key(TagKey),
    /// A field is given two keys.
    Two(TagKey, TagKey),
    /// Two fields would be the same column.
    Column(TagKey, TagKey),
    /// The column's name is that of another field.
    Taken(TagKey, String),
}

impl fmt::Display for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field, self.key)
    }
}

impl fmt::Display for TagKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => {
                write!(f, "expected a field that holds a tag ({}), found `{field}`", TAG_FIELDS.join(", "))
            }
            Self::Key(tag) => write!(
                f,
                "expected a key with a letter or digit that a column's name can have, found `{}` of {}",
                tag.key, tag.field
            ),
            Self::Two(one, other) => {
                write!(f, "expected one key of {}, found `{}` and `{}`", one.field, one.key, other.key)
            }
            Self::Column(one, other) => write!(f, "{one} and {other} are the same column"),
            Self::Taken(tag, field) => write!(f, "{tag} would be the column of the field `{field}`"),
        }
    }
}

impl std::error::Error for TagKeyError {}

impl TagKey {
    /// Reads `field=key`; the field as AWS writes it or as a column.
    pub fn parse(text: &str) -> Option<Self> {
        let (field, key) = text.split_once('=')?;
        let (field, key) = (normalised(field.trim()), key.trim().to_owned());
        (!field.is_empty() && !key.is_empty()).then_some(Self { field, key })
    }

    /// The name of the field that holds its values: `instance-tag-team`, also for the second tag.
    fn name(&self) -> Option<String> {
        let dashed: String = self
            .key
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
        let resource = self.field.strip_suffix("-2").unwrap_or(&self.field);
        (!words.is_empty()).then(|| format!("{resource}-{}", words.join("-")))
    }
}

/// An entry as a field list has it.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    since: u32,
    logs: Vec<&'static str>,
    kind: &'static str,
    parquet: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_of: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    decode: bool,
    doc: String,
}

/// The entries that make tag fields columns of their own, called by the keys of their tags, in the form of `schemas/fields.toml`; with
/// `decode`, values of all tag fields are percent-decoded. Empty where there is nothing to say.
///
/// # Errors
/// [`TagKeyError`].
pub fn tag_entries(keys: &[TagKey], decode: bool, catalogue: &Catalogue) -> Result<String, TagKeyError> {
    let mut named: Vec<(&TagKey, String)> = Vec::new();
    for tag in keys {
        if !TAG_FIELDS.contains(&tag.field.as_str()) {
            return Err(TagKeyError::Field(tag.field.clone()));
        }
        let name = tag.name().ok_or_else(|| TagKeyError::Key(tag.clone()))?;
        if let Some((other, _)) = named.iter().find(|(other, _)| other.field == tag.field) {
            if other.key == tag.key {
                continue;
            }
            return Err(TagKeyError::Two((*other).clone(), tag.clone()));
        }
        if let Some((other, _)) = named.iter().find(|(_, n)| *n == name) {
            return Err(TagKeyError::Column((*other).clone(), tag.clone()));
        }
        if catalogue.field(&name).is_some_and(|spec| spec.tag_of.is_none()) {
            return Err(TagKeyError::Taken(tag.clone(), name));
        }
        named.push((tag, name));
    }
    let mut text = String::new();
    for field in TAG_FIELDS {
        let Some(spec) = catalogue.field(field) else { continue };
        let named = named.iter().find(|(tag, _)| tag.field == field);
        let (name, tag_of) = match named {
            Some((_, name)) => (name.as_str(), Some(field)),
            None if decode => (field, None),
            None => continue,
        };
        let what = named.map_or_else(|| doc_of(spec).to_owned(), |(tag, _)| doc_of_key(tag));
        let how = if decode { "percent-decoded" } else { "percent-encoded by AWS and kept so" };
        let entry = Entry {
            name,
            since: spec.since,
            logs: spec.logs.iter().map(|log| LogKind::name(*log)).collect(),
            kind: spec.kind.name(),
            parquet: spec.parquet.name(),
            tag_of,
            decode,
            doc: format!("{what}, {how}."),
        };
        let entry = toml::to_string(&entry).expect("texts, numbers and lists are TOML");
        text.push_str("[[field]]\n");
        text.push_str(&entry);
    }
    Ok(text)
}

/// What its sentence says before how values are written.
fn doc_of(spec: &FieldSpec) -> &str {
    spec.doc.split(',').next().unwrap_or_default().trim_end_matches('.')
}

fn doc_of_key(tag: &TagKey) -> String {
    let resource = match tag.field.trim_end_matches("-2") {
        "interface-tag" => "network interface",
        "asg-tag" => "Auto Scaling group",
        _ => "instance",
    };
    // Keys may hold anything that a person wrote, and the sentence stands in comments of statements: what AWS's keys may have is kept.
    let is_plain = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
    let key: String = tag.key.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    format!("Value of the tag {key} of the {resource}")
}

/// A value without its percent-encoding: `a b` for `a%20b`. A `%` that begins none stays, and so does a value that would not be UTF-8.
pub fn percent_decoded(value: &str) -> Cow<'_, str> {
    percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogFormat;

    fn keys(texts: &[&str]) -> Vec<TagKey> {
        texts.iter().map(|text| TagKey::parse(text).expect("field=key")).collect()
    }

    #[track_caller]
    fn check(texts: &[&str], header: &str, expected: &str) {
        let entries = tag_entries(&keys(texts), false, Catalogue::builtin()).expect("valid");
        let catalogue = Catalogue::builtin().extended(&entries).expect("entries of a field list");
        let format = crate::header_format(header.as_bytes(), &catalogue).expect("a header");
        let columns: Vec<&str> = format.fields().iter().map(crate::Field::column).collect();
        assert_eq!(columns.join(" "), expected);
        // What is recorded is read by the same list, and is what it was.
        assert_eq!(LogFormat::parse(&format.to_string(), &catalogue), Ok(format.clone()));
        let given = LogFormat::given(header, &catalogue).expect("a format");
        assert_eq!(given.tagged(&catalogue), format);
    }

    #[test]
    fn tags_are_columns_that_are_called_by_their_keys() {
        let header = "version srcaddr instance-tag instance-tag-2 interface-tag";
        check(&[], header, "version srcaddr instance_tag instance_tag_2 interface_tag");
        let names = [
            "instance-tag=Team",
            "instance_tag_2=cost: Center/4",
            "interface-tag=aws:cloudformation:stack-name",
        ];
        let columns = "version srcaddr instance_tag_team instance_tag_cost_center_4 interface_tag_aws_cloudformation_stack_name";
        check(&names, header, columns);
        check(
            &["asg-tag=Team", "asg-tag=Team"],
            header,
            "version srcaddr instance_tag instance_tag_2 interface_tag",
        );
        // A field that has such a name already stays what it is.
        check(
            &["instance-tag=Team"],
            "version instance-tag instance-tag-team",
            "version instance_tag instance_tag_team",
        );
    }

    #[test]
    fn a_text_that_was_recorded_without_keys_keeps_its_fields() {
        let entries = tag_entries(&keys(&["instance-tag=Team"]), true, Catalogue::builtin()).expect("valid");
        let catalogue = Catalogue::builtin().extended(&entries).expect("entries of a field list");
        let format = LogFormat::parse("${version} ${instance-tag}", &catalogue).expect("valid");
        assert_eq!(format.fields()[1].column(), "instance_tag");
        let spec = |name| catalogue.field(name).expect("known");
        assert_eq!(spec("instance-tag-team").doc, "Value of the tag Team of the instance, percent-decoded.");
        let odd = tag_entries(&keys(&["asg-tag=a';\n\"b"]), false, Catalogue::builtin()).expect("valid");
        let odd = Catalogue::builtin().extended(&odd).expect("entries of a field list");
        let doc = &odd.field("asg-tag-a-b").expect("known").doc;
        assert_eq!(
            doc,
            "Value of the tag a    b of the Auto Scaling group, percent-encoded by AWS and kept so."
        );
        assert!(spec("instance-tag-team").decode && spec("asg-tag-2").decode && !spec("instance-tag").decode);
        assert_eq!(
            spec("asg-tag-2").doc,
            "Value of the second Auto Scaling group tag that the flow log was told to record, percent-decoded."
        );
    }

    #[test]
    fn keys_that_cannot_be_columns() {
        let error = |texts: &[&str]| {
            tag_entries(&keys(texts), false, Catalogue::builtin()).expect_err("no columns").to_string()
        };
        assert_eq!(
            error(&["srcaddr=Team"]),
            "expected a field that holds a tag (instance-tag, instance-tag-2, interface-tag, interface-tag-2, asg-tag, asg-tag-2), found `srcaddr`"
        );
        assert_eq!(
            error(&["asg-tag=部門"]),
            "expected a key with a letter or digit that a column's name can have, found `部門` of asg-tag"
        );
        assert_eq!(error(&["asg-tag=a", "asg-tag=b"]), "expected one key of asg-tag, found `a` and `b`");
        assert_eq!(error(&["asg-tag=a", "asg-tag-2=A"]), "asg-tag=a and asg-tag-2=A are the same column");
        assert_eq!(error(&["asg-tag=2"]), "asg-tag=2 would be the column of the field `asg-tag-2`");
        for text in ["", "asg-tag", "=a", "asg-tag="] {
            assert_eq!(TagKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_are_decoded_where_they_are_encoded() {
        for (value, expected) in [
            ("plain", "plain"),
            ("a%20b%2Fc", "a b/c"),
            ("%e6%BC%a2", "漢"),
            ("%2525", "%25"),
            ("a+b", "a+b"),
            ("50%", "50%"),
            ("%4", "%4"),
            ("%zz%20", "%zz "),
            ("%ff", "%ff"),
        ] {
            assert_eq!(percent_decoded(value), expected);
        }
    }
}
