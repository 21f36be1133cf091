//! Reading and putting records, one by one and many at once.

use std::collections::VecDeque;

use bytes::Bytes;
use flowquet_store::{Error as StoreError, ErrorKind, Fetch, ObjectMeta, Store};

use crate::error::Error;
use crate::layout::{plan_number, task_of_commit};
use crate::records::{CommitRecord, PlanRecord, Record, RecordError, from_json, plan_from_gzip};

/// Records that are read at once.
const RECORDS_AHEAD: usize = 64;

/// Keys below a folder of records, sorted; none where there is no such folder.
pub(crate) fn keys_of(out: &dyn Store, folder: &str) -> Result<Vec<String>, Error> {
    Ok(list_or_none(out, folder)?.into_iter().map(|o| o.key).collect())
}

pub(crate) fn list_or_none(out: &dyn Store, folder: &str) -> Result<Vec<ObjectMeta>, Error> {
    match out.list(&format!("{folder}/")) {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Reads records, several at once, in order.
pub(crate) fn read_each(
    out: &dyn Store,
    keys: &[String],
    mut each: impl FnMut(&str, Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut ahead: VecDeque<(&String, Box<dyn Fetch>)> = VecDeque::new();
    let mut keys = keys.iter();
    loop {
        while ahead.len() < RECORDS_AHEAD
            && let Some(key) = keys.next()
        {
            ahead.push_back((key, out.fetch(key, "", 0..0, true)));
        }
        let Some((key, fetch)) = ahead.pop_front() else { return Ok(()) };
        each(key, fetch.wait(&|| false)?)?;
    }
}

/// Reads records, several at once, in order, as far as they are there.
pub(crate) fn read_if_there(
    out: &dyn Store,
    keys: &[String],
    mut each: impl FnMut(&str, &Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let ahead: Vec<_> = keys.iter().map(|key| (key, out.fetch(key, "", 0..0, true))).collect();
    for (key, fetch) in ahead {
        match fetch.wait(&|| false) {
            Ok(bytes) => each(key, &bytes)?,
            Err(error) if error.may_be_missing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Deletes an object that another run may have deleted already.
///
/// # Errors
/// As the store reports.
pub fn delete_if_there(out: &dyn Store, key: &str) -> Result<(), StoreError> {
    match out.delete(key) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn decode<T: Record>(out: &dyn Store, key: &str, bytes: &[u8]) -> Result<T, Error> {
    from_json(bytes).map_err(|error| Error::Record { url: out.url(key), error })
}

pub(crate) fn decode_plan(out: &dyn Store, key: &str, bytes: &[u8]) -> Result<PlanRecord, Error> {
    let wrong = |error| Error::Record { url: out.url(key), error };
    let plan = plan_from_gzip(bytes).map_err(wrong)?;
    if Some(plan.number) != plan_number(key) {
        return Err(wrong(RecordError::Wrong(format!(
            "expected the number of its name, found {}",
            plan.number
        ))));
    }
    Ok(plan)
}

pub(crate) fn decode_commit(out: &dyn Store, key: &str, bytes: &[u8]) -> Result<CommitRecord, Error> {
    let commit: CommitRecord = decode(out, key, bytes)?;
    if Some(commit.task.as_str()) != task_of_commit(key) {
        let error = RecordError::Wrong(format!("expected the task of its name, found `{}`", commit.task));
        return Err(Error::Record { url: out.url(key), error });
    }
    Ok(commit)
}

/// Puts a record unless there is one. Where the store does not honour conditions a look comes first, which is enough for one
/// writer at a time.
pub(crate) fn put_record(
    out: &dyn Store,
    single_writer: bool,
    key: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    if single_writer {
        match out.get(key) {
            // A run that was killed may have put it just before.
            Ok(there) if there == bytes => return Ok(()),
            Ok(_) => return Err(StoreError::exists(out.url(key))),
            Err(error) if error.may_be_missing() => {}
            Err(error) => return Err(error),
        }
    }
    out.put_if_absent(key, bytes)
}
