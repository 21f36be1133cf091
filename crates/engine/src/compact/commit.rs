//! Puts the record of a compaction.

use flowquet_table::{CompactionRecord, Log};

use crate::error::Error;
use crate::replace::are_live;

/// What became of a merging.
pub(super) enum Outcome {
    /// With the id that its record would have had.
    ByAnother(String),
    Committed(Box<CompactionRecord>),
    /// Files are large enough as they are.
    NoGain,
}

/// Commits a compaction, unless another one has retired some of its files meanwhile.
pub(super) fn commit(log: &mut Log, draft: CompactionRecord) -> Result<Outcome, Error> {
    let put = log.append_compaction(&mut |state| {
        let are_live = are_live(state, draft.retired.iter().map(|f| f.key.as_str()))?;
        let number = state.files().last_compaction() + 1;
        Ok(are_live.then(|| CompactionRecord { number, ..draft.clone() }))
    })?;
    Ok(match put {
        Some(record) => Outcome::Committed(Box::new(record)),
        None => Outcome::ByAnother(draft.id),
    })
}
