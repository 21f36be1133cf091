//! Names of fields as tables and documents spell them.

use flowquet_format::{
    Catalogue, FieldKind, NAME_BYTES_MAX, field_of_column, fields_of_columns, fields_of_names,
};

/// Names of arrays of events. An empty one is no data.
const EVENTS: [&str; 4] = ["Events", "events", "logEvents", "results"];

/// This many known fields in one object or row are no accident.
const SURE_FIELDS: usize = 4;

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

/// The fields that values of these names are. A name that is shaped like a field may be a new one; others of documents are what their program says
/// of itself.
pub(super) fn fields_of(names: &[&str], catalogue: &Catalogue) -> Fields {
    fields_by(names, catalogue, &|_| false)
}

/// The fields that columns of a table are: whatever a column is called, somebody wanted it, but for the event's time.
pub(super) fn fields_of_table(names: &[&str], catalogue: &Catalogue) -> Fields {
    fields_by(names, catalogue, &|name| name.len() <= NAME_BYTES_MAX && !is_event_time(name))
}

/// Names of columns that tell when an event was logged.
const TIMES: [&str; 2] = ["timestamp", "@timestamp"];

/// Whether a column of this name tells when an event was logged.
pub(super) fn is_event_time(name: &str) -> bool {
    TIMES.iter().any(|time| time.eq_ignore_ascii_case(name))
}

/// The fields of names, and of those that are unknown and not shaped like a field, the ones that are `others`.
fn fields_by(names: &[&str], catalogue: &Catalogue, others: &dyn Fn(&str) -> bool) -> Fields {
    if names.len() > NAMES_MAX {
        return Fields { fields: vec![None; names.len()], ..Fields::default() };
    }
    let names = &without_prefix(names)[..];
    let by_pattern = by_pattern(names, catalogue);
    let by_pattern: Option<Vec<&str>> =
        by_pattern.as_ref().map(|names| names.iter().map(String::as_str).collect());
    let names = by_pattern.as_deref().unwrap_or(names);
    let is_shaped = |name: &str| {
        name.len() <= NAME_BYTES_MAX
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
    };
    // Names that begin with `@` are Logs Insights' own, and say nothing; neither does an index without a name.
    let is_told = |name: &str| !name.is_empty() && !name.starts_with('@');
    let field_of = |name: &str| field_of_column(name, catalogue).filter(|_| is_told(name));
    let known: Vec<String> = names.iter().filter_map(|name| field_of(name)).collect();
    let is_kept = |name: &str| is_shaped(name) || field_of(name).is_some() || is_told(name) && others(name);
    let kept: Vec<&str> = names.iter().copied().filter(|name| is_kept(name)).collect();
    let has = |kind| known.iter().any(|name| catalogue.field(name).is_some_and(|spec| spec.kind == kind));
    let unknown = names.iter().filter(|name| is_told(name)).count() - known.len();
    let is_many = known.len() >= SURE_FIELDS && known.len() > unknown;
    let is_flow = has(FieldKind::Address) && has(FieldKind::Time) && known.len() >= unknown;
    let least = if names.iter().any(|name| name.starts_with('@')) { 2 } else { 3 };
    let is_all = unknown == 0 && known.len() >= least;
    let mut fields = fields_of_columns(&kept, catalogue).into_iter();
    Fields {
        is_sure: is_many || is_flow,
        is_flow,
        is_all,
        fields: names.iter().map(|name| is_kept(name).then(|| fields.next().flatten()).flatten()).collect(),
        known: known.len(),
    }
}

/// Names of filter patterns, common words, mean fields only in a table of so many fields and nothing else.
const PATTERN_NAMES_MIN: usize = 6;

/// The fields of names as AWS's filter pattern of flow logs has them: `version,account,eni,source,…`.
fn by_pattern(names: &[&str], catalogue: &Catalogue) -> Option<Vec<String>> {
    if names.len() < PATTERN_NAMES_MIN || names.iter().all(|name| field_of_column(name, catalogue).is_some())
    {
        return None;
    }
    let fields = fields_of_names(names, catalogue);
    fields.iter().all(|name| catalogue.field(name).is_some()).then_some(fields)
}

/// Names without the table's that Hive and others put before each, with a point between: `flow.srcaddr`.
fn without_prefix<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let prefix = names.first().and_then(|name| name.rfind('.').map(|at| &name[..=at]));
    let stripped =
        || Some(names.iter().map(|name| name.strip_prefix(prefix?)).collect::<Option<Vec<_>>>()).flatten();
    stripped().filter(|names| names.len() > 1).unwrap_or_else(|| names.to_vec())
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

/// Words of a text that is a record whatever it is called.
const RECORD_WORDS_MIN: usize = 5;

/// Whether a text is surely a record, whatever it is called: shaped like one, and more than half of its words are numbers, addresses or stand
/// for no value. No sentence is.
pub(super) fn is_surely_record(text: &str) -> bool {
    let is_value = |word: &&str| {
        *word == "-" || word.bytes().all(|b| b.is_ascii_digit()) || word.parse::<std::net::IpAddr>().is_ok()
    };
    let words = || text.split_ascii_whitespace();
    let count = words().count();
    count >= RECORD_WORDS_MIN && is_like_record(text) && 2 * words().filter(is_value).count() > count
}

/// The place of the only one of these values that is surely a record; of the first, if others are the same.
pub(super) fn only_record<S: AsRef<[u8]>>(values: &[S]) -> Option<usize> {
    let is_record = |value: &S| std::str::from_utf8(value.as_ref()).is_ok_and(is_surely_record);
    let mut found = values.iter().enumerate().filter(|(_, value)| is_record(value));
    let (at, first) = found.next()?;
    found.all(|(_, other)| other.as_ref() == first.as_ref()).then_some(at)
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
        assert_eq!(
            fields(&["flow.version", "flow.srcaddr", "flow.log_status"]).0,
            "version srcaddr log-status"
        );
        let pattern = "version account eni source srcport protocol packets bytes action flowlogstatus";
        let expected =
            "version account-id interface-id srcaddr srcport protocol packets bytes action log-status";
        assert_eq!(fields(&pattern.split(' ').collect::<Vec<_>>()), (expected.to_owned(), true));
        assert_eq!(fields(&["bytes", "packets", "source"]).0, "bytes packets source");
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

    #[test]
    fn records_whatever_they_are_called() {
        let record =
            "2 111122223333 eni-1 10.0.0.5 192.0.2.9 44321 443 6 10 840 1704067200 1704067260 ACCEPT OK";
        assert!(is_surely_record(record));
        assert!(is_surely_record("2 unknown eni-1 - - - - - - - 1704067200 1704067260 - NODATA"));
        for text in ["dropped 10.0.0.5 to 10.0.0.6 on port 443", "- - -", "2 - eni-1 NODATA", ""] {
            assert!(!is_surely_record(text), "{text}");
        }
        assert_eq!(only_record(&["x", record, "1"]), Some(1));
        assert_eq!(only_record(&["x", record, record]), Some(1));
        assert_eq!(only_record(&[record, &record.replace("10.0", "10.1")]), None);
    }
}
