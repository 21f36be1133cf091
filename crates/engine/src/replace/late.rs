//! Files of work that came too late: no record will ask for them.

use flowquet_table::{Error as LogError, Log, delete_if_there};

/// Work that came too late, by the ids of what its records would have been: some of their files may be another run's, which did the
/// same, and is not through with them.
#[derive(Debug, Default)]
pub(crate) struct Late {
    ids: Vec<String>,
}

impl Late {
    /// Adds work whose record can be put by nobody any more: what it would have retired is retired.
    pub(crate) fn add(&mut self, id: String) {
        self.ids.push(id);
    }

    /// Deletes what stands aside of all this, as `log` has it: only where a record under such an id is not through, its run needs them,
    /// and deletes them itself.
    ///
    /// # Errors
    /// As the store reports.
    pub(crate) fn clear(&mut self, log: &Log) -> Result<(), LogError> {
        let mut left = Vec::new();
        for id in std::mem::take(&mut self.ids) {
            if log.state().files().open().any(|record| record.id == id) {
                left.push(id);
                continue;
            }
            for key in log.aside(&id)? {
                delete_if_there(log.out().as_ref(), &key)?;
            }
        }
        self.ids = left;
        Ok(())
    }
}
