//! Whether a table's records are as they were written: all there, each once, unchanged, and adding up.
//!
//! A run reads records as far as it needs them, and stops at the first that is wrong. An audit reads all of them one by one, so that
//! each fault is told of the record that has it.

mod fault;
mod listed;
mod reader;

pub use fault::RecordFault;
pub use reader::{RecordAudit, audit};
