//! Which log formats decide the columns of new files: each file has those of all formats that its table has, so that readers that
//! take the columns of one file for those of all lose nothing.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use flowquet_format::LogFormat;

use flowquet_table::{Options, Reading, ReadingError};

/// A log format that a table has, and what the catalogue was extended by when its files were planned ([`Reading::fields`]).
pub type KnownFormat<'a> = (&'a str, Option<&'a str>);

/// The formats whose columns files that are written with `options` have, of those that the table has: AWS's texts, sorted, each once.
///
/// A field that would be a column of two types (it was unknown, or another file extended the catalogue) is left out of them: only
/// files with values in it have it, and no file gets a column that contradicts another file's.
///
/// # Errors
/// [`ReadingError`] where a record was edited.
pub fn formats_of_union<'a>(
    known: impl IntoIterator<Item = KnownFormat<'a>>,
    options: &Options,
) -> Result<Vec<String>, ReadingError> {
    let (catalogue, types) = (options.catalogue(), options.types);
    let mut formats = Vec::new();
    let mut contradicted: HashSet<String> = HashSet::new();
    for (text, fields) in known {
        // A text that is no format any more can have no columns either.
        let Ok(format) = LogFormat::parse(text, catalogue) else { continue };
        if fields != options.reading.fields() {
            let theirs = Reading::new(fields, Some(text))?;
            let theirs = &theirs.formats()[0];
            for (ours, theirs) in format.fields().iter().zip(theirs.fields()) {
                if types.column_type(ours) != types.column_type(theirs) {
                    contradicted.insert(ours.name().to_owned());
                }
            }
        }
        formats.push(format);
    }
    let kept = formats.iter().filter_map(|f| f.keeping(|field| !contradicted.contains(field.name())));
    Ok(kept.map(|f| f.to_string()).collect::<BTreeSet<String>>().into_iter().collect())
}

/// Log formats of files without the fields that their options do not keep, each with what extended the catalogue.
///
/// # Errors
/// [`ReadingError`] where a record was edited.
pub fn kept_formats(
    written: &[(Arc<str>, Arc<Options>)],
) -> Result<Vec<(String, Option<String>)>, ReadingError> {
    let mut kept = BTreeSet::new();
    for (text, options) in written {
        let text = match &options.columns {
            None => Some(text.to_string()),
            Some(columns) => {
                let format = Reading::new(options.reading.fields(), Some(&**text))?;
                let format = &format.formats()[0];
                format.keeping(|f| columns.iter().any(|c| c == f.column())).map(|f| f.to_string())
            }
        };
        kept.extend(text.map(|text| (text, options.reading.fields().map(str::to_owned))));
    }
    Ok(kept.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOPS: &str = "[[field]]\nname = \"hop-count\"\nsince = 12\nlogs = [\"vpc\"]\nkind = \"number\"\nparquet = \"INT32\"\ndoc = \"Hops.\"\n";

    fn options(fields: Option<&str>) -> Options {
        Options { reading: Reading::new(fields, None).expect("valid"), ..Options::default() }
    }

    #[track_caller]
    fn check(known: &[KnownFormat<'_>], fields: Option<&str>, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|t| (*t).to_owned()).collect();
        assert_eq!(formats_of_union(known.iter().copied(), &options(fields)), Ok(expected));
    }

    #[test]
    fn formats_are_sorted_and_stand_once() {
        check(&[], None, &[]);
        let known =
            [("${start}", None), ("bytes  srcaddr", None), ("${start}", None), ("${start} ${x}", None)];
        check(&known, None, &["${bytes} ${srcaddr}", "${start}", "${start} ${x}"]);
        // The same fields in another order are another format: columns then have the catalogue's order.
        check(
            &[("${start} ${end}", None), ("${end} ${start}", None)],
            None,
            &["${end} ${start}", "${start} ${end}"],
        );
    }

    #[test]
    fn columns_that_are_not_kept_are_no_columns() {
        let all = Arc::new(options(None));
        let some = Options { columns: Some(vec!["end".into(), "hop_count".into()]), ..options(Some(HOPS)) };
        let some = Arc::new(some);
        let written = [
            ("${start} ${hop-count} ${end}".into(), some.clone()),
            ("${start}".into(), some),
            ("${start} ${end}".into(), all),
        ];
        let expected =
            [("${hop-count} ${end}".to_owned(), Some(HOPS.to_owned())), ("${start} ${end}".to_owned(), None)];
        assert_eq!(kept_formats(&written), Ok(expected.to_vec()));
    }

    #[test]
    fn a_field_of_two_types_is_left_out() {
        let (plain, extended) = (("${start} ${hop-count}", None), ("${hop-count} ${end}", Some(HOPS)));
        check(&[extended], Some(HOPS), &["${hop-count} ${end}"]);
        check(&[plain], None, &["${start} ${hop-count}"]);
        check(&[plain, extended], Some(HOPS), &["${end}", "${start}"]);
        check(&[plain, extended], None, &["${end}", "${start}"]);
        check(&[("${hop-count}", None)], Some(HOPS), &[]);
        // An extension that says nothing about the fields of a format does no harm.
        check(
            &[("${start} ${end}", None), extended],
            Some(HOPS),
            &["${hop-count} ${end}", "${start} ${end}"],
        );
    }
}
