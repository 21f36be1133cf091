//! New files take the place of old ones: those of a compaction, a reconversion or a roll-up.
//!
//! # How the table changes hands
//!
//! 1. New files are put where no reader looks (`_flowquet/compacted/`), under names that their inputs and options decide.
//! 2. A numbered record, put if absent, retires the old files. From here on the new ones are the table.
//! 3. A catalog that points at the partition is pointed at the new files ([`Pointers`]), and readers that began before are
//!    given time.
//! 4. The new files are put in place, all of them; only then the old ones are deleted.
//! 5. The catalog is pointed back, readers are given time again, and what was put aside in step 1 is deleted.
//!
//! Each step can be done twice. A process that is killed leaves a record without its mark of completion, and the next
//! compaction goes on with step 3.

mod late;
mod place;

pub(crate) use late::Late;
pub use place::Pointers;
pub(crate) use place::{Placing, are_live, finish_open};
