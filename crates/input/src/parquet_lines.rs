//! The rows of a Parquet file as lines.

use flowquet_parquet::{RowReader, RowsError};

use crate::reader::{Consume, Input, Position, ReadError, WINDOW_BYTES, consume_whole};

/// Pushes the rows of a Parquet file of `bytes` bytes as lines, the first of which names its columns. It is read once before, so
/// that a damaged one is found out before any of its rows is taken.
pub(crate) fn read_parquet<E, C>(
    input: &Input<'_, E>,
    bytes: u64,
    consume: Consume<'_, C>,
) -> Result<(), ReadError<E, C>> {
    let ranges = |range| input.range(range);
    let failed = |error: RowsError<ReadError<E, C>>| match error {
        RowsError::File(what) => ReadError::Damaged(what),
        RowsError::Other(error) => error,
    };
    let reader = RowReader::open(bytes, &ranges).map_err(failed)?;
    let names: Vec<&str> = reader.columns().iter().map(|c| c.name.as_str()).collect();
    reader.read(&names, &ranges, &mut |_| Ok(())).map_err(failed)?;
    let mut text = format!("{}\n", names.join(" ")).into_bytes();
    let read = reader.read(&names, &ranges, &mut |lines| {
        text.extend_from_slice(lines);
        if text.len() >= WINDOW_BYTES {
            let used = consume(&text, Position::More).map_err(ReadError::Consumer)?;
            text.drain(..used);
        }
        Ok(())
    });
    read.map_err(failed)?;
    consume_whole(&text, consume)
}
