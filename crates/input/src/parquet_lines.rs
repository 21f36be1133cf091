//! The rows of a Parquet file as lines.

use flowquet_parquet::{RowReader, RowsError, Wanted};

use crate::framing::Refused;
use crate::object::{Consume, Input, Position, ReadError, WINDOW_BYTES, consume_whole};

/// Pushes the rows of a Parquet file of `bytes` bytes as lines, the first of which names its columns, of those that are wanted. It is
/// read once before, so that a damaged one is found out before any of its rows is taken. Returns whether it is a file of one of our tables.
pub(crate) fn read_parquet<E, C>(
    input: &Input<'_, E>,
    bytes: u64,
    wanted: &Wanted,
    consume: Consume<'_, C>,
) -> Result<bool, ReadError<E, C>> {
    let ranges = |range| input.range(range);
    let failed = |error: RowsError<ReadError<E, C>>| match error {
        RowsError::File(what) => ReadError::Damaged(what),
        RowsError::Other(error) => error,
    };
    let reader = RowReader::open(bytes, &ranges).map_err(failed)?;
    let lines = reader.lines(wanted).map_err(|what| ReadError::Refused(Refused(what)))?;
    let mut is_text = true;
    let read = reader.read_lines(&lines, &ranges, &mut |lines| {
        is_text &= std::str::from_utf8(lines).is_ok();
        Ok(())
    });
    read.map_err(failed)?;
    let mut text = lines.header(!is_text);
    let read = reader.read_lines(&lines, &ranges, &mut |lines| {
        text.extend_from_slice(lines);
        if text.len() >= WINDOW_BYTES {
            let used = consume(&text, Position::More).map_err(ReadError::Consumer)?;
            text.drain(..used);
        }
        Ok(())
    });
    read.map_err(failed)?;
    consume_whole(&text, consume)?;
    Ok(reader.is_of_table())
}
