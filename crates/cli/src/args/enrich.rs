//! The value of `--enrich`.

use std::str::FromStr;

use flowquet_format::is_enriched_name;
use flowquet_store::Location;

/// A value of the option: a file, and what its columns are called after.
#[derive(Debug, Clone)]
pub(crate) struct EnrichArg {
    pub(crate) name: String,
    pub(crate) file: Location,
}

impl FromStr for EnrichArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) =
            text.split_once('=').ok_or_else(|| format!("expected NAME=FILE, found `{text}`"))?;
        if !is_enriched_name(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(format!(
                "expected a name of lower-case letters, digits and `_`, a letter first, found `{name}`"
            ));
        }
        if file.is_empty() {
            return Err(format!("expected a file after `{name}=`, found none"));
        }
        Ok(Self { name: name.to_owned(), file: Location::parse(file)? })
    }
}
