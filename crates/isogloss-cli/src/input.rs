//! Lines of text files and of stdin.

use crate::failure::{Failure, Outcome};
use isogloss::corpus::{CorpusError, Lines};
use std::path::Path;

/// The lines of a UTF-8 file, or of stdin for `-`; none if it is empty. See [`Lines`] for what ends a line.
pub(crate) fn lines(path: &Path) -> Outcome<Vec<String>> {
    match read(path) {
        Err(CorpusError::Empty { .. }) => Ok(Vec::new()),
        other => other.map_err(Failure::input),
    }
}

fn read(path: &Path) -> Result<Vec<String>, CorpusError> {
    let mut lines = if path == Path::new("-") {
        Lines::from_reader(Path::new(&name(path)), std::io::stdin())?
    } else {
        Lines::open(path)?
    };
    let mut all = Vec::new();
    while let Some(line) = lines.next_line()? {
        all.push(line.to_owned());
    }
    Ok(all)
}

/// What to call a path in messages.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "stdin".into()
    } else {
        path.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_line_feeds_end_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\r\nb\u{2028}c\u{85}d\x0be\n\nf\rg").unwrap();
        assert_eq!(
            lines(file.path()).unwrap(),
            ["a", "b\u{2028}c\u{85}d\x0be", "", "f\rg"]
        );
        std::fs::write(file.path(), "").unwrap();
        assert!(lines(file.path()).unwrap().is_empty());
    }
}
