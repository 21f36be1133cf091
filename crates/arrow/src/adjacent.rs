//! Text columns whose fields stand beside each other: looked up as one value.
//!
//! A VPC, its subnets, their instances and interfaces, and their account hang together: there are hardly more combinations of them than
//! interfaces, and one look-up of a combination stands for all its columns.

use std::ops::Range;

use flowquet_parse::Block;

use crate::dictionary::DictionaryBuilder;
use crate::values::ValueTable;

/// Fewest columns for which one look-up of a long value takes less than several of short ones, most of which repeat.
const COLUMNS_MIN: usize = 3;

/// Combinations that are always kept; more are where they stand for so many rows each.
const FREE: usize = 256;

/// See [`FREE`].
const ROWS_EACH: usize = 16;

/// Bytes that the table of combinations may be: it must not crowd the tables of the columns out of the cache.
const BYTES_MAX: usize = 512 << 10;

/// Columns, some of which are text.
pub(crate) trait TextColumns {
    /// The text column at a position of one.
    fn text(&mut self, column: usize) -> &mut DictionaryBuilder;
}

/// Some text columns of adjacent fields.
#[derive(Debug)]
pub(crate) struct AdjacentTexts {
    first: usize,
    last: usize,
    members: Vec<Member>,
    /// Combinations of values as they are written, numbered as they first come.
    combinations: ValueTable,
    /// Rows that combinations stand for.
    rows: usize,
    /// Whether there are too many combinations for their rows, so that each column is looked up by itself until the columns begin anew.
    is_given_up: bool,
    /// Scratch: the combination of each row of a block.
    ids: Vec<u32>,
}

/// A column of them.
#[derive(Debug)]
struct Member {
    field: usize,
    /// Its position among the columns.
    column: usize,
    /// Its key in each combination.
    keys: Vec<u32>,
}

impl AdjacentTexts {
    /// The runs of adjacent fields among `fields`, which has pairs of a field and the position of its column.
    pub(crate) fn of(mut fields: Vec<(usize, usize)>) -> Vec<Self> {
        fields.sort_unstable();
        let runs = fields.chunk_by(|a, b| a.0 + 1 == b.0).filter(|run| run.len() >= COLUMNS_MIN);
        runs.map(Self::new).collect()
    }

    fn new(run: &[(usize, usize)]) -> Self {
        let members =
            run.iter().map(|(field, column)| Member { field: *field, column: *column, keys: Vec::new() });
        Self {
            first: run[0].0,
            last: run[run.len() - 1].0,
            members: members.collect(),
            combinations: ValueTable::default(),
            rows: 0,
            is_given_up: false,
            ids: Vec::new(),
        }
    }

    /// The positions of the columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = usize> {
        self.members.iter().map(|member| member.column)
    }

    /// Appends the values of the first rows of `range` to `columns`, and says how many rows that were: all, but where combinations turn out not to pay.
    ///
    /// This is a hot loop: all columns of a row are compared with the row before at once, and looked up by one hash where they differ.
    pub(crate) fn append(
        &mut self,
        block: &Block<'_>,
        range: Range<usize>,
        columns: &mut (impl TextColumns + ?Sized),
    ) -> usize {
        if self.is_given_up {
            return 0;
        }
        let span = block.span(self.first, self.last, range.clone());
        self.ids.clear();
        let mut known = self.combinations.len();
        let (mut last, mut id) = (&b""[..], 0);
        for (i, (start, end)) in span.bounds().enumerate() {
            let value = &span.text()[start..end];
            if value == last {
                self.ids.push(id);
                continue;
            }
            last = value;
            id = self.combinations.id_of(span.text(), start, end - start);
            if self.combinations.len() > known {
                known += 1;
                let row = block.rows()[range.start + i];
                for member in &mut self.members {
                    let (start, end) = block.bounds(row, member.field);
                    member.keys.push(columns.text(member.column).key_of(block.text(), start, end));
                }
                self.is_given_up =
                    known > FREE + (self.rows + i) / ROWS_EACH || self.combinations.size() > BYTES_MAX;
            }
            self.ids.push(id);
            if self.is_given_up {
                break;
            }
        }
        for member in &self.members {
            columns.text(member.column).extend_mapped(&self.ids, &member.keys);
        }
        self.rows += self.ids.len();
        self.ids.len()
    }

    /// Bytes that are held, by lengths and not by capacities.
    pub(crate) fn bytes(&self) -> usize {
        let keys = self.members.iter().map(|member| size_of_val(&member.keys[..])).sum::<usize>();
        self.combinations.size() + keys
    }

    /// Forgets all combinations: the columns begin anew.
    pub(crate) fn clear(&mut self) {
        self.combinations.clear();
        self.members.iter_mut().for_each(|member| member.keys.clear());
        (self.rows, self.is_given_up) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;
    use proptest::prelude::*;

    #[test]
    fn runs_of_fields() {
        let runs = AdjacentTexts::of(vec![
            (7, 1),
            (2, 5),
            (3, 0),
            (4, 2),
            (9, 3),
            (10, 4),
            (8, 6),
            (12, 7),
            (13, 8),
        ]);
        let found: Vec<_> =
            runs.iter().map(|run| (run.first, run.last, run.columns().collect::<Vec<_>>())).collect();
        assert_eq!(found, [(2, 4, vec![5, 0, 2]), (7, 10, vec![1, 6, 3, 4])]);
    }

    /// Rows of five adjacent text columns between others; the `i`-th has the values that `value` makes of a number and its column.
    fn check_rows(rows: usize, value: impl Fn(usize, usize) -> String) {
        let row = |i: usize| {
            let texts = (0..5).map(|column| value(i, column));
            ["2".to_owned(), "10.0.0.1".to_owned()].into_iter().chain(texts).chain(["7".to_owned()]).collect()
        };
        let rows: Vec<Vec<String>> = (0..rows).map(row).collect();
        check("version srcaddr vpc-id subnet-id instance-id interface-id account-id bytes", &rows);
    }

    #[test]
    fn too_many_combinations_are_given_up() {
        // Few at first; then each row has another.
        for few in [0, 100, 10_000] {
            check_rows(12_000, |i, column| match (i < few, column) {
                (true, _) => format!("{}", i % 3 + column),
                (false, 3) => format!("eni-{i:017x}"),
                (false, _) => format!("{}", i % (column + 2)),
            });
        }
        // Long ones.
        check_rows(3_000, |i, column| "v".repeat(600 + i % 250 + column));
    }

    proptest! {
        #[test]
        fn equals_the_naive_columns(rows in proptest::collection::vec(proptest::collection::vec("-|[ab]{0,2}|[a-c0-9]{0,40}", 5), 1..200)) {
            // Most combinations come again.
            check_rows(2 * rows.len(), |i, column| rows[i * i % rows.len()][column].clone());
        }
    }
}
