//! Committing a task: its files first, then its commit record. Nothing here computes; it only waits for the store.

use std::sync::Arc;

use flowquet_plan::{CommitRecord, commit_key, from_json, rejects_key, to_json};
use flowquet_store::{ErrorKind, Staged, Store};

use crate::error::Error;
use crate::inventory::Compactions;
use crate::table::{delete_if_there, put_record};

/// Files of a task that are made visible at once.
const FILES_AT_ONCE: usize = 16;

/// What became of a task.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// This run committed it.
    Committed(Box<CommitRecord>),
    /// Another run committed it first, with the same files.
    CommittedByAnother,
    /// It will never be performed; its objects are free to be planned again.
    Void(String),
}

/// A task whose files are written and not visible yet.
pub(crate) struct ClosedTask {
    pub(crate) out: Arc<dyn Store>,
    pub(crate) single_writer: bool,
    pub(crate) record: CommitRecord,
    /// Data files and rejects.
    pub(crate) files: Vec<Box<dyn Staged>>,
}

impl ClosedTask {
    /// Commits it, unless another run has.
    pub(crate) fn commit(mut self) -> Result<Outcome, Error> {
        let key = commit_key(&self.record.task);
        // Where another run was faster, the same bytes are put under the same names once more, which nobody notices.
        self.put_files()?;
        match put_record(self.out.as_ref(), &key, &to_json(&self.record), self.single_writer) {
            Ok(()) => Ok(match self.record.void {
                Some(reason) => Outcome::Void(reason),
                None => Outcome::Committed(Box::new(self.record)),
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.yield_to_another(&key),
            Err(error) => Err(error.into()),
        }
    }

    fn put_files(&mut self) -> Result<(), Error> {
        let mut files = std::mem::take(&mut self.files);
        while !files.is_empty() {
            let some: Vec<_> = files.drain(..files.len().min(FILES_AT_ONCE)).collect();
            let results: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = some.into_iter().map(|f| scope.spawn(|| f.commit())).collect();
                threads.into_iter().map(|t| t.join().expect("no panic while waiting")).collect()
            });
            results.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// Another run has committed this task: with the same files, or it found an object changed and made the task void.
    fn yield_to_another(&self, key: &str) -> Result<Outcome, Error> {
        let out = self.out.as_ref();
        let theirs: CommitRecord = from_json(&out.get(key)?).map_err(|e| Error::Record(out.url(key), e))?;
        // Where it is ours that is void, another run had read the objects before they changed.
        let Some(reason) = theirs.void.filter(|_| self.record.void.is_none()) else {
            self.delete_retired()?;
            return Ok(Outcome::CommittedByAnother);
        };
        for output in &self.record.outputs {
            delete_if_there(out, &output.key)?;
        }
        delete_if_there(out, &rejects_key(&self.record.task))?;
        Ok(Outcome::Void(reason))
    }
    /// Deletes what was just put once more although a compaction has retired and deleted it meanwhile.
    fn delete_retired(&self) -> Result<(), Error> {
        let out = self.out.as_ref();
        let compactions = Compactions::read(out)?;
        let retired = compactions.retired();
        for output in self.record.outputs.iter().filter(|o| retired.contains(o.key.as_str())) {
            delete_if_there(out, &output.key)?;
        }
        Ok(())
    }
}
