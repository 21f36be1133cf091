//! Whether a value is of the kind that its field's values are: what tells log formats of as many fields apart.

use std::net::IpAddr;

use crate::catalogue::{ColumnType, FieldKind};
use crate::log_format::{Field, LogFormat};

/// Whether `value` may be one of `field`. `-` and an empty text may be of any; so may any value of a field that the catalogue
/// does not know, or whose values have no form of their own.
///
/// Forms are those of AWS's documentation of flow log records: prefixes of resource ids, the words of `action` and `log-status`,
/// Unix seconds (or milliseconds, which have been seen).
pub fn may_be(field: &Field, value: &[u8]) -> bool {
    if value == b"-" || value.is_empty() {
        return true;
    }
    let is_one_of = |words: &[&str]| words.iter().any(|w| w.as_bytes() == value);
    match field.name() {
        "account-id" | "tgw-src-vpc-account-id" | "tgw-dst-vpc-account-id" => {
            is_number(value) || value == b"unknown"
        }
        "action" => is_one_of(&["ACCEPT", "REJECT"]),
        "flow-direction" => is_one_of(&["ingress", "egress"]),
        "instance-id" => value.starts_with(b"i-"),
        "interface-id" | "tgw-src-eni" | "tgw-dst-eni" | "next-hop-interface-id" => {
            value.starts_with(b"eni-")
        }
        "log-status" => is_one_of(&["OK", "NODATA", "SKIPDATA"]),
        "subnet-id" | "tgw-src-subnet-id" | "tgw-dst-subnet-id" | "next-hop-subnet-id" => {
            value.starts_with(b"subnet-")
        }
        "tgw-attachment-id" | "tgw-pair-attachment-id" => value.starts_with(b"tgw-attach-"),
        "tgw-id" => value.starts_with(b"tgw-") && !value.starts_with(b"tgw-attach-"),
        "type" => is_one_of(&["IPv4", "IPv6", "EFA"]),
        "vpc-id" | "tgw-src-vpc-id" | "tgw-dst-vpc-id" | "next-hop-vpc-id" => value.starts_with(b"vpc-"),
        _ => may_be_of_kind(field, value),
    }
}

fn may_be_of_kind(field: &Field, value: &[u8]) -> bool {
    match field.spec().map(|s| s.kind) {
        Some(FieldKind::Address) => std::str::from_utf8(value).is_ok_and(|v| v.parse::<IpAddr>().is_ok()),
        Some(FieldKind::Port) => is_number_up_to(value, u64::from(u16::MAX)),
        Some(FieldKind::Time) => is_number(value) && matches!(value.len(), 9..=10 | 13),
        _ if field.name() == "protocol" => is_number_up_to(value, u64::from(u8::MAX)),
        Some(FieldKind::Id) if field.name().ends_with("-arn") => value.starts_with(b"arn:"),
        Some(FieldKind::Id) if field.name().ends_with("az-id") => value.windows(3).any(|w| w == b"-az"),
        _ if field.column_type() != ColumnType::String => is_number(value),
        _ => true,
    }
}

fn is_number(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_digit)
}

fn is_number_up_to(value: &[u8], max: u64) -> bool {
    is_number(value) && std::str::from_utf8(value).is_ok_and(|v| v.parse::<u64>().is_ok_and(|n| n <= max))
}

impl LogFormat {
    /// Whether `words`, the values of a line, may be a record of this format: as many as it has fields, each of its field's kind.
    pub fn may_have(&self, words: &[&[u8]]) -> bool {
        self.misfit(words).is_none() && self.fields().len() == words.len()
    }

    /// The first field whose value in `words` cannot be one of its kind.
    pub fn misfit(&self, words: &[&[u8]]) -> Option<&Field> {
        self.fields().iter().zip(words).find(|(field, value)| !may_be(field, value)).map(|(field, _)| field)
    }

