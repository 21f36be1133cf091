//! Names of fields as tables and documents spell them.

use flowquet_format::{Catalogue, FieldKind, NAME_BYTES_MAX, field_of_column, fields_of_columns};

/// Names of values that hold a whole line.
const MESSAGES: [&str; 3] = ["message", "@message", "Message"];

/// Names under which programs that ship logs put a whole line, among others that mean something else.
const MAY_BE_MESSAGES: [&str; 9] = ["_raw", "body", "event", "line", "log", "msg", "original", "raw", "text"];

/// Names of arrays of events. An empty one is no data.
const EVENTS: [&str; 4] = ["Events", "events", "logEvents", "results"];

/// This many known fields in one object or row are no accident.
const SURE_FIELDS: usize = 4;

/// Whether a value of this name holds a whole line.
pub(super) fn is_message(name: &str) -> bool {
    MESSAGES.contains(&name)
}

/// Whether a value of this name may hold a whole line, if it is shaped like a record.
pub(super) fn may_be_message(name: &str) -> bool {
    MAY_BE_MESSAGES.contains(&name)
}

/// Whether an array of this name holds events.
pub(super) fn is_events(name: &str) -> bool {
    EVENTS.contains(&name)
}

/// Most names that are looked at: far more than a log format has fields.
const NAMES_MAX: usize = 1_024;

/// Fields that names are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// Of each name: the field, or `None` where its value is left out, such as `@timestamp`. Each field once.
    pub(super) fields: Vec<Option<String>>,
    /// How many are in the catalogue.
    pub(super) known: usize,
    /// Whether no other table or document has such names: four known fields that are more than the others, or an address and a time
    /// that are not fewer.
    pub(super) is_sure: bool,
    /// Whether there are an address and a time.
    pub(super) is_flow: bool,
    /// Whether there is nothing but at least three fields; of Logs Insights two are enough. Rows of a table are sure then, and
    /// descriptions of something may be so too.
    pub(super) is_all: bool,
}

/// The fields that values of these names are. A name that is shaped like a field may be a new one.
pub(super) fn fields_of(names: &[&str], catalogue: &Catalogue) -> Fields {
    if names.len() > NAMES_MAX {
        return Fields { fields: vec![None; names.len()], ..Fields::default() };
    }
    let is_shaped = |name: &str| {
        name.len() <= NAME_BYTES_MAX
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
    };
    // Names that begin with `@` are Logs Insights' own, and say nothing; neither does an index without a name.
    let is_told = |name: &str| !name.is_empty() && !name.starts_with('@');
    let field_of = |name: &str| field_of_column(name, catalogue).filter(|_| is_told(name));
    let known: Vec<String> = names.iter().filter_map(|name| field_of(name)).collect();
    let is_kept = |name: &str| is_shaped(name) || field_of(name).is_some();
    let kept: Vec<&str> = names.iter().copied().filter(|name| is_kept(name)).collect();
    let has = |kind| known.iter().any(|name| catalogue.field(name).is_some_and(|spec| spec.kind == kind));
    let others = names.iter().filter(|name| is_told(name)).count() - known.len();
    let is_many = known.len() >= SURE_FIELDS && known.len() > others;
    let is_flow = has(FieldKind::Address) && has(FieldKind::Time) && known.len() >= others;
    let least = if names.iter().any(|name| name.starts_with('@')) { 2 } else { 3 };
    let is_all = others == 0 && known.len() >= least;
    let mut fields = fields_of_columns(&kept, catalogue).into_iter();
    Fields {
        is_sure: is_many || is_flow,
        is_flow,
        is_all,
        fields: names.iter().map(|name| is_kept(name).then(|| fields.next().flatten()).flatten()).collect(),
        known: known.len(),
    }
}

/// Whether a text is shaped like a record: at least three values between blanks, one of which is an address or tells that there is no data, or
/// half of which stand for no value.
pub(super) fn is_like_record(text: &str) -> bool {
    let is_telling =
        |word: &str| matches!(word, "NODATA" | "SKIPDATA") || word.parse::<std::net::IpAddr>().is_ok();
    let words = || text.split_ascii_whitespace();
    let (count, missing) = (words().count(), words().filter(|word| *word == "-").count());
    count >= 3 && (words().any(is_telling) || missing >= 2 && 2 * missing >= count)
}

/// The place of the only name under which a table may hold whole lines, whatever its case and whatever it is part of, such as `_source.message`.
pub(super) fn message_column(names: &[&str]) -> Option<usize> {
    let is_like_message = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        may_be_message(&last) || is_message(&last)
    };
    let mut found = names.iter().enumerate().filter(|(_, name)| is_like_message(name)).map(|(at, _)| at);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_any_spelling() {
        let fields = |names: &[&str]| {
            let found = fields_of(names, Catalogue::builtin());
            let fields: Vec<&str> = found.fields.iter().map(|f| f.as_deref().unwrap_or("/")).collect();
            (fields.join(" "), found.is_sure || found.is_all)
        };
        let found = fields(&["srcaddr", "log_status", "endTime", "@timestamp", "new_field", "Other Name"]);
        assert_eq!(found, ("srcaddr log-status end / new-field /".to_owned(), true));
        assert_eq!(fields(&["start", "startTime"]).0, "start starttime", "each field once");
        for (names, is_sure) in [
            ("a b srcaddr", false),
            ("", false),
            ("name version", false),
            ("region vpc_id cidr", false),
            ("start end", false),
            ("@start @end", false),
            ("@type srcAddr dstAddr", true),
            ("srcaddr start", true),
            ("srcaddr start x y", true),
            ("srcaddr start x y z", false),
            ("srcAddr dstAddr bytes", true),
            ("protocol srcport dstport action rule", true),
            (
                "version account_id region vpc_id query_timestamp query_name query_type query_class rcode srcaddr srcport transport",
                false,
            ),
        ] {
            let names: Vec<&str> = names.split_whitespace().collect();
            assert_eq!(fields(&names).1, is_sure, "{names:?}");
        }
        // However many there are, and however long.
        let long = "a".repeat(1 << 20);
        assert_eq!(fields(&["srcaddr", "start", &long]), ("srcaddr start /".to_owned(), true));
        assert!(!fields(&vec!["srcaddr"; NAMES_MAX + 1]).1);
    }

    #[test]
    fn columns_of_lines() {
        for (names, expected) in [
            ("_time _raw", Some(1)),
            ("Time Line", Some(1)),
            ("_source.message @timestamp", Some(0)),
            ("log msg", None),
            ("start end", None),
        ] {
            let names: Vec<&str> = names.split(' ').collect();
            assert_eq!(message_column(&names), expected, "{names:?}");
        }
    }

    #[test]
    fn texts_like_records() {
        assert!(is_like_record("2 111122223333 eni-1 10.0.0.5 10.0.0.6 443"));
        assert!(is_like_record("2 - eni-1 - - NODATA"));
        // As programs that ship logs end it, and formats without a word for it.
        assert!(is_like_record("2 111122223333 eni-1 - - NODATA\n"));
        assert!(is_like_record("- eni-1 - - - -\r\n"));
        assert!(is_like_record("- - -"));
        assert!(!is_like_record("GET - -1 done"));
        assert!(!is_like_record("- first point"));
        assert!(!is_like_record("10.0.0.5 GET"));
        assert!(!is_like_record("START RequestId: 1 Version: $LATEST"));
    }
}
