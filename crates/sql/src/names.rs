//! Names that questions and messages share.

/// What every table is called in a question.
pub(crate) const FLOWS: &str = "flows";
