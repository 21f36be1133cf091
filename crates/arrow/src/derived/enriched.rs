//! Columns that files of others fill: each distinct address and interface of a batch is looked up once.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use arrow_array::ArrayRef;
use flowquet_enrich::{Enriching, Found, Look, RowId};
use flowquet_format::{ColumnSource, EnrichedColumn, Looked};

use super::codes::Coder;
use super::inputs::Inputs;
use crate::growing::Growing;
use crate::schema::BatchSchema;

/// A column that a file fills: where it is computed from, and the memory of the last one.
#[derive(Debug)]
pub(crate) struct Enricher {
    column: EnrichedColumn,
    /// Positions in the batch of what is looked up: of the fields that are kept, the first that has a value in the row.
    from: Vec<usize>,
    /// Position of the start.
    start: Option<usize>,
    keys: Growing<u32>,
    coder: Coder,
}

/// What a batch has in a file: of each row the number of its hit, 0 for none, and the file's rows by number.
struct Hits {
    of_rows: Vec<u32>,
    rows: Vec<RowId>,
}

/// What was looked up for a batch, for all columns of a file.
pub(crate) struct Lookups<'a> {
    enriching: &'a Enriching,
    looks: HashMap<usize, Look<'a>>,
    hits: HashMap<(usize, Looked), Rc<Hits>>,
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(enriching: &'a Enriching) -> Self {
        Self { enriching, looks: HashMap::new(), hits: HashMap::new() }
    }
}

impl Enricher {
    /// A column of batches of `schema`.
    pub(crate) fn new(column: EnrichedColumn, schema: &BatchSchema) -> Self {
        let position = |name: &&str| {
            let field = schema.format().position(name)?;
            schema.columns().iter().position(|c| c.source == ColumnSource::Field(field))
        };
        Self {
            column,
            from: column.looked.fields().iter().filter_map(position).collect(),
            start: position(&"start"),
            keys: Growing::default(),
            coder: Coder::default(),
        }
    }

    /// The column of the rows of `inputs`.
    pub(crate) fn compute(&mut self, lookups: &mut Lookups<'_>, inputs: &mut Inputs<'_>) -> ArrayRef {
        let Lookups { enriching, looks, hits } = lookups;
        let EnrichedColumn { file, looked, column } = self.column;
        let look = looks.entry(file).or_insert_with(|| enriching.table(file).look());
        let hits = hits.entry((file, looked)).or_insert_with(|| {
            // Of a file whose entries hold always, no time is asked.
            let start = self.start.filter(|_| enriching.of().files()[file].timed);
            Rc::new(self.hits(look, start, inputs))
        });
        let mut words: Vec<&str> = Vec::new();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut codes = vec![0];
        codes.extend(hits.rows.iter().map(|row| match look.text(*row, column) {
            None => 0,
            Some(text) => *numbers.entry(text).or_insert_with(|| {
                words.push(text);
                words.len() as u32
            }),
        }));
        let codes = hits.of_rows.iter().map(|hit| codes[*hit as usize]);
        self.coder.dictionary(codes, &words, &mut self.keys)
    }

    fn hits(&self, look: &mut Look<'_>, start: Option<usize>, inputs: &mut Inputs<'_>) -> Hits {
        let starts = start.map(|place| inputs.times_ms(place));
        let range = starts.as_deref().map_or(0..=0, range_of);
        let mut values = Values::default();
        let found: Vec<(Rc<[u32]>, Vec<Value>)> = self
            .from
            .iter()
            .map(|place| match self.column.looked {
                Looked::Interface => {
                    let (keys, texts) = inputs.texts(*place);
                    let found = texts.iter().map(|text| match text {
                        Some(id) => look.interface(&id.to_ascii_lowercase(), range.clone()),
                        None => Found::Nothing,
                    });
                    (keys, found.map(|found| values.add(found)).collect())
                }
                Looked::Src | Looked::Dst => {
                    let (keys, addresses) = inputs.addresses(*place);
                    let found = addresses.iter().map(|address| match address {
                        Some(address) => look.address(*address, range.clone()),
                        None => Found::Nothing,
                    });
                    (keys, found.map(|found| values.add(found)).collect())
                }
            })
            .collect();
        let hit = |row: usize| {
            let at_ms = starts.as_ref().map_or(0, |starts| starts[row]);
            if at_ms < 0 {
                return 0;
            }
            let value = found.iter().find_map(|(keys, found)| found.get(keys[row] as usize));
            value.map_or(0, |value| values.hit(*value, at_ms))
        };
        Hits { of_rows: (0..inputs.rows()).map(hit).collect(), rows: values.rows }
    }
}

/// The times of rows that have one.
fn range_of(starts: &[i64]) -> RangeInclusive<i64> {
    let times = || starts.iter().copied().filter(|ms| *ms >= 0);
    times().min().unwrap_or_default()..=times().max().unwrap_or_default()
}

/// What was found of a distinct value: the number of its hit at all times of the batch, or where its spans stand.
#[derive(Debug, Clone, Copy)]
enum Value {
    Always(u32),
    Over(u32),
}

/// What was found of all distinct values.
#[derive(Debug, Default)]
struct Values {
    rows: Vec<RowId>,
    numbers: HashMap<RowId, u32>,
    /// From which time which hit counts.
    spans: Vec<Vec<(i64, u32)>>,
}

impl Values {
    fn number(&mut self, row: RowId) -> u32 {
        let Self { rows, numbers, .. } = self;
        *numbers.entry(row).or_insert_with(|| {
            rows.push(row);
            rows.len() as u32
        })
    }

    fn add(&mut self, found: Found) -> Value {
        match found {
            Found::Nothing => Value::Always(0),
            Found::Always(row) => Value::Always(self.number(row)),
            Found::Over(spans) => {
                let hit =
                    |span: &flowquet_enrich::Span| (span.from_ms, span.row.map_or(0, |row| self.number(row)));
                let spans = spans.iter().map(hit).collect();
                self.spans.push(spans);
                Value::Over(self.spans.len() as u32 - 1)
            }
        }
    }

    fn hit(&self, value: Value, at_ms: i64) -> u32 {
        match value {
            Value::Always(hit) => hit,
            Value::Over(spans) => {
                let spans = &self.spans[spans as usize];
                spans[..spans.partition_point(|(from, _)| *from <= at_ms)].last().map_or(0, |(_, hit)| *hit)
            }
        }
    }
}
