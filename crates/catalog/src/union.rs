//! The columns of a table: those of all log formats that its files have.

use std::fmt;

use flowquet_format::{AddedColumn, ColumnSource, ColumnType, FieldSpec, LogFormat, Looked, PartitionSpec};
use flowquet_table::Options;

use crate::table::TableColumn;

/// Longest comment of a column in Glue, in bytes (docs.aws.amazon.com/glue/latest/webapi/API_Column.html).
const COMMENT_BYTES_MAX: usize = 255;

/// A log format that files of a table were written from, and the options they were written with.
#[derive(Debug, Clone, Copy)]
pub struct FormatUse<'a> {
    /// The log format as AWS writes it.
    pub format: &'a str,
    /// What decides its columns: types, what is kept, what the catalogue was extended by.
    pub options: &'a Options,
}

/// Why log formats make no table.
#[derive(Debug)]
pub enum Conflict {
    /// Two of them give a column different types.
    Column {
        /// The column.
        column: String,
        /// A type and the format that has it.
        one: (ColumnType, String),
        /// Another.
        other: (ColumnType, String),
    },
    /// There are none.
    NoFormats,
    /// A text that is no log format.
    Format(String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column { column, one, other } => write!(
                f,
                "expected one type of column `{column}` in all files, found {} in those of the format\n  {}\nand {} in those of\n  {}",
                one.0, one.1, other.0, other.1
            ),
            Self::NoFormats => f.write_str("expected files in the table, found none"),
            Self::Format(what) => write!(f, "read a log format of the table: {what}"),
        }
    }
}

impl std::error::Error for Conflict {}

/// Behind which columns one stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Field,
    Twin,
    Added(AddedColumn),
    /// By name of the file, and what is looked up in it.
    Enriched(String, Looked),
}

/// What is known of a column while formats are looked at.
struct Found {
    column: TableColumn,
    /// Place in the catalogue; past all of them for an unknown field.
    place: usize,
    rank: Rank,
    format: String,
}

/// The columns that files of these formats have in all: one format's in its own order; of several, in catalogue order, fields
/// that the catalogue does not know behind it by name, then twins of addresses, and added columns last. A field that is a partition column is left out: engines
/// take the folder's value.
///
/// # Errors
/// [`Conflict`], above all where a column has two types: no engine could read such files as one table.
pub fn union_columns(
    uses: &[FormatUse<'_>],
    partition_by: &PartitionSpec,
) -> Result<Vec<TableColumn>, Conflict> {
    let mut found: Vec<Found> = Vec::new();
    for used in uses {
        let catalogue = used.options.catalogue();
        let format = LogFormat::parse(used.format, catalogue).map_err(|e| Conflict::Format(e.to_string()))?;
        for column in used.options.columns_of(&format) {
            if partition_by.columns().iter().any(|p| p.name() == column.name) {
                continue;
            }
            if let Some(known) = found.iter().find(|f| f.column.name == column.name) {
                if known.column.column_type != column.column_type {
                    return Err(Conflict::Column {
                        column: column.name,
                        one: (known.column.column_type, known.format.clone()),
                        other: (column.column_type, used.format.to_owned()),
                    });
                }
                continue;
            }
            let field = column.field().map(|field| &format.fields()[field]);
            let place =
                field.and_then(|field| catalogue.fields().iter().position(|f| f.name == field.name()));
            let doc_of = |spec: Option<&FieldSpec>| {
                spec.map_or_else(|| "Unknown field, kept as text.".to_owned(), |s| s.doc.clone())
            };
            let (rank, comment) = match column.source {
                ColumnSource::Field(i) => (Rank::Field, doc_of(format.fields()[i].spec())),
                ColumnSource::Twin(i) => {
                    let of = format.fields()[i].column();
                    (Rank::Twin, format!("{of} as 16 bytes, IPv4 mapped into IPv6."))
                }
                ColumnSource::Added(added) => (Rank::Added(added), added.spec().doc.clone()),
                ColumnSource::Enriched(column) => {
                    let of = &used.options.enrich;
                    let rank = Rank::Enriched(of.files()[column.file].name.clone(), column.looked);
                    (rank, of.doc_of(column))
                }
            };
            let comment = shortened(&comment).to_owned();
            found.push(Found {
                column: TableColumn { name: column.name, column_type: column.column_type, comment },
                place: place.unwrap_or(usize::MAX),
                rank,
                format: used.format.to_owned(),
            });
        }
    }
    let is_alike = |u: &FormatUse<'_>| {
        let first = &uses[0];
        let is_alike = u.options.add == first.options.add && u.options.enrich == first.options.enrich;
        u.format == first.format && is_alike
    };
    if !uses.iter().all(is_alike) {
        found.sort_by_cached_key(|f| (f.rank.clone(), f.place, f.column.name.clone()));
    }
    if found.is_empty() {
        Err(Conflict::NoFormats)
    } else {
        Ok(found.into_iter().map(|f| f.column).collect())
    }
}

