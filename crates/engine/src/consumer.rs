//! Why lines that were read are not taken.

use flowquet_table::Cause;

use crate::error::Error;

/// What the consumer of an object's lines may say.
#[derive(Debug)]
pub(crate) enum ConsumerError {
    /// The object has to be read from its beginning once more.
    Again,
    /// This object cannot be converted.
    Object(Cause),
    /// The run must end.
    Run(Error),
}
