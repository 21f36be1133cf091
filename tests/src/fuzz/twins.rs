//! Any text through each instruction set's parser, integers, repeats, packed addresses and columns: all must agree with the
//! scalar ones, and columns must spell the fields they were made of.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayAccessor, RecordBatch, StringArray};
use flowquet_arrow::{BatchSchema, Columns, Selection};
use flowquet_format::{Catalogue, LogFormat, Types};
use flowquet_parse::{Backend, IntegerColumns, PackedAddress, Parser, Reject, Step, pack_addresses, repeats};

const FORMATS: [&str; 4] = [
    "${srcaddr}",
    "${start} ${srcaddr} ${bytes}",
    "${version} ${vpc-id} ${srcaddr} ${dstaddr} ${srcport} ${pkt-srcaddr} ${pkt-dstaddr} ${end}",
    "${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status} ${x-y}",
];

static SCHEMAS: LazyLock<Vec<Arc<BatchSchema>>> = LazyLock::new(|| {
    let schema = |text: &&str| {
        let format = Arc::new(LogFormat::parse(text, Catalogue::builtin()).expect("valid"));
        Arc::new(BatchSchema::new(format, &Selection::all(), Types::Aws))
    };
    FORMATS.iter().map(schema).collect()
});

/// All that one backend makes of a text.
#[derive(Debug, PartialEq)]
struct Made {
    fields: Vec<Vec<Vec<u8>>>,
    integers: Vec<Vec<i64>>,
    repeats: Vec<Vec<u8>>,
    packed: Vec<Vec<PackedAddress>>,
    rejects: Vec<Reject>,
    batch: RecordBatch,
}

fn make(text: &[u8], schema: &Arc<BatchSchema>, backend: Backend) -> Option<Made> {
    let format = schema.format();
    let mut parser =
        Parser::new(Arc::new(Catalogue::builtin().clone()), Some(format.clone())).with_backend(backend);
    let fields = format.fields().iter().enumerate();
    let mut integers =
        IntegerColumns::new(fields.filter_map(|(i, f)| Some((i, f.column_type().integer_max()?))).collect());
    let mut columns = Columns::new(schema.clone());
    let (mut at, mut rejects) = (0, Vec::new());
    let (mut all_fields, mut all_integers, mut all_repeats, mut all_packed) =
        (vec![], vec![], vec![], vec![]);
    loop {
        match parser.next_block(&text[at..], true, &mut rejects).ok()? {
            Step::Done | Step::NeedMore => break,
            Step::Skipped(len) => at += len,
            Step::Block { consumed, mut block } => {
                at += consumed;
                if block.format() != format {
                    // A header inside the text: other fields, other columns.
                    return None;
                }
                if integers.parse(&block) {
                    block.reject_bad_integers(&mut integers, &mut rejects);
                }
                let rows = block.rows().len();
                for field in 0..format.fields().len() {
                    let column = block.column(field, 0..rows);
                    let mut flags = Vec::new();
                    repeats(column, &mut flags);
                    all_repeats.push(flags);
                    let mut packed = vec![PackedAddress::default(); rows];
                    pack_addresses(column, &mut packed);
                    all_packed.push(packed);
                }
                let values = block.rows().iter().map(|row| {
                    (0..format.fields().len()).map(|f| block.field(*row, f).to_vec()).collect::<Vec<_>>()
                });
                all_fields.extend(values);
                all_integers.extend((0..integers.len()).map(|c| integers.column(c).to_vec()));
                columns.append(&block, &integers, 0..rows / 2);
                columns.append(&block, &integers, rows / 2..rows);
            }
        }
    }
    Some(Made {
        fields: all_fields,
        integers: all_integers,
        repeats: all_repeats,
        packed: all_packed,
        rejects,
        batch: columns.finish(),
    })
}

/// Whether a cell spells a field; numbers may have had leading zeros.
fn spells(array: &dyn Array, row: usize, field: &[u8]) -> bool {
    if array.is_null(row) {
        return field == b"-";
    }
    let number = |n: i64| str::from_utf8(field).is_ok_and(|f| f.parse() == Ok(n));
    match array.data_type() {
        arrow_schema::DataType::Int32 => number(array.as_primitive::<Int32Type>().value(row).into()),
        arrow_schema::DataType::Int64 => number(array.as_primitive::<Int64Type>().value(row)),
        _ => {
            let text = array.as_dictionary::<UInt32Type>().downcast_dict::<StringArray>().expect("text");
            text.value(row).as_bytes() == field
        }
    }
}

pub(super) fn run(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let schema = &SCHEMAS[usize::from(*choice) % FORMATS.len()];
    let oracle = make(text, schema, Backend::Scalar);
    for backend in Backend::available() {
        assert_eq!(make(text, schema, backend), oracle, "{backend:?}");
    }
    let Some(Made { fields, batch, .. }) = oracle else { return };
    assert_eq!(batch.num_rows(), fields.len());
    for (c, array) in batch.columns().iter().enumerate() {
        for (row, fields) in fields.iter().enumerate() {
            assert!(spells(array, row, &fields[c]), "row {row} column {c}");
        }
    }
}

/// Lines of each format, behind a byte that chooses it.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        "10.0.0.1\n-\n2001:db8::1\n255.255.255.255\n10.0.0.1\n",
        "1705276800 10.0.0.1 5\n1705276801 - 0\n- ::ffff:1.2.3.4 18446744073709551615\n",
        "2 vpc-1 10.0.0.1 10.0.0.2 443 10.0.0.1 10.0.0.2 1705276800\n2 - - - - - - -\n",
        "111111111111 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1566172800 1566172860 ACCEPT OK x\n\n- - - - - - - - - - - - NODATA -\n",
    ];
    let seeds = lines
        .iter()
        .enumerate()
        .flat_map(|(i, text)| [1, 30].map(|times| [&[i as u8], text.repeat(times).as_bytes()].concat()));
    seeds.collect()
}
