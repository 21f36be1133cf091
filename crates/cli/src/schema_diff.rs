//! `flowquet schema diff`: how the columns of two log formats differ.

use flowquet_format::{Catalogue, FormatColumn, LogFormat, Types, columns_of};
use serde_json::json;

use crate::args::SchemaDiffArgs;
use crate::exit::Exit;
use crate::formats::catalogue_with;
use crate::given::given_format;
use crate::output::{Failure, counted, put};
use crate::text_table::{plain_table, table_text};

pub(crate) fn run(args: &SchemaDiffArgs) -> Result<Exit, Failure> {
    let catalogue = catalogue_with(args.fields.as_deref())?;
    let types = args.types.unwrap_or_default();
    let a = Side::of("A", &args.a, &catalogue, types)?;
    let b = Side::of("B", &args.b, &catalogue, types)?;
    let difference = Difference::of(&a, &b);
    put(&if args.json { difference.json(&a, &b) } else { difference.text(&a, &b) })?;
    Ok(Exit::Success)
}

struct Side {
    format: LogFormat,
    columns: Vec<FormatColumn>,
}

impl Side {
    fn of(name: &str, text: &str, catalogue: &Catalogue, types: Types) -> Result<Self, Failure> {
        let format = given_format(name, text, catalogue)?;
        let columns = columns_of(format.fields(), types);
        Ok(Self { format, columns })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }
}

/// Columns by their places in A and B.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    only_a: Vec<usize>,
    only_b: Vec<usize>,
    /// In both with different types.
    retyped: Vec<(usize, usize)>,
    /// In both, but not behind the same columns.
    moved: Vec<(usize, usize)>,
}

impl Difference {
    fn of(a: &Side, b: &Side) -> Self {
        let mut found = Self::default();
        let mut both = Vec::new();
        for (i, column) in a.columns.iter().enumerate() {
            match b.place(&column.name) {
                None => found.only_a.push(i),
                Some(n) => both.push((i, n)),
            }
        }
        found.only_b = (0..b.columns.len()).filter(|n| a.place(&b.columns[*n].name).is_none()).collect();
        found
            .retyped
            .extend(both.iter().filter(|(i, n)| a.columns[*i].column_type != b.columns[*n].column_type));
        let mut in_order_of_b = both.clone();
        in_order_of_b.sort_by_key(|(_, n)| *n);
        found.moved.extend(both.iter().zip(&in_order_of_b).filter(|(x, y)| x != y).map(|(x, _)| *x));
        found
    }

    fn text(&self, a: &Side, b: &Side) -> String {
        if *self == Self::default() {
            return format!(
                "same columns in the same order: {}\n",
                counted(a.columns.len() as u64, "column")
            );
        }
        let mut table = plain_table(&["COLUMN", "DIFFERENCE", "TYPE", "IN A", "IN B"]);
        let mut row = |difference: &str, of_a: Option<usize>, of_b: Option<usize>| {
            let (in_a, in_b) = (of_a.map(|i| &a.columns[i]), of_b.map(|n| &b.columns[n]));
            let types: Vec<String> = in_a.iter().chain(&in_b).map(|c| c.column_type.to_string()).collect();
            let is_one = types.windows(2).all(|t| t[0] == t[1]);
            let place = |i: Option<usize>| i.map_or_else(|| "-".to_owned(), |i| (i + 1).to_string());
            table.add_row([
                in_a.or(in_b).map(|c| c.name.clone()).unwrap_or_default(),
                difference.to_owned(),
                if is_one { types.into_iter().next().unwrap_or_default() } else { types.join(" → ") },
                place(of_a),
                place(of_b),
            ]);
        };
        self.only_a.iter().for_each(|i| row("only in A", Some(*i), None));
        self.only_b.iter().for_each(|n| row("only in B", None, Some(*n)));
        self.retyped.iter().for_each(|(i, n)| row("other type", Some(*i), Some(*n)));
        self.moved.iter().for_each(|(i, n)| row("other order", Some(*i), Some(*n)));
        table_text(&table)
    }

    fn json(&self, a: &Side, b: &Side) -> String {
        let one = |c: &FormatColumn| json!({ "column": c.name, "type": c.column_type.name() });
        let only_a: Vec<_> = self.only_a.iter().map(|i| one(&a.columns[*i])).collect();
        let only_b: Vec<_> = self.only_b.iter().map(|n| one(&b.columns[*n])).collect();
        let retyped = self.retyped.iter().map(|(i, n)| {
            let (a, b) = (&a.columns[*i], &b.columns[*n]);
            json!({ "column": a.name, "a": a.column_type.name(), "b": b.column_type.name() })
        });
        let moved =
            self.moved.iter().map(|(i, n)| json!({ "column": a.columns[*i].name, "a": i + 1, "b": n + 1 }));
        let whole = json!({
            "a": a.format.to_string(),
            "b": b.format.to_string(),
            "same": *self == Self::default(),
            "only_a": only_a,
            "only_b": only_b,
            "types": retyped.collect::<Vec<_>>(),
            "order": moved.collect::<Vec<_>>(),
        });
        format!("{}\n", serde_json::to_string_pretty(&whole).expect("plain values"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(text: &str) -> Side {
        Side::of("A", text, Catalogue::builtin(), Types::Aws).expect("a format")
    }

    #[test]
    fn two_formats() {
        let (a, b) = (side("version srcaddr bytes start"), side("version bytes srcaddr vpc-id"));
        let found = Difference::of(&a, &b);
        assert_eq!(
            found.text(&a, &b),
            " COLUMN   DIFFERENCE   TYPE    IN A  IN B\n start    only in A    INT64   4     -\n vpc_id   only in B    STRING  -     4\n srcaddr  other order  STRING  2     3\n bytes    other order  INT64   3     2\n"
        );
        let json: serde_json::Value = serde_json::from_str(&found.json(&a, &b)).expect("JSON");
        assert_eq!(json["only_a"][0]["column"], "start");
        assert_eq!(json["order"][1], json!({ "column": "bytes", "a": 3, "b": 2 }));
        assert_eq!(json["same"], false);
    }

    #[test]
    fn the_same_format_in_other_words() {
        let (a, b) = (
            side("v2"),
            side(
                "!Sub '${!version} ${!account-id} ${!interface-id} ${!srcaddr} ${!dstaddr} ${!srcport} ${!dstport} ${!protocol} ${!packets} ${!bytes} ${!start} ${!end} ${!action} ${!log-status}'",
            ),
        );
        assert_eq!(Difference::of(&a, &b).text(&a, &b), "same columns in the same order: 14 columns\n");
    }
}
