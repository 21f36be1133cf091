//! What is this? Objects, and all objects below a folder or prefix, looked at without a table.
//!
//! [`Looker`] looks at one object ([`look_at`]) by the reader and the parser that a conversion uses, so that both say the same of it. [`survey()`] lists
//! sources as a conversion does, groups objects by what their keys tell, and looks at the beginning of one object a group.

mod look;
mod object;
mod survey;

pub use look::{Found, Limits, Lines, Look, Looker, ToldBy};
pub use object::{look_at, look_at_stdin, named_object};
pub use survey::{Other, OtherKind, Survey, SurveyRequest, SurveyedLog, survey};

#[cfg(test)]
mod tests;
