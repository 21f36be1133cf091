//! Making a table without files anew with other options.

use crate::contract::TableContract;
use crate::error::Error;
use crate::layout::CONTRACT_KEY;
use crate::log::Log;
use crate::options::Options;
use crate::records::to_json;

impl Log {
    /// Has the stored contract say what files have in common, for whoever asks nothing else. The plans have the last word: a run may have been
    /// killed between its plan and this. Returns what was stored, where it was another.
    ///
    /// # Errors
    /// As the store reports.
    pub fn keep_contract(&mut self) -> Result<Option<TableContract>, Error> {
        if *self.state().contract() == self.stored {
            return Ok(None);
        }
        self.out().put(CONTRACT_KEY, &to_json(self.state().contract()))?;
        let contract = self.state().contract().clone();
        Ok(Some(std::mem::replace(&mut self.stored, contract)))
    }

    /// Has a table without a plan be one of these options.
    ///
    /// # Errors
    /// As the store reports.
    pub fn remake(&mut self, options: &Options) -> Result<(), Error> {
        if self.state().last_plan() == 0 {
            self.state_mut().follow(options);
        }
        self.keep_contract().map(drop)
    }
}
