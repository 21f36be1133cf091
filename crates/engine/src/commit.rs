//! Committing a task: its files first, then its commit record. Nothing here computes; it only waits for the store.

use std::collections::HashSet;
use std::sync::Arc;

use flowquet_store::{Staged, Store};
use flowquet_table::{CommitPut, CommitRecord, Log, delete_if_there, rejects_key};

use crate::error::Error;

/// Files of a task that are made visible at once.
const FILES_AT_ONCE: usize = 16;

/// What became of a task.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its files stand aside, for a reconversion to put its commit.
    Aside(Box<CommitRecord>),
    /// This run committed it.
    Committed(Box<CommitRecord>),
    /// Another run committed it first, with the same files.
    CommittedByAnother(Box<CommitRecord>),
    /// It will never be performed; its objects are free to be planned again.
    Void(String),
}

/// A task whose files are written and not visible yet.
pub(crate) struct ClosedTask {
    pub(crate) out: Arc<dyn Store>,
    /// Layout version of its plan; none for a task of a reconversion.
    pub(crate) layout_version: Option<u32>,
    pub(crate) record: CommitRecord,
    /// Data files and rejects.
    pub(crate) files: Vec<Box<dyn Staged>>,
}

impl ClosedTask {
    /// Commits it, unless another run has.
    pub(crate) fn commit(mut self, log: &Log) -> Result<Outcome, Error> {
        // Where another run was faster, the same bytes are put under the same names once more, which nobody notices.
        self.put_files()?;
        let Some(layout_version) = self.layout_version else {
            return Ok(match self.record.void {
                Some(reason) => Outcome::Void(reason),
                None => Outcome::Aside(Box::new(self.record)),
            });
        };
        match log.commit(&self.record, layout_version)? {
            CommitPut::Ours => Ok(match self.record.void {
                Some(reason) => Outcome::Void(reason),
                None => Outcome::Committed(Box::new(self.record)),
            }),
            CommitPut::Theirs(theirs) => self.yield_to_another(log, theirs),
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

    /// Another run has committed this task, with the same files, or given it up.
    fn yield_to_another(&self, log: &Log, mut theirs: Box<CommitRecord>) -> Result<Outcome, Error> {
        let out = self.out.as_ref();
        // Where it is ours that is void, another run had read the objects before they changed.
        if self.record.void.is_some() {
            return Ok(theirs.void.take().map_or_else(|| Outcome::CommittedByAnother(theirs), Outcome::Void));
        }
        let Some(reason) = theirs.void.take() else {
            self.delete_retired(log)?;
            return Ok(Outcome::CommittedByAnother(theirs));
        };
        for output in &self.record.outputs {
            delete_if_there(out, &output.key)?;
        }
        delete_if_there(out, &rejects_key(&self.record.task))?;
        Ok(Outcome::Void(reason))
    }

    /// Deletes what was just put once more although a compaction has retired and deleted it meanwhile.
    fn delete_retired(&self, log: &Log) -> Result<(), Error> {
        let mut retired = HashSet::new();
        log.retire_since(&mut retired)?;
        for output in self.record.outputs.iter().filter(|o| retired.contains(o.key.as_str())) {
            delete_if_there(self.out.as_ref(), &output.key)?;
        }
        Ok(())
    }
}
