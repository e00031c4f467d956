//! Rows of a table: cells between separators, bare or in quotation marks.

use std::path::Path;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use crate::corpus::{CorpusError, Lines, MAX_LINE_BYTES, Separator};

/// A table that is read row by row.
pub(super) struct Table {
    lines: Lines,
    separator: Separator,
    /// If cells may stand in quotation marks.
    quotes: Option<Box<Reader>>,
    /// The cells of the row end to end, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Line in which the row starts, from 1.
    line: u64,
    /// Cells that look as if a spreadsheet had quoted them, where no quotes are expected.
    quoted: u64,
}

/// The cells of a row.
pub(super) type Row<'a> = Vec<&'a str>;

impl Table {
    pub fn open(
        path: &Path,
        separator: Separator,
        quotes: Option<bool>,
    ) -> Result<Self, CorpusError> {
        let quotes = quotes.unwrap_or(separator != Separator::Tab);
        let reader = || {
            let mut builder = ReaderBuilder::new();
            // A lone carriage return stays in its cell, as it does in a line.
            builder.terminator(Terminator::Any(b'\n'));
            builder.delimiter(separator.byte()).build()
        };
        Ok(Table {
            lines: Lines::open(path)?,
            separator,
            quotes: quotes.then(|| Box::new(reader())),
            text: Vec::new(),
            ends: Vec::new(),
            line: 0,
            quoted: 0,
        })
    }

    /// What messages call the file.
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// The next row; `None` behind the last.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, CorpusError> {
        Ok(self.advance()?.then(|| self.cells()))
    }

    /// The next row, which has `N` cells.
    pub fn next_row_of<const N: usize>(&mut self) -> Result<Option<[&str; N]>, CorpusError> {
        if !self.advance()? {
            return Ok(None);
        }
        match <[&str; N]>::try_from(self.cells()) {
            Ok(cells) => Ok(Some(cells)),
            Err(cells) => Err(self.wrong(N, cells.len())),
        }
    }

    /// Reads the next row; false behind the last.
    fn advance(&mut self) -> Result<bool, CorpusError> {
        self.text.clear();
        self.ends.clear();
        let Some(line) = self.lines.next_line()? else {
            self.warn_of_quotes();
            return Ok(false);
        };
        match &mut self.quotes {
            // The parser passes over empty lines.
            Some(_) if line.is_empty() => self.ends.push(0),
            Some(reader) => {
                let mut whole = feed(reader, line, &mut self.text, &mut self.ends);
                self.line = self.lines.line_number();
                while !whole {
                    whole = match self.lines.next_line()? {
                        Some(line) if self.text.len() <= MAX_LINE_BYTES => {
                            feed(reader, line, &mut self.text, &mut self.ends)
                        }
                        _ => {
                            return Err(CorpusError::Quote {
                                path: self.lines.path().to_owned(),
                                line: self.line,
                            });
                        }
                    };
                }
                return Ok(true);
            }
            None => {
                for cell in line.split(char::from(self.separator.byte())) {
                    self.quoted += u64::from(is_quoted(cell));
                    self.text.extend_from_slice(cell.as_bytes());
                    self.ends.push(self.text.len());
                }
            }
        }
        self.line = self.lines.line_number();
        Ok(true)
    }

    /// What to say of the row that was read last, if it has not as many cells as it should.
    pub fn wrong(&self, expected: usize, got: usize) -> CorpusError {
        CorpusError::Columns {
            path: self.path().to_owned(),
            line: self.line,
            expected,
            separator: self.separator.name(),
            got,
            hint: self.hint(),
        }
    }

    /// What to add to a message on the row that was read last where the table may be CSV. Only of the first line: a comma in a later one
    /// without a tab is that of a sentence.
    pub fn hint(&self) -> &'static str {
        let has = |separator: u8| self.text.contains(&separator);
        match (self.separator, self.line, self.ends.len()) {
            (Separator::Tab, 1, 1) if has(b';') => {
                "; this looks like CSV: `separator = \";\"` in the data section reads it"
            }
            (Separator::Tab, 1, 1) if has(b',') => {
                "; this looks like CSV: `separator = \",\"` in the data section reads it"
            }
            _ => "",
        }
    }

    fn cells(&self) -> Row<'_> {
        let mut start = 0;
        let cells = self.ends.iter().map(|&end| {
            let cell = &self.text[start..end];
            start = end;
            // What is taken from text at its separators and quotation marks is text.
            std::str::from_utf8(cell).unwrap_or_default()
        });
        cells.collect()
    }

    fn warn_of_quotes(&mut self) {
        let cells = std::mem::take(&mut self.quoted);
        if cells > 0 {
            tracing::warn!(
                path = %self.path().display(),
                "{cells} cells stand in quotation marks with doubled ones inside, as spreadsheets write them; they are taken as they are: \
                 `quotes = true` in the data section takes the marks off"
            );
        }
    }
}

/// Gives the parser a line of a row, of which `text` and `ends` hold what came before. Whether the row ends with it: a cell in quotation marks may
/// hold line breaks, which become spaces.
fn feed(reader: &mut Reader, line: &str, text: &mut Vec<u8>, ends: &mut Vec<usize>) -> bool {
    let line = [line.as_bytes(), b"\n"].concat();
    // No cell is longer than the text that it comes from, and no more cells end in a line than it has bytes.
    let (before, cells) = (text.len(), ends.len());
    text.resize(before + line.len(), 0);
    ends.resize(cells + line.len(), 0);
    let (result, _, written, ended) =
        reader.read_record(&line, &mut text[before..], &mut ends[cells..]);
    text.truncate(before + written);
    ends.truncate(cells + ended);
    for byte in &mut text[before..] {
        if *byte == b'\n' {
            *byte = b' ';
        }
    }
    matches!(result, ReadRecordResult::Record)
}

/// Whether a spreadsheet has put a cell in quotation marks because of some inside: a sentence in quotation marks is left alone.
fn is_quoted(cell: &str) -> bool {
    let inner = cell.strip_prefix('"').and_then(|c| c.strip_suffix('"'));
    inner.is_some_and(|inner| inner.contains("\"\"") && !inner.replace("\"\"", "").contains('"'))
}
