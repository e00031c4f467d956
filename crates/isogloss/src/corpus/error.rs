use std::io;
use std::path::PathBuf;

use crate::language::{Direction, Language, LanguageError};

/// Why parallel text could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file where a folder is expected.
    #[error(
        "{} is a file: expected a folder with a file a language, such as deu_Latn.txt", path.display()
    )]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder has no file of any language that is wanted.
    #[error("{} has no file of any of the languages: expected such as {example}", path.display())]
    NoFile {
        /// The folder.
        path: PathBuf,
        /// Names that would do.
        example: String,
    },
    /// Reading failed on the way, for instance in a truncated `.gz`.
    #[error("{}:{line}: cannot read on: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// 1-based line that was being read.
        line: u64,
        /// The system's or the decompressor's reason.
        source: io::Error,
    },
    /// Bytes that are not UTF-8.
    #[error(
        "{}:{line}: invalid UTF-8 at byte {offset} of the (decompressed) file; convert the file to UTF-8, \
         from Windows-1252 or Latin-1 with `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`",
        path.display()
    )]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// 0-based offset of the first bad byte in the decompressed file.
        offset: u64,
    },
    /// The byte order mark of UTF-16 at the start.
    #[error(
        "{}:1: the file is UTF-16, expected UTF-8; save it as UTF-8, or `iconv -f UTF-16 -t UTF-8 FILE > NEW`",
        path.display()
    )]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A NUL character.
    #[error("{}:{line}: the line holds a NUL character: is this a text file?", path.display())]
    Nul {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
    },
    /// A line beyond [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES).
    #[error("{}:{line}: line longer than {limit} bytes: is there one sentence a line?", path.display())]
    LongLine {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// No line at all, or none after the header.
    #[error("{}: empty corpus", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Aligned files of different length.
    #[error("{} has {first_lines} lines, but {} has {second_lines}: aligned files need equally many", first.display(), second.display())]
    UnequalLines {
        /// One file.
        first: PathBuf,
        /// Its lines.
        first_lines: u64,
        /// The other file.
        second: PathBuf,
        /// Its lines.
        second_lines: u64,
    },
    /// A cell of a table that begins with a quotation mark and doesn't end.
    #[error(
        "{}:{line}: a quotation mark at the start of a cell is not closed; double marks inside of cells, or set `quotes = false` if they are text",
        path.display()
    )]
    Quote {
        /// The file.
        path: PathBuf,
        /// 1-based line in which the row starts.
        line: u64,
    },
    /// A row of a table with too few or too many cells.
    #[error("{}:{line}: expected {expected} {separator} columns, got {got}{hint}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// Columns that the header or the format asks for.
        expected: usize,
        /// What stands between them: `tab-separated`.
        separator: &'static str,
        /// Columns of this row.
        got: usize,
        /// What the file may be instead and what to do then; may be empty.
        hint: &'static str,
    },
    /// A header without a column that is needed, or with one twice.
    #[error("{}:1: {message}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A line of a JSONL file that is no JSON or lacks a field.
    #[error("{}:{line}: {message}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// A code that is no language, in a file.
    #[error("{}:{line}: {source}{hint}", path.display())]
    Language {
        /// The file.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// What is wrong with the code.
        source: LanguageError,
        /// What else may help; may be empty.
        hint: &'static str,
    },
    /// Two rows of one file with the same key.
    #[error("{}:{line}: `{key}` occurs a second time", path.display())]
    DuplicateKey {
        /// The file.
        path: PathBuf,
        /// 1-based line of the second.
        line: u64,
        /// The key.
        key: String,
    },
    /// Two files or columns for one language or for one pair of languages.
    #[error("both `{first}` and `{second}` are {languages}")]
    DuplicateLanguage {
        /// The language or the pair.
        languages: String,
        /// One file or column.
        first: String,
        /// The other.
        second: String,
    },
    /// A path with a placeholder that no file matches.
    #[error("no file matches {pattern}{}", missing(languages))]
    NoFiles {
        /// The path with its placeholders.
        pattern: String,
        /// Languages that were asked for and have no file; empty when none was asked for.
        languages: Vec<Language>,
    },
    /// A row range that ends behind the end of the data.
    #[error("{}: rows {rows} were asked for, but there are {available}", path.display())]
    RowsBeyondEnd {
        /// The file.
        path: PathBuf,
        /// The ranges.
        rows: String,
        /// Rows of the file, without its header.
        available: u64,
    },
    /// A `[[data]]` section that contradicts itself.
    #[error("data section {section}: {message}")]
    Config {
        /// 1-based section.
        section: usize,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// Directions or languages that were asked for and have no pair.
    #[error(
        "no sentence pairs for {}; check `languages` and the paths of the data sections",
        list(directions)
    )]
    NoPairs {
        /// The directions.
        directions: Vec<Direction>,
    },
    /// Languages that were asked for and have no pair with another one.
    #[error(
        "no sentence pairs with {}; check `languages` and the paths of the data sections",
        list(languages)
    )]
    NoLanguage {
        /// The languages.
        languages: Vec<Language>,
    },
    /// Data without a single pair of a wanted direction.
    #[error("the data sections hold no sentence pair; each needs files of two languages or more")]
    Nothing,
    /// More distinct texts than indices have values.
    #[error("more than {} distinct texts", u32::MAX)]
    TooLarge,
}

fn missing(languages: &[Language]) -> String {
    if languages.is_empty() {
        String::new()
    } else {
        format!(" for {}", list(languages))
    }
}

/// The first few of them, separated by commas.
pub(super) fn list<T: ToString>(items: &[T]) -> String {
    const SHOWN: usize = 8;
    let mut text = items
        .iter()
        .take(SHOWN)
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" and {} more", items.len() - SHOWN));
    }
    text
}