fn shortened(comment: &str) -> &str {
    let end = (0..=COMMENT_BYTES_MAX.min(comment.len())).rev().find(|i| comment.is_char_boundary(*i));
    &comment[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use flowquet_format::{AddedColumns, EnrichedBy, Enrichment};
    use flowquet_table::Reading;

    use super::*;
    use crate::table::tests::options;

    fn names(uses: &[FormatUse<'_>], by: &str) -> Result<String, String> {
        let columns = union_columns(uses, &by.parse().expect("valid")).map_err(|e| e.to_string())?;
        Ok(columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn one_format_keeps_its_order_and_several_have_the_catalogues() {
        let (aws, rich) = (options("aws"), options("rich"));
        let one = FormatUse { format: "${bytes} ${srcaddr} ${hop-count} ${region}", options: &aws };
        let two = FormatUse { format: "${tgw-id} ${dstaddr} ${bytes}", options: &aws };
        assert_eq!(names(&[one], "date").as_deref(), Ok("bytes srcaddr hop_count region"));
        assert_eq!(names(&[one, one], "region,date").as_deref(), Ok("bytes srcaddr hop_count"));
        assert_eq!(
            names(&[one, two], "date").as_deref(),
            Ok("srcaddr dstaddr bytes region tgw_id hop_count")
        );
        let [one, two] = [one, two].map(|u| FormatUse { options: &rich, ..u });
        let expected = "srcaddr dstaddr bytes region tgw_id hop_count srcaddr_bin dstaddr_bin";
        assert_eq!(names(&[one, two], "date").as_deref(), Ok(expected));
    }

    #[test]
    fn two_types_of_a_column_are_told_with_both_sides() {
        let plain = options("aws");
        let mut extended = options("aws");
        let fields = "[[field]]\nname = \"hop-count\"\nsince = 12\nlogs = [\"vpc\"]\nkind = \"number\"\nparquet = \"INT32\"\ndoc = \"Hops.\"\n";
        extended.reading = Reading::new(Some(fields), None).expect("valid");
        let one = FormatUse { format: "${hop-count}", options: &plain };
        let two = FormatUse { format: "${hop-count} ${bytes}", options: &extended };
        let error = names(&[one, two], "date").expect_err("two types");
        assert!(
            error.contains("column `hop_count`") && error.contains("STRING") && error.contains("INT32"),
            "{error}"
        );
        assert!(names(&[], "date").is_err());
    }

    #[test]
    fn added_columns_stand_last() {
        let plain = options("rich");
        let mut adding = options("rich");
        adding.add = AddedColumns::of(["is_nat", "source_line", "dst_scope"]).expect("known");
        let with = FormatUse { format: "${srcaddr} ${bytes}", options: &adding };
        let without = FormatUse { options: &plain, ..with };
        assert_eq!(
            names(&[with], "date").as_deref(),
            Ok("srcaddr bytes srcaddr_bin is_nat dst_scope source_line")
        );
        let both = "srcaddr bytes srcaddr_bin is_nat dst_scope source_line";
        assert_eq!(names(&[without, with], "date").as_deref(), Ok(both), "old files have them as nulls");
        let file = |name: &str, by| Enrichment {
            name: name.to_owned(),
            sha256: "0".repeat(64),
            by,
            timed: false,
            columns: vec!["team".into(), "site".into()],
            version: 1,
        };
        let mut enriched = options("rich");
        let files = vec![file("vpc", EnrichedBy::Address), file("eni", EnrichedBy::Interface)];
        enriched.enrich = files.try_into().expect("valid");
        let enriched = FormatUse { options: &enriched, ..with };
        let of_files =
            "interface_eni_site interface_eni_team src_vpc_site src_vpc_team dst_vpc_site dst_vpc_team";
        assert_eq!(names(&[enriched, with], "date"), Ok(format!("{both} {of_files}")));
        let unknown = FormatUse { format: "${is-nat} ${bytes}", options: &adding };
        assert_eq!(names(&[unknown], "date").as_deref(), Ok("is_nat bytes dst_scope source_line"));
    }

    #[test]
    fn comments_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(200)).len(), 254);
    }
}
