//! Guesses at the log format of lines without a header, by the kinds of their values. For people to confirm: nothing is converted
//! by a guess.

use crate::catalogue::Catalogue;
use crate::log_format::LogFormat;

/// Lines that a guess rests on.
const LINES_MAX: usize = 20;

/// The default format that the first lines of `text` fit, in number and in the kinds of their values, if there is one.
///
/// Tried are the formats that have names, and the same fields in the order of the alphabet, in which the console of AWS names those that
/// are chosen one by one. A line of another number of values is passed over, but the first must fit.
pub fn guess_format(text: &[u8], catalogue: &Catalogue) -> Option<LogFormat> {
    let lines = text.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).take(LINES_MAX);
    let lines: Vec<Vec<&[u8]>> =
        lines.map(|line| line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).collect()).collect();
    let count = lines.first()?.len();
    let fits = |fields: &Vec<&str>| {
        fields.len() == count
            && LogFormat::parse(&fields.join(" "), catalogue)
                .is_ok_and(|format| lines.iter().filter(|l| l.len() == count).all(|l| format.may_have(l)))
    };
    let names = catalogue.format_names();
    let named: Vec<Vec<&str>> = names.iter().filter_map(|n| catalogue.named_format(n)).collect();
    let sorted = named.iter().cloned().map(|mut fields| {
        fields.sort_unstable();
        fields
    });
    let fields = named.iter().cloned().chain(sorted).find(fits)?;
    LogFormat::parse(&fields.join(" "), catalogue).ok()
}

/// The name of the default format that `format` is, if it is one.
pub fn name_of_format(format: &LogFormat, catalogue: &Catalogue) -> Option<String> {
    let fields: Vec<&str> = format.fields().iter().map(|f| f.name()).collect();
    catalogue.format_names().into_iter().find(|n| catalogue.named_format(n).as_deref() == Some(&fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let catalogue = Catalogue::builtin();
        let found = guess_format(text.as_bytes(), catalogue);
        let found = found.map(|f| f.fields().iter().map(|f| f.name()).collect::<Vec<_>>().join(" "));
        let expected = expected.map(|name| match catalogue.named_format(name) {
            Some(fields) => fields.join(" "),
            None => name.to_owned(),
        });
        assert_eq!(found, expected, "{text}");
    }

    const RECORD: &str =
        "2 111122223333 eni-0a 10.0.0.5 192.0.2.9 44321 443 6 10 840 1704067200 1704067260 ACCEPT OK";

    #[test]
    fn kinds_of_values_decide_and_not_their_number() {
        check(RECORD, Some("v2"));
        check(&format!("{RECORD}\nshort line\n{RECORD}\n"), Some("v2"));
        check("2 unknown eni-0a - - - - - - - 1704067200 1704067260 - NODATA", Some("v2"));
        // As many values, of other kinds.
        check(&RECORD.replace("ACCEPT OK", "OK ACCEPT"), None);
        check(&RECORD.replace("10.0.0.5", "1704067200"), None);
        check("the first of fourteen words is no number and the last no status at all", None);
        check(&format!("no record\n{RECORD}"), None);
        check("", None);
    }

    #[test]
    fn fields_in_the_order_of_the_alphabet() {
        let mut fields = Catalogue::builtin().named_format("v2").expect("a default");
        fields.sort_unstable();
        let by_name: Vec<(&str, &str)> = Catalogue::builtin()
            .named_format("v2")
            .expect("a default")
            .into_iter()
            .zip(RECORD.split(' '))
            .collect();
        let values = fields.iter().map(|f| by_name.iter().find(|(n, _)| n == f).expect("it has all").1);
        check(&values.collect::<Vec<_>>().join(" "), Some(&fields.join(" ")));
    }

    #[test]
    fn defaults_have_names() {
        let catalogue = Catalogue::builtin();
        for name in catalogue.format_names() {
            let format = LogFormat::parse(&name, catalogue).expect("a default");
            assert_eq!(name_of_format(&format, catalogue), Some(name));
        }
        let other = LogFormat::parse("version bytes", catalogue).expect("valid");
        assert_eq!(name_of_format(&other, catalogue), None);
    }
}