    /// The name of the first field of which `words`, a line that fits both formats, has one value here and another, or none, in
    /// `other`; `None` where a reader learns the same from both. A value that is not there (`-`) says nothing.
    pub fn reads_otherwise<'a>(&'a self, other: &'a Self, words: &[&[u8]]) -> Option<&'a str> {
        let unlike = |of: &'a Self, there: &'a Self| {
            let fields =
                of.fields().iter().zip(words).filter(|(_, value)| **value != b"-" && !value.is_empty());
            let is_unlike =
                |(field, value): &(&'a Field, &&[u8])| there.value_of(field.name(), words) != Some(**value);
            fields.into_iter().find(is_unlike).map(|(field, _)| field.name())
        };
        unlike(self, other).or_else(|| unlike(other, self))
    }

    /// The value of the field called `name` in `words`.
    pub fn value_of<'w>(&self, name: &str, words: &[&'w [u8]]) -> Option<&'w [u8]> {
        words.get(self.position(name)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    fn words(line: &str) -> Vec<&[u8]> {
        line.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn values_of_fields() {
        let fits = |name: &str, value: &str| {
            let format = LogFormat::parse(&format!("${{{name}}}"), Catalogue::builtin()).expect("valid");
            assert!(format.may_have(&[b"-"]), "{name}: not there");
            format.may_have(&[value.as_bytes()])
        };
        for (name, right, wrong) in [
            ("srcaddr", "10.0.0.1", "eni-1"),
            ("pkt-dstaddr", "2001:db8::1", "10.0.0"),
            ("account-id", "123456789012", "eni-1"),
            ("account-id", "unknown", "none"),
            ("interface-id", "eni-0a", "i-0a"),
            ("tgw-id", "tgw-0a", "tgw-attach-0a"),
            ("tgw-attachment-id", "tgw-attach-0a", "tgw-0a"),
            ("srcport", "65535", "65536"),
            ("protocol", "6", "256"),
            ("bytes", "18446744073709551615", "1.5"),
            ("start", "1704067200", "443"),
            ("end", "1704067200123", "17040672001234"),
            ("action", "REJECT", "OK"),
            ("log-status", "SKIPDATA", "ACCEPT"),
            ("az-id", "use1-az2", "us-east-1"),
            ("ecs-task-arn", "arn:aws:ecs:x", "ecs"),
            ("next-hop-vpc-id", "vpc-1", "subnet-1"),
        ] {
            assert!(fits(name, right), "{name} {right}");
            assert!(!fits(name, wrong), "{name} {wrong}");
        }
        assert!(fits("a-new-field", "anything"));
        assert!(fits("instance-tag", "a%20name"));
    }

    #[test]
    fn as_many_as_there_are_fields() {
        let format = LogFormat::parse("srcaddr bytes", Catalogue::builtin()).expect("valid");
        assert!(format.may_have(&words("10.0.0.1 5")));
        assert!(!format.may_have(&words("10.0.0.1")));
        assert!(!format.may_have(&words("10.0.0.1 5 6")));
        assert_eq!(format.misfit(&words("10.0.0.1 x")).map(Field::name), Some("bytes"));
    }

    #[test]
    fn the_same_line_in_two_formats() {
        let format = |text: &str| LogFormat::parse(text, Catalogue::builtin()).expect("valid");
        let (there, back) = (format("srcaddr dstaddr bytes"), format("dstaddr srcaddr bytes"));
        assert_eq!(there.reads_otherwise(&back, &words("10.0.0.1 10.0.0.2 5")), Some("srcaddr"));
        assert_eq!(there.reads_otherwise(&back, &words("10.0.0.1 10.0.0.1 5")), None);
        assert_eq!(there.reads_otherwise(&back, &words("- - 5")), None);
        let other = format("srcaddr dstaddr packets");
        assert_eq!(there.reads_otherwise(&other, &words("- - 5")), Some("bytes"));
        assert_eq!(there.reads_otherwise(&other, &words("- 10.0.0.1 -")), None);
    }
}
