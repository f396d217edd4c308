//! Tables as kubectl prints them, lists of facts, and colour.
//!
//! Columns are as wide as their widest cell, three spaces apart, with no space at a line's end.
//! Colour is put around the text after it has been measured, so it never moves a column.

use std::fmt::Write as _;

/// Spaces between columns.
const GAP: usize = 3;

/// What a colour means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    /// Nothing special.
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

/// Whether to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Palette {
    on: bool,
}

impl Palette {
    /// Text as it is.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self::new(false);

    /// A palette that colours, or does not.
    pub(crate) const fn new(on: bool) -> Self {
        Self { on }
    }

    /// The text in the colour of its tone (ECMA-48 SGR).
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
        };
        if self.on && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// One cell.
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in the colour of its tone.
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// The text, or `-` if there is none.
    pub(super) fn optional(text: Option<impl ToString>) -> Self {
        Self::from(text.map_or_else(|| "-".to_owned(), |text| text.to_string()))
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Rows under a header.
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().copied().map(Cell::from).collect()] }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The text, each line ended by a newline.
    pub(super) fn text(&self, palette: Palette) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            // Spaces are written when the next cell comes, so none end a line.
            let mut pending = 0;
            for (cell, width) in row.iter().zip(&widths) {
                if !cell.text.is_empty() {
                    text.extend(std::iter::repeat_n(' ', pending));
                    text.push_str(&palette.paint(cell.tone, &cell.text));
                    pending = 0;
                }
                pending += width - cell.text.chars().count() + GAP;
            }
            text.push('\n');
        }
        text
    }
}

/// `Name:   value` lines, the values in one column.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1 + GAP;
    let mut text = String::new();
    for (name, value) in facts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}{value}", format!("{name}:"));
    }
    text
}
