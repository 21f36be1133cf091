//! Header lines: a line of an object that names the fields of those behind it.
//!
//! | line | is |
//! |---|---|
//! | `version account-id new-field` | a header: at least half of its names are known |
//! | `"version" "logStatus"`, `# version srcaddr`, `#Fields: version srcaddr`, `${version} ${srcaddr}` | the same |
//! | `action type` | a header at the front of an object only if one of the next lines bears it out: notes and scripts have such words |
//! | `[version, srcaddr]`, `<version> <srcaddr>`, `version\|srcaddr`, `# format: version srcaddr`, `${!version}` | between records a header |
//! | `version destination source begin finish` | between records of five fields a header that is not understood |
//! | `2 10.0.0.1 - 443` | none: a name begins with a letter |

use crate::catalogue::{Catalogue, ColumnType, FieldKind, is_field_name, letters, normalised};
use crate::foreign::field_of_column;
use crate::log_format::{FIELDS_MAX, LogFormat};

/// Fields whose names are words of any text.
const PLAIN_WORDS: [&str; 10] =
    ["account", "action", "bytes", "end", "packets", "protocol", "region", "start", "type", "version"];

/// Words that sentences have and lists of fields have not.
const SENTENCE_WORDS: [&str; 16] = [
    "a", "an", "and", "are", "for", "has", "is", "it", "its", "not", "of", "or", "the", "this", "was", "with",
];

/// Marks of the byte order, which stand before each file that some editors wrote.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Lines behind a header of words of any text that are asked whether it is one; the first may be damaged.
pub const TELLING_LINES: usize = 8;

/// Longest name of a field in a header line: that of a column that the Glue Data Catalog has
/// (docs.aws.amazon.com/glue/latest/webapi/API_Column.html). Known names are far shorter; what is longer costs no look-up.
pub const NAME_BYTES_MAX: usize = 255;

/// Most words of a header line, or of several that were joined.
const WORDS_MAX: usize = 4 * FIELDS_MAX;

/// A header line that is understood: at least half of its names are known fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// The log format of the lines behind it.
    pub format: LogFormat,
    /// How many header lines stand in this one: files of nothing but a header are joined without a newline between.
    pub count: u64,
    known: usize,
    /// Names that no other text has, such as `srcaddr`.
    telling: usize,
    is_marked: bool,
}

impl HeaderLine {
    /// Reads a line whose names stand between blanks.
    ///
    /// No record can pass: it would have to hold only words, half of them spelt like fields. The line may end in blanks or a
    /// carriage return, its names may be quoted or written as `${name}`, and it may be commented out.
    pub fn read(line: &[u8], catalogue: &Catalogue) -> Option<Self> {
        Names::read(line, &[' '], catalogue)?.header(catalogue)
    }

    /// How many of its names are known.
    pub fn known(&self) -> usize {
        self.known
    }

    /// Whether the names alone tell that this is a header, whatever follows: two known ones, of which one is no word of other texts.
    pub fn is_sure(&self) -> bool {
        self.known >= 2 && (self.telling > 0 || self.is_marked)
    }

    /// Whether these may be words of any text, and are not as many as a record of one of `formats` has values.
    pub fn is_doubtful(&self, formats: &[&LogFormat]) -> bool {
        let is_as_long = |format: &&LogFormat| format.fields().len() == self.format.fields().len();
        !self.is_sure() && !formats.iter().any(is_as_long)
    }

    /// Whether `next`, a line behind it, tells that this is a header: it fits in number and kinds of its values, one of which is a
    /// number or an address.
    pub fn is_borne_out(&self, next: &[u8]) -> bool {
        let words: Vec<&[u8]> = next.trim_ascii().split(|b| *b == b' ').filter(|w| !w.is_empty()).collect();
        let tells = |(field, value): (&crate::Field, &&[u8])| {
            let has_form = field.column_type() != ColumnType::String
                || field.spec().is_some_and(|s| s.kind == FieldKind::Address);
            has_form && *value != b"-"
        };
        (self.known >= 2 || self.telling == self.known)
            && self.format.may_have(&words)
            && self.format.fields().iter().zip(&words).any(tells)
    }
}

