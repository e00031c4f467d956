//! Lines of text files and of stdin.

use crate::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use std::io::Read;
use std::path::Path;

/// The lines of a UTF-8 file, or of stdin for `-`.
///
/// Only a line feed ends a line (with a carriage return before it, which is dropped): U+2028 and the like are text, else
/// files would fall out of step with those that other tools wrote.
pub(crate) fn lines(path: &Path) -> Outcome<Vec<String>> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes
        .with_context(|| format!("cannot read {}", name(path)))
        .map_err(Failure::input)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..offset]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
            + 1;
        let byte = error.as_bytes()[offset];
        Failure::input(anyhow!(
            "{}: line {line}: not UTF-8: byte 0x{byte:02x} at offset {offset}",
            name(path)
        ))
        .hint("convert the file first, for example with `iconv -f LATIN1 -t UTF-8`")
    })?;
    let strip = |line: &str| line.strip_suffix('\r').unwrap_or(line).to_owned();
    Ok(text.split_terminator('\n').map(strip).collect())
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
