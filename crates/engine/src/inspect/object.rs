//! Looks at objects that are named one by one, and at standard input.

use std::cell::RefCell;
use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;
use flowquet_input::{Compression, Input};
use flowquet_sources::{Error as SourceError, SourceSet, absolute_url};
use flowquet_store::{Error as StoreError, Location};
use flowquet_table::SourceObject;

use crate::error::Error;
use crate::inspect::look::{Limits, Look, Looker};

/// Bytes that tell a Parquet file.
const MAGIC_BYTES: u64 = 4;

/// A Parquet file that comes on standard input is held in memory, since it is read from its end.
const PARQUET_BYTES_MAX: u64 = 64 << 20;

/// The object at a place; `None` where it is a folder or prefix.
///
/// # Errors
/// Where there is neither; as the store reports.
pub fn named_object(sources: &SourceSet, place: &Location) -> Result<Option<SourceObject>, Error> {
    let (bucket, key) = match place {
        Location::Local(path) if path.is_dir() => return Ok(None),
        Location::Local(path) => {
            let url = absolute_url(path)?;
            let object = SourceObject::new(url, "", 0, "");
            let (bytes, etag) = sources.current(&object)?;
            return Ok(Some(SourceObject::new(object.url().to_owned(), "", bytes, &etag)));
        }
        Location::S3 { bucket, prefix } => (bucket, prefix),
    };
    if key.is_empty() || key.ends_with('/') {
        return Ok(None);
    }
    match sources.stores().bucket(bucket).head(key) {
        Ok(meta) => Ok(Some(SourceObject::new(meta.url, key, meta.bytes, &meta.etag))),
        Err(error) if error.may_be_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Looks at an object.
///
/// # Errors
/// As the store reports.
pub fn look_at(
    looker: &mut Looker,
    sources: &SourceSet,
    object: &SourceObject,
    limits: Limits,
) -> Result<Look, Error> {
    looker.expect(object);
    let range = |range: Range<u64>| sources.range(object, range);
    let magic = range(0..object.bytes.min(MAGIC_BYTES));
    let magic = if object.bytes == 0 { Bytes::new() } else { magic? };
    if Compression::detect(&magic) == Compression::Parquet {
        return Ok(looker.look_at_parquet(object.bytes, &range, limits)?);
    }
    let open = || sources.open(object);
    let input = Input { fetched: None, again: &|| Ok(None), open: &open, range: &range };
    Ok(looker.look::<StoreError>(input, object.bytes, false, limits)?)
}

/// Looks at what comes from `stdin`, and tells how many bytes that was if it was read to its end.
///
/// # Errors
/// [`SourceError::Stdin`].
pub fn look_at_stdin(
    looker: &mut Looker,
    stdin: impl Read + Send + 'static,
    limits: Limits,
) -> Result<Look, Error> {
    Ok(look_at_pipe(looker, stdin, limits).map_err(SourceError::Stdin)?)
}

fn look_at_pipe(
    looker: &mut Looker,
    mut stdin: impl Read + Send + 'static,
    limits: Limits,
) -> io::Result<Look> {
    let mut head = Vec::new();
    (&mut stdin).take(MAGIC_BYTES).read_to_end(&mut head)?;
    if Compression::detect(&head) == Compression::Parquet {
        stdin.take(PARQUET_BYTES_MAX).read_to_end(&mut head)?;
        if head.len() as u64 > PARQUET_BYTES_MAX {
            let what = format!(
                "a Parquet file of more than {PARQUET_BYTES_MAX} bytes is looked at by its path only"
            );
            return Err(io::Error::other(what));
        }
        let file = Bytes::from(head);
        let range = |range: Range<u64>| {
            let place = |at: u64| usize::try_from(at).ok().filter(|at| *at <= file.len());
            let inside = place(range.start).zip(place(range.end)).filter(|(start, end)| start <= end);
            inside.map(|(start, end)| file.slice(start..end)).ok_or_else(|| io::Error::other("no such range"))
        };
        return looker.look_at_parquet(file.len() as u64, &range, limits);
    }
    let whole: Box<dyn Read + Send> = Box::new(io::Cursor::new(head).chain(stdin));
    let once = RefCell::new(Some(whole));
    let open = || once.take().ok_or_else(|| io::Error::other("standard input is read once"));
    let no_range = |_| Err(io::Error::other("standard input has no ranges"));
    let input = Input { fetched: None, again: &|| Ok(None), open: &open, range: &no_range };
    looker.look(input, u64::MAX, false, limits)
}
