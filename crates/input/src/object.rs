//! An object on its way: where its bytes come from, and who takes windows of its lines.

use std::io::{self, Read};
use std::ops;

use bytes::Bytes;

use crate::framing::Refused;

/// Bytes of a window of streamed text: a few times the longest line, so that little is moved.
pub const WINDOW_BYTES: usize = 4 << 20;

/// Opens an object; again where it has to be read twice.
pub type Open<'a, E> = &'a dyn Fn() -> Result<Box<dyn Read + Send>, E>;

/// Reads a part of an object.
pub type Range<'a, E> = &'a dyn Fn(ops::Range<u64>) -> Result<Bytes, E>;

/// Where an object's bytes come from. `E` is the error of whoever has them; it may come through `Read` as the cause of an
/// [`io::Error`].
pub struct Input<'a, E> {
    /// All of them, if they were fetched.
    pub fetched: Option<Bytes>,
    /// Fetches them anew.
    pub again: &'a dyn Fn() -> Result<Option<Bytes>, E>,
    /// Opens the object, if it was not fetched.
    pub open: Open<'a, E>,
    /// Reads a part of the object, if it was not fetched.
    pub range: Range<'a, E>,
}

impl<E> std::fmt::Debug for Input<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("fetched", &self.fetched.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

impl<E> Input<'_, E> {
    pub(crate) fn open<C>(&self) -> Result<Box<dyn Read + Send>, ReadError<E, C>> {
        match &self.fetched {
            Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            None => (self.open)().map_err(ReadError::Source),
        }
    }

    pub(crate) fn range<C>(&self, range: ops::Range<u64>) -> Result<Bytes, ReadError<E, C>> {
        let Some(bytes) = &self.fetched else { return (self.range)(range).map_err(ReadError::Source) };
        let inside = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let inside = inside.filter(|(start, end)| start <= end && *end <= bytes.len());
        let damaged =
            || ReadError::Damaged("expected a whole Parquet file, found its end too early".to_owned());
        inside.map(|(start, end)| bytes.slice(start..end)).ok_or_else(damaged)
    }

    /// Whether a second fetch brought other bytes: then the damage happened on the way.
    pub(crate) fn is_healed<C>(&mut self) -> Result<bool, ReadError<E, C>> {
        let Some(before) = self.fetched.clone() else { return Ok(false) };
        self.fetched = (self.again)().map_err(ReadError::Source)?;
        Ok(self.fetched.as_ref() != Some(&before))
    }
}

/// Why an object's lines cannot be had. `E` is the error of whoever has its bytes, `C` that of the consumer.
#[derive(Debug)]
pub enum ReadError<E, C> {
    /// The consumer of windows ended it, for a reason of its own.
    Consumer(C),
    /// The object is damaged; the message says where.
    Damaged(String),
    /// It holds no lines of a flow log in a form that is read; the message says what it is. Nothing was taken of it.
    Refused(Refused),
    /// Its bytes cannot be had.
    Source(E),
}

/// Takes windows of lines and returns how much of each it used up.
pub type Consume<'a, C> = &'a mut dyn FnMut(&[u8], Position) -> Result<usize, C>;

/// What one window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// More may follow.
    More,
    /// Nothing follows.
    Last,
    /// Nothing readable follows: the text is cut off here.
    Cut,
}

/// Has the last window taken.
pub(crate) fn consume_whole<E, C>(text: &[u8], consume: Consume<'_, C>) -> Result<(), ReadError<E, C>> {
    let used = consume(text, Position::Last).map_err(ReadError::Consumer)?;
    debug_assert_eq!(used, text.len(), "the last window is used up");
    Ok(())
}