/// What a line among records is, if it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Between {
    /// The header of the lines behind it.
    Header(HeaderLine),
    /// A header that is not understood, which says only that the lines behind it are not read as those before it.
    Strange,
}

/// The log format that `line` declares, if its names alone tell that it is a header: [`HeaderLine::is_sure`].
pub fn header_format(line: &[u8], catalogue: &Catalogue) -> Option<LogFormat> {
    HeaderLine::read(line, catalogue).filter(HeaderLine::is_sure).map(|header| header.format)
}

/// The header that `text` begins with, behind blank lines: one that is sure, or that a line behind it bears out.
pub fn first_header(text: &[u8], catalogue: &Catalogue) -> Option<HeaderLine> {
    let mut lines = text.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty());
    let header = HeaderLine::read(lines.next()?, catalogue)?;
    let is_one = header.is_sure() || lines.take(TELLING_LINES).any(|next| header.is_borne_out(next));
    is_one.then_some(header)
}

/// Whether `line`, among records of one of `formats`, is a header, or one that is not understood.
///
/// One word alone is a header only if it is the object's own; it might be the value of a tag. Names may stand between commas or tabs:
/// then they say what the fields are, and lines that are separated so are rejects.
pub fn header_between<'f>(
    line: &[u8],
    formats: impl Iterator<Item = &'f LogFormat> + Clone,
    catalogue: &Catalogue,
) -> Option<Between> {
    // Most lines begin with a number: they cost no more than this.
    if !begins_with_name(line) {
        return None;
    }
    let is_list = |line: &[u8]| line.iter().any(|b| matches!(b, b',' | b'\t'));
    let list = || {
        let names = || Names::read(line, &[' ', ',', '\t'], catalogue);
        is_list(line).then(names).flatten().filter(|n| n.words.len() > 1)
    };
    let names =
        Names::read(line, &[' '], catalogue).or_else(list).or_else(|| Names::amid_marks(line, catalogue))?;
    if let Some(header) = names.header(catalogue) {
        let is_own = || formats.clone().any(|own| *own == header.format);
        let is_meant = header.is_sure() || !names.is_comment;
        return (is_meant && (names.words.len() > 1 || is_own())).then_some(Between::Header(header));
    }
    (names.is_marked || names.replace(formats) || names.are_mostly_new(catalogue)).then_some(Between::Strange)
}

/// The words of a line that are all shaped like fields.
struct Names<'a> {
    words: Vec<&'a str>,
    known: usize,
    telling: usize,
    /// Each is written as `${name}`, as in a log format.
    is_marked: bool,
    /// Behind a `#`.
    is_comment: bool,
}

impl<'a> Names<'a> {
    fn read(line: &'a [u8], separators: &[char], catalogue: &Catalogue) -> Option<Self> {
        if !begins_with_name(line) {
            return None;
        }
        let is_blank = |c: char| matches!(c, ' ' | '\r' | '\n' | '\t' | BYTE_ORDER_MARK);
        let text = std::str::from_utf8(line).ok()?.trim_matches(is_blank);
        let plain = text.trim_start_matches('#');
        let is_comment = plain.len() < text.len();
        let plain = if is_comment { without_label(plain.trim_start_matches(is_blank)) } else { plain };
        let mut is_marked = true;
        let mut words = Vec::new();
        for word in plain.split(separators).filter(|w| !w.is_empty()) {
            let (name, is_field) = bare(word);
            if name.len() > NAME_BYTES_MAX || words.len() == WORDS_MAX || !is_field_name(name) {
                return None;
            }
            is_marked &= is_field;
            words.push(name);
        }
        (!words.is_empty()).then(|| Self::of(words, catalogue, is_marked, is_comment))
    }

    fn of(words: Vec<&'a str>, catalogue: &Catalogue, is_marked: bool, is_comment: bool) -> Self {
        let known = |word: &&&str| field_of_column(word, catalogue).is_some();
        let is_telling = |word: &&&str| !PLAIN_WORDS.contains(&letters(word).as_str());
        let (count, telling) = words
            .iter()
            .filter(known)
            .fold((0, 0), |(count, telling), word| (count + 1, telling + usize::from(is_telling(&word))));
        Self { words, known: count, telling, is_marked, is_comment }
    }

