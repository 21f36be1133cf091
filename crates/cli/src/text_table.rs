//! Tables as text.

use comfy_table::{ContentArrangement, Table, presets};

/// A table without lines, as wide as the terminal.
pub(crate) fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table
}

/// The table's text without blanks at line ends.
pub(crate) fn table_text(table: &Table) -> String {
    table.lines().map(|l| format!("{}\n", l.trim_end())).collect()
}
