//! Regions of a block's records, where a folder is named after them.

use std::collections::HashMap;

use flowquet_format::folder_region;
use flowquet_parse::{AS_LAST, Block, repeats};

/// The regions that a block's rows belong to.
pub(crate) struct Regions {
    /// In the order in which rows have them first, so that bytes depend on nothing but rows.
    names: Vec<Option<String>>,
    /// Which of them each row has; empty where all have the first.
    of_rows: Vec<u32>,
}

impl Regions {
    /// Those of the records themselves, which engines would not see if the folder said something else; of the object's key where a record has none.
    /// `field` is where they stand in the log format, if they do and a folder is named after them. `flags` is memory to use.
    pub(crate) fn of(
        block: &Block<'_>,
        field: Option<usize>,
        key: Option<&str>,
        flags: &mut Vec<u8>,
    ) -> Self {
        let of_key = key.map(str::to_owned);
        let Some(field) = field else { return Self { names: vec![of_key], of_rows: Vec::new() } };
        let rows = block.rows().len();
        let (mut names, mut of_rows) = (Vec::new(), Vec::new());
        let mut places: HashMap<Option<&str>, u32> = HashMap::new();
        // Almost always all rows have one: a run of equal ones is looked at once.
        repeats(block.column(field, 0..rows), flags);
        let mut start = 0;
        for run in flags.chunk_by(|_, next| next & AS_LAST != 0) {
            let value = folder_region(block.field(block.rows()[start], field));
            let place = *places.entry(value).or_insert_with(|| {
                names.push(value.map(str::to_owned).or_else(|| of_key.clone()));
                (names.len() - 1) as u32
            });
            of_rows.resize(start + run.len(), place);
            start += run.len();
        }
        if names.len() < 2 {
            of_rows.clear();
            names.resize(1, of_key);
        }
        Self { names, of_rows }
    }

    /// The one that all rows have, `None` inside for an unknown one; `None` where they have several.
    pub(crate) fn only(&self) -> Option<Option<&str>> {
        self.of_rows.is_empty().then(|| self.names[0].as_deref())
    }

    /// The place of a row's region.
    pub(crate) fn of_row(&self, row: usize) -> u32 {
        self.of_rows.get(row).copied().unwrap_or(0)
    }

    /// The region at a place.
    pub(crate) fn name(&self, place: u32) -> Option<&str> {
        self.names[place as usize].as_deref()
    }
}