    /// The names of a line in which other marks stand around or between them, and a label before: as programs and people write lists. Three
    /// are known, so that it is no line of another text.
    fn amid_marks(line: &'a [u8], catalogue: &Catalogue) -> Option<Self> {
        const KNOWN_MIN: usize = 3;
        let text = std::str::from_utf8(line).ok()?;
        let is_between = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | ';' | '|' | '\u{1}');
        let is_mark = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_');
        let mut words: Vec<&str> = Vec::new();
        for word in text.split(is_between).filter(|word| !word.trim_matches(is_mark).is_empty()) {
            let name = word.trim_matches(is_mark);
            if words.is_empty() && word.ends_with(':') {
                continue;
            }
            if name.len() > NAME_BYTES_MAX || words.len() == WORDS_MAX || !is_field_name(name) {
                return None;
            }
            words.push(name);
        }
        let is_comment = text.trim_start().starts_with('#');
        let names = Self::of(words, catalogue, false, is_comment);
        (names.known >= KNOWN_MIN && names.telling > 0 && !names.is_sentence()).then_some(names)
    }

    fn header(&self, catalogue: &Catalogue) -> Option<HeaderLine> {
        if self.known == 0 {
            return None;
        }
        let parts = self.parts(catalogue);
        let last = parts.last()?;
        if parts.len() == 1 && self.known * 2 < self.words.len() || self.is_comment && self.is_sentence() {
            return None;
        }
        Some(HeaderLine {
            format: LogFormat::of_columns(last, catalogue)?,
            count: parts.len() as u64,
            known: self.known,
            telling: self.telling,
            is_marked: self.is_marked,
        })
    }

    /// The names of each header that the line has: one, unless files of nothing but a header were joined without a newline.
    fn parts(&self, catalogue: &Catalogue) -> Vec<Vec<&'a str>> {
        let is_known = |name: &str| is_known_name(name.as_bytes(), catalogue);
        let mut parts: Vec<Vec<&str>> = vec![Vec::new()];
        for word in &self.words {
            let part = parts.last_mut().expect("there is a first one");
            let seam = || (1..word.len()).find(|at| is_known(&word[..*at]) && is_known(&word[*at..]));
            match if field_of_column(word, catalogue).is_none() { seam() } else { None } {
                Some(at) => {
                    part.push(&word[..at]);
                    parts.push(vec![&word[at..]]);
                }
                None => part.push(word),
            }
        }
        let are_headers = parts.iter().all(|part| {
            part.len() > 1
                && 2 * part.iter().filter(|w| field_of_column(w, catalogue).is_some()).count() >= part.len()
        });
        if parts.len() > 1 && are_headers { parts } else { vec![self.words.clone()] }
    }

    /// Whether these stand where a record would: as many as one of `formats` has fields, but of other kinds. One of them is known.
    fn replace<'f>(&self, formats: impl Iterator<Item = &'f LogFormat>) -> bool {
        let values: Vec<&[u8]> = self.words.iter().map(|w| w.as_bytes()).collect();
        let mut as_long = formats.filter(|f| f.fields().len() == values.len()).peekable();
        self.known > 0
            && values.len() > 1
            && as_long.peek().is_some()
            && as_long.all(|format| format.misfit(&values).is_some())
            && !self.is_sentence()
    }

    fn is_sentence(&self) -> bool {
        self.words.iter().any(|w| SENTENCE_WORDS.contains(&w.to_ascii_lowercase().as_str()))
    }

    /// Whether these are a header of any number of mostly new names: at least five, lower case, the first and another one known, at
    /// least a third of them. Words of a sentence, of which fields have some (`start`, `end`, `action`), are none.
    fn are_mostly_new(&self, catalogue: &Catalogue) -> bool {
        let is_plain = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_');
        self.words.len() >= 5
            && self.known >= 2
            && self.known * 3 >= self.words.len()
            && self.words.iter().all(is_plain)
            && field_of_column(self.words[0], catalogue).is_some()
    }
}

