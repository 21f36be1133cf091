//! Names of fields as tables and documents spell them.

use flowquet_format::Catalogue;

/// Names of values that hold a whole line, or that tell where it came from and are no field.
const MESSAGES: [&str; 3] = ["message", "@message", "Message"];

/// Fields whose names others make longer: CloudWatch Logs Insights, Athena's first table.
const OTHERS: [(&str, &str); 14] = [
    ("starttime", "start"),
    ("endtime", "end"),
    ("sourceaddress", "srcaddr"),
    ("destinationaddress", "dstaddr"),
    ("srcaddress", "srcaddr"),
    ("dstaddress", "dstaddr"),
    ("sourceport", "srcport"),
    ("destinationport", "dstport"),
    ("numpackets", "packets"),
    ("numbytes", "bytes"),
    ("account", "account-id"),
    ("interface", "interface-id"),
    ("pktsrcaddress", "pkt-srcaddr"),
    ("pktdstaddress", "pkt-dstaddr"),
];

/// Whether a value of this name holds a whole line.
pub(super) fn is_message(name: &str) -> bool {
    MESSAGES.contains(&name)
}

/// The field that a name is, in whatever case and with whatever between its words: `srcAddr`, `log_status`, `Log-Status`.
pub(super) fn field_of(name: &str, catalogue: &Catalogue) -> Option<String> {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
    };
    let dashed = name.replace('_', "-").to_ascii_lowercase();
    if catalogue.field(&dashed).is_some() {
        return Some(dashed);
    }
    let wanted = plain(name);
    let known = catalogue.fields().iter().find(|field| plain(&field.name) == wanted);
    let known = known.map(|field| field.name.clone());
    known.or_else(|| OTHERS.iter().find(|(other, _)| *other == wanted).map(|(_, field)| (*field).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_any_spelling() {
        for (name, field) in [
            ("srcaddr", Some("srcaddr")),
            ("log_status", Some("log-status")),
            ("LogStatus", Some("log-status")),
            ("srcAddr", Some("srcaddr")),
            ("endTime", Some("end")),
            ("@timestamp", None),
            ("message", None),
        ] {
            assert_eq!(field_of(name, Catalogue::builtin()).as_deref(), field, "{name}");
        }
    }
}
