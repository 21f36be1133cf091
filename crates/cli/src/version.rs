//! Which program this is, for whoever reads a report of it later.

/// The version, and the commit where this was built from a clone: what `--version` says.
pub(crate) const VERSION: &str = env!("FLOWQUET_VERSION");