/// Whether a line begins as a header does: with a letter, or marks that stand before the first name; and not as a value, with a digit or for none.
fn begins_with_name(line: &[u8]) -> bool {
    let begin = line.iter().find(|b| !matches!(b, b' ' | b'\t'));
    begin.is_some_and(|b| !b.is_ascii_digit() && *b != b'-')
}

/// What stands behind the label of a W3C log: `#Fields: version srcaddr`.
fn without_label(text: &str) -> &str {
    const LABEL: &str = "fields:";
    match text.get(..LABEL.len()) {
        Some(label) if label.eq_ignore_ascii_case(LABEL) => &text[LABEL.len()..],
        _ => text,
    }
}

/// A name without quotes, a byte-order mark and `${…}`, and whether it had the last.
pub(crate) fn bare(word: &str) -> (&str, bool) {
    let word = word.trim_matches(['"', '\'', '`', BYTE_ORDER_MARK]);
    match word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => (name, true),
        None => (word, false),
    }
}

/// Whether `word`, as a header has it, names a known field. At once for one that is too long for a name.
pub fn is_known_name(word: &[u8], catalogue: &Catalogue) -> bool {
    if word.len() > NAME_BYTES_MAX {
        return false;
    }
    let word = std::str::from_utf8(word).map(|w| bare(w.trim_start_matches([BYTE_ORDER_MARK, '#'])).0);
    word.is_ok_and(|name| is_field_name(name) && catalogue.field(&normalised(name)).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(format: &LogFormat) -> String {
        format.fields().iter().map(|f| f.name()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn headers_and_records() {
        for (line, expected) in [
            ("version account-id interface-id", Some("version account-id interface-id")),
            ("version account_id new-field\r", Some("version account-id new-field")),
            ("instance-id interface-id srcaddr ", Some("instance-id interface-id srcaddr")),
            ("\"version\" \"account-id\"", Some("version account-id")),
            ("${action} ${type}", Some("action type")),
            ("'${start}' '${tgw-id}'", Some("start tgw-id")),
            ("#bytes dstaddr", Some("bytes dstaddr")),
            ("## bytes dstaddr", Some("bytes dstaddr")),
            ("#fields: bytes dstaddr", Some("bytes dstaddr")),
            ("\u{feff}# Fields: \"bytes\" dstaddr", Some("bytes dstaddr")),
            ("tcpFlags flowDirection other", Some("tcp-flags flow-direction other")),
            ("startTime endTime sourceAddress numBytes", Some("start end srcaddr bytes")),
            ("startTime start srcaddr", Some("starttime start srcaddr")),
            ("VPCID SubnetId", Some("vpc-id subnet-id")),
            ("2 123456789010 eni-1235b8ca - - NODATA", None),
            ("- eni-1235b8ca123456789 10.0.1.5", None),
            ("ACCEPT OK", None),
            ("", None),
            ("   ", None),
            ("#", None),
            ("# 2024", None),
            ("# the srcaddr and the dstaddr", None),
            ("# srcaddr, dstaddr", None),
            ("one two three version", None),
            // Words of any text.
            ("srcaddr", None),
            ("version version", None),
            ("action region", None),
            ("echo start", None),
            ("account type", None),
            ("echo srcaddr", None),
            ("END_ Packets- of", None),
        ] {
            let found = header_format(line.as_bytes(), Catalogue::builtin());
            assert_eq!(found.as_ref().map(names).as_deref(), expected, "{line:?}");
        }
        assert!(header_format(b"version \xff", Catalogue::builtin()).is_none());
    }

    #[test]
    fn what_the_next_line_bears_out() {
        for (text, expected) in [
            ("srcaddr\n10.0.0.1\n", true),
            ("\n \r\nstart bytes\r\n\n1704067200 5\r\n", true),
            ("start bytes\n- 5\n", true),
            ("start bytes\nno record\n1 2 3\n1704067200 5\n", true),
            ("protocol action\n6 ACCEPT", true),
            ("version srcaddr", true),
            ("version srcaddr\nno record\n", true),
            // No record, or of other kinds; or of kinds that any text is.
            ("start bytes", false),
            ("start bytes\n- -\n", false),
            ("start bytes\n2024-01-01 5\n", false),
            ("start bytes\n1704067200 5 6\n", false),
            ("start\n1704067200\n", false),
            ("region\neu-west-1\n", false),
            ("type action\nIPv4 ACCEPT\n", false),
            ("protocol allowed\n6 5\n", false),
            ("end of file\n", false),
            ("2 10.0.0.1\n", false),
        ] {
            let found = first_header(text.as_bytes(), Catalogue::builtin());
            assert_eq!(found.is_some(), expected, "{text:?}");
        }
    }

    #[track_caller]
    fn check_between(format: &str, line: &str, expected: &str) {
        let catalogue = Catalogue::builtin();
        let format = LogFormat::parse(format, catalogue).expect("valid");
        let found = match header_between(line.as_bytes(), std::iter::once(&format), catalogue) {
            Some(Between::Header(header)) => names(&header.format),
            Some(Between::Strange) => "strange".to_owned(),
            None => "none".to_owned(),
        };
        assert_eq!(found, expected, "{line:?}");
    }

    #[test]
    fn between_records() {
        let format = "version interface-id bytes start end";
        for (line, expected) in [
            // Understood.
            ("version bytes interface-id end start", "version bytes interface-id end start"),
            ("${version} ${bytes} ${interface-id}", "version bytes interface-id"),
            ("#version bytes interface-id", "version bytes interface-id"),
            ("version,bytes,interface-id", "version bytes interface-id"),
            ("\"version\", \"bytes\", \"vpc-id\"", "version bytes vpc-id"),
            ("bytes\tversion\tinterfaceId", "bytes version interface-id"),
            ("action type", "action type"),
            // Amid other marks.
            ("[version, interface-id, bytes]", "version interface-id bytes"),
            ("<version> <interface-id> <bytes>", "version interface-id bytes"),
            ("version|interface-id|bytes", "version interface-id bytes"),
            ("version;interface-id;srcaddr;card", "version interface-id srcaddr card"),
            ("# format: version interface-id srcaddr", "version interface-id srcaddr"),
            ("fields: ${version} ${interface-id} ${srcaddr}", "version interface-id srcaddr"),
            ("$${version} $${interface-id} $${srcaddr}", "version interface-id srcaddr"),
            ("${!version} ${!interface-id} ${!srcaddr}", "version interface-id srcaddr"),
            ("version \tinterface-id \tsrcaddr", "version interface-id srcaddr"),
            ("[version, card, octets, begin, finish, when, srcaddr, dstaddr]", "strange"),
            ("(see the srcaddr and dstaddr)", "none"),
            ("{\"version\": 2}", "none"),
            ("[version, bytes]", "none"),
            // As many names as a record has values.
            ("version card octets begin finish", "strange"),
            ("card version octets begin finish", "strange"),
            ("VERSION CARD OCTETS BEGIN_TIME FINISH", "strange"),
            ("version networkCard octetCount beginTime finishTime", "strange"),
            ("card2 version octets64 begin finish", "strange"),
            ("card,octets,begin,finish,version", "strange"),
            ("#version card octets begin finish", "strange"),
            // Of any number.
            ("${card} ${octets}", "strange"),
            ("<srcaddr> <card> <octets> <dstaddr> <bytes> <x> <y>", "strange"),
            ("version bytes one two three", "strange"),
            ("version one two three four bytes", "strange"),
            // Not surely one, and no record either.
            ("card octets begin finish when", "none"),
            ("card version octets begin", "none"),
            ("version of the octets sent", "none"),
            ("log of the end of the action", "none"),
            ("# action type", "none"),
            ("# page two", "none"),
            ("bytes", "none"),
            ("version", "none"),
            ("2 eni-0a 5 1704067200 1704067260", "none"),
            ("version,2", "none"),
        ] {
            check_between(format, line, expected);
        }
        // What may be a record is one, unless it names fields.
        for (line, expected) in [
            ("web start main", "none"),
            ("web frontend main", "none"),
            ("asg-tag start bytes", "asg-tag start bytes"),
        ] {
            check_between("instance-tag asg-tag interface-tag", line, expected);
        }
        check_between("bytes", "bytes", "bytes");
        check_between("bytes", "packets", "none");
    }

    #[test]
    fn headers_that_were_joined() {
        let read = |line: &str| {
            let header = HeaderLine::read(line.as_bytes(), Catalogue::builtin())?;
            Some((header.count, names(&header.format)))
        };
        for (line, count, expected) in [
            ("bytes srcaddrversion bytes", 2, "version bytes"),
            ("start pkt-srcaddrpkt-dstaddr end", 2, "pkt-dstaddr end"),
            ("start endstart endstart type", 3, "start type"),
            ("start bytesx end", 1, "start bytesx end"),
            // A part of one name is no header.
            ("srcaddrversion bytes", 1, "srcaddrversion bytes"),
        ] {
            assert_eq!(read(line), Some((count, expected.to_owned())), "{line}");
        }
    }

    /// A value as records have it, of any field.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("-".to_owned()),
            "[0-9]{1,12}",
            "(10|172)\\.[0-9]{1,2}\\.0\\.[0-9]",
            "2001:db8::[0-9a-f]{1,4}",
            "(eni|vpc|subnet|i|tgw|nat)-[0-9a-f]{8,17}",
            "(us|eu|ap)-(east|west)-[1-3]",
            "(use1|euw1)-az[1-6]",
            "(ACCEPT|REJECT|OK|NODATA|SKIPDATA|IPv4|IPv6|EFA|ingress|egress|unknown|EC2|S3|AMAZON|BPA)",
            "[A-Za-z0-9%_.-]{1,12}",
        ]
    }

    proptest! {
        /// Records of any format are no headers.
        #[test]
        fn records_are_no_headers(
            picked in prop::collection::vec(0..Catalogue::builtin().fields().len(), 1..30),
            values in prop::collection::vec(value(), 30),
            count in 1_usize..30,
        ) {
            let catalogue = Catalogue::builtin();
            let fields: Vec<&str> = picked.iter().map(|i| catalogue.fields()[*i].name.as_str()).collect();
            let format = LogFormat::parse(&fields.join(" "), catalogue).expect("valid");
            for count in [fields.len(), count] {
                let line = values[..count.min(values.len())].join(" ");
                let has_name = values.iter().any(|v| field_of_column(v, catalogue).is_some());
                let found = header_between(line.as_bytes(), std::iter::once(&format), catalogue);
                prop_assert!(has_name || found.is_none(), "{line}");
                prop_assert!(first_header(line.as_bytes(), catalogue).is_none() || has_name, "{line}");
            }
        }

        /// Each format's own names are a header, however they are written.
        #[test]
        fn names_are_headers(
            picked in prop::collection::hash_set(0..Catalogue::builtin().fields().len(), 2..30),
        ) {
            let catalogue = Catalogue::builtin();
            let fields: Vec<&str> = picked.iter().map(|i| catalogue.fields()[*i].name.as_str()).collect();
            let camel = |name: &str| {
                name.split('-').enumerate().map(|(i, part)| match (i, part.split_at(1)) {
                    (0, _) => part.to_owned(),
                    (_, (first, rest)) => first.to_ascii_uppercase() + rest,
                }).collect::<String>()
            };
            let other = LogFormat::parse("${version} ${srcaddr}", catalogue).expect("valid");
            for line in [
                fields.join(" "),
                fields.join(" ").to_uppercase(),
                fields.join(" ").replace('-', "_"),
                fields.join("\t"),
                fields.join(","),
                format!("\"{}\"", fields.join("\" \"")),
                format!("${{{}}}", fields.join("} ${")),
                fields.iter().map(|f| camel(f)).collect::<Vec<_>>().join(" "),
            ] {
                match header_between(line.as_bytes(), std::iter::once(&other), catalogue) {
                    Some(Between::Header(header)) => prop_assert_eq!(names(&header.format), fields.join(" ")),
                    found => prop_assert!(false, "{:?} in {}", found, line),
                }
            }
        }
    }
}
