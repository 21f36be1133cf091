//! Text for terminals: how wide they are, and tables that fit.

use std::io::IsTerminal as _;

/// Between columns.
const GAP: &str = "  ";

/// Width of the terminal that standard output is; `None` where it is none, and nothing has to fit.
pub fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// `text` in at most `max` characters, shortened in its middle: of a key both ends tell most.
pub fn shortened(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_owned();
    }
    let kept = max.saturating_sub(1);
    let front = kept / 2;
    let back = kept - front;
    let chars: Vec<char> = text.chars().collect();
    chars[..front].iter().chain(['…'].iter()).chain(&chars[count - back..]).collect()
}

/// `text` without what a terminal obeys: names and values are those of whoever wrote the logs.
pub fn visible(text: &str) -> String {
    let of = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(of).collect()
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its head.
    pub head: String,
    /// Its cells, one a row.
    pub cells: Vec<String>,
    /// Whether cells stand at its right side, as numbers do.
    pub is_number: bool,
}

impl Column {
    /// A column of words.
    pub fn text(head: &str, cells: Vec<String>) -> Self {
        Self { head: head.to_owned(), cells, is_number: false }
    }

    /// A column of numbers.
    pub fn number(head: &str, cells: Vec<String>) -> Self {
        Self { is_number: true, ..Self::text(head, cells) }
    }

    fn width(&self) -> usize {
        let texts = self.cells.iter().chain([&self.head]);
        texts.map(|text| text.chars().count()).max().unwrap_or_default()
    }

    /// Whether no cell tells anything.
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }

    /// Shortens cells to `max` characters.
    pub fn shorten(&mut self, max: usize) {
        self.cells.iter_mut().for_each(|cell| *cell = shortened(cell, max));
    }
}

/// Characters of the longest line of a table of these columns.
pub fn table_width(columns: &[Column]) -> usize {
    columns.iter().map(|c| c.width() + GAP.len()).sum()
}

/// A table: two blanks before each column, so that it stands in from what is written above it.
pub fn table(columns: &[Column]) -> String {
    let rows = columns.first().map_or(0, |c| c.cells.len());
    let mut text = String::new();
    for row in 0..=rows {
        let mut line = String::new();
        for column in columns {
            let cell = row.checked_sub(1).map_or(&column.head, |i| &column.cells[i]);
            let blanks = " ".repeat(column.width() - cell.chars().count());
            let (before, behind) =
                if column.is_number { (blanks, String::new()) } else { (String::new(), blanks) };
            line.push_str(&format!("{GAP}{before}{cell}{behind}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shortened_in_the_middle() {
        for (text, max, expected) in [
            ("fl-0abc", 7, "fl-0abc"),
            ("fl-0abc", 6, "fl…abc"),
            ("fl-0abc", 3, "f…c"),
            ("äöüß", 3, "ä…ß"),
            ("abc", 1, "…"),
        ] {
            assert_eq!(shortened(text, max), expected);
        }
    }

    #[test]
    fn a_terminal_is_told_nothing() {
        assert_eq!(visible("a\u{1b}[2Jb\tc\nd\u{9b}é"), "a\u{fffd}[2Jb\u{fffd}c\nd\u{fffd}é");
    }

    #[test]
    fn tables_stand_in_columns() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let columns = [Column::text("A", cells(["x", "yyy"])), Column::number("N", cells(["7", "1,000"]))];
        assert_eq!(table(&columns), "  A        N\n  x        7\n  yyy  1,000\n");
        assert_eq!(table_width(&columns), "  yyy  1,000".len());
    }
}
