//! What the tests of this crate share: values through the parser to columns, and back to text.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt32Type};
use arrow_array::{Array, ArrayAccessor, ArrayRef, RecordBatch, StringArray};
use flowquet_format::{Catalogue, LogFormat, Types, time_number};
use flowquet_parse::{Backend, IntegerColumns, Parser, Step};

use crate::{BatchSchema, Columns, Selection};

/// Columns of `names`, grown from `text` in two halves a block.
pub(crate) fn grown(names: &str, text: &str, types: Types, backend: Backend) -> Columns {
    grown_of(Catalogue::builtin(), names, text, types, backend)
}

/// Columns of `names`, by this field list, grown from `text` in two halves a block.
pub(crate) fn grown_of(
    catalogue: &Catalogue,
    names: &str,
    text: &str,
    types: Types,
    backend: Backend,
) -> Columns {
    let braced: Vec<String> = names.split(' ').map(|n| format!("${{{n}}}")).collect();
    let format = Arc::new(LogFormat::parse(&braced.join(" "), catalogue).expect("valid"));
    let schema = Arc::new(BatchSchema::new(format.clone(), &Selection::all(), types));
    let fields = format.fields().iter().enumerate();
    let integers = fields.filter_map(|(i, f)| Some((i, f.column_type().integer_max()?))).collect();
    let mut integers = IntegerColumns::new(integers);
    let mut parser = Parser::new(Arc::new(catalogue.clone()), Some(format)).with_backend(backend);
    let mut columns = Columns::new(schema);
    let (mut at, mut rejects) = (0, Vec::new());
    while at < text.len() {
        match parser.next_block(&text.as_bytes()[at..], true, &mut rejects).expect("a flow log") {
            Step::Block { consumed, block } => {
                assert!(!integers.parse(&block));
                let half = block.rows().len() / 2;
                columns.append(&block, &integers, 0..half);
                columns.append(&block, &integers, half..block.rows().len());
                at += consumed;
            }
            Step::Skipped(n) => at += n,
            other => panic!("{other:?}"),
        }
    }
    assert!(rejects.is_empty(), "{rejects:?}");
    columns
}

/// The values of a column as a flow log has them.
pub(crate) fn texts(array: &ArrayRef) -> Vec<String> {
    let text = |row: usize| match array.data_type() {
        _ if array.is_null(row) => "-".to_owned(),
        arrow_schema::DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        arrow_schema::DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        arrow_schema::DataType::Timestamp(_, _) => {
            time_number(array.as_primitive::<TimestampMillisecondType>().value(row)).to_string()
        }
        _ => {
            let text = array.as_dictionary::<UInt32Type>().downcast_dict::<StringArray>().expect("text");
            text.value(row).to_owned()
        }
    };
    (0..array.len()).map(text).collect()
}

/// Checks that rows of `names` become the columns they spell, whatever the backend, in fresh columns, in used ones, and
/// through merged batches; and that each dictionary holds each value once.
#[track_caller]
pub(crate) fn check(names: &str, rows: &[Vec<String>]) {
    let text: String = rows.iter().map(|r| r.join(" ") + "\n").collect();
    let expected = |times: usize, c: usize| {
        let one = rows.iter().map(|r| r[c].clone());
        std::iter::repeat_n(one, times).flatten().collect::<Vec<_>>()
    };
    let compare = |batch: &RecordBatch, times: usize| {
        // Twins stand behind the fields.
        for (c, array) in batch.columns().iter().enumerate().take(rows.first().map_or(0, Vec::len)) {
            let expected = expected(times, c);
            let found = texts(array);
            let wrong = found.iter().zip(&expected).position(|(a, b)| a != b);
            assert_eq!(
                (wrong.map(|row| (row, &found[row], &expected[row])), found.len()),
                (None, expected.len()),
                "column {c}"
            );
            if let Some(array) = array.as_any_dictionary_opt() {
                let distinct: std::collections::HashSet<_> = expected.iter().filter(|v| *v != "-").collect();
                assert_eq!(array.values().len(), distinct.len(), "column {c}");
            }
        }
    };
    let both = |backend| [(backend, Types::Aws), (backend, Types::Rich)];
    for (backend, types) in Backend::available().into_iter().flat_map(both) {
        let mut columns = grown(names, &text, types, backend);
        let batch = columns.finish();
        compare(&batch, 1);
        assert_eq!(columns.rows(), 0);
        // Merged behind one another, into columns that were used before.
        columns.append_batch(&batch);
        columns.append_batch(&batch);
        let size = columns.bytes();
        compare(&columns.finish(), 2);
        let mut fresh = Columns::new(columns.schema().clone());
        fresh.append_batch(&batch);
        fresh.append_batch(&batch);
        assert_eq!(fresh.bytes(), size, "what was there before does not count");
    }
}
