//! Tables and folded parts.

use crate::report::markup::{Element, Html, el};

/// A part that can be wider than the page: scrolled by itself, also with the keyboard.
pub(super) fn scroll(name: &str, content: impl Into<Html>) -> Element {
    el("div")
        .class("scroll")
        .attr("role", "group")
        .attr("aria-label", name)
        .attr("tabindex", "0")
        .with(content)
}

/// A folded part.
pub(super) fn folded(name: &str, content: impl Into<Html>) -> Element {
    el("details").with(el("summary").with(name)).with(content)
}

/// A cell that is a number or a word.
pub(super) enum Cell {
    /// Set to the left.
    Word(Html),
    /// Set to the right.
    Number(String),
}

impl From<Element> for Cell {
    fn from(element: Element) -> Self {
        Cell::Word(element.into())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Word(text.into())
    }
}

impl From<Html> for Cell {
    fn from(html: Html) -> Self {
        Cell::Word(html)
    }
}

/// A cell with a number.
pub(super) fn number(text: impl Into<String>) -> Cell {
    Cell::Number(text.into())
}

/// A cell with a number that may be missing.
pub(super) fn some_number(text: Option<String>) -> Cell {
    number(text.unwrap_or_else(|| "–".to_owned()))
}

/// A table with the names of its columns, of which those of numbers are marked, and rows whose first cell is their name.
pub(super) fn table(name: &str, columns: &[(&str, bool)], rows: Vec<Vec<Cell>>) -> Element {
    let head = columns.iter().map(|(column, is_number)| {
        let head = el("th").attr("scope", "col");
        match is_number {
            true => head.class("number").with(*column),
            false => head.with(*column),
        }
    });
    let row = |cells: Vec<Cell>| {
        let mut row = el("tr");
        for (i, cell) in cells.into_iter().enumerate() {
            row.push(match (i, cell) {
                (0, Cell::Word(html)) => el("th").attr("scope", "row").with(html),
                (0, Cell::Number(text)) => el("th").attr("scope", "row").class("number").with(text),
                (_, Cell::Word(html)) => el("td").with(html),
                (_, Cell::Number(text)) => el("td").class("number").with(text),
            });
        }
        row
    };
    let table = el("table")
        .with(el("thead").with(el("tr").all(head)))
        .with(el("tbody").all(rows.into_iter().map(row)));
    scroll(name, table)
}

/// Names with values, as a list.
pub(super) fn pairs(all: Vec<(&str, Html)>) -> Element {
    let pair = |(name, value): (&str, Html)| {
        el("div")
            .with(el("dt").with(name))
            .with(el("dd").with(value))
    };
    el("dl").class("pairs").all(all.into_iter().map(pair))
}
