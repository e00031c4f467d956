//! Lines of text files, strictly.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use super::CorpusError;

/// Longest line that is read, in bytes. Sentences are a thousand times shorter; a file without line ends, or a small
/// compressed file that unpacks to gigabytes, is refused before it fills the memory.
pub const MAX_LINE_BYTES: usize = 16 << 20;

const BUFFER: usize = 64 << 10;

/// The lines of a text file, read one at a time; gzip and zstd are recognised by their first bytes.
///
/// A line ends with LF or CR LF, the last one may lack it. Nothing else ends a line: U+2028, U+2029, U+0085, vertical tab, form
/// feed and a lone CR stay in it, so that line numbers agree with those of editors, `wc -l` and sacreBLEU.
/// A byte order mark at the start is dropped, with a debug message in the log; that of UTF-16 is an error.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    line: u64,
    offset: u64,
}

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    /// [`CorpusError::Open`], or [`CorpusError::Read`] for a broken compressed header.
    pub fn open(path: &Path) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(|source| CorpusError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::from_reader(path, file)
    }

    /// Reads from any source; `path` is what messages call it.
    ///
    /// # Errors
    /// [`CorpusError::Read`] if the first bytes cannot be read.
    pub fn from_reader(
        path: &Path,
        reader: impl Read + Send + 'static,
    ) -> Result<Self, CorpusError> {
        let failed = |source| CorpusError::Read {
            path: path.to_owned(),
            line: 1,
            source,
        };
        let reader = decompressed(reader).map_err(failed)?;
        Ok(Lines {
            path: path.to_owned(),
            reader,
            buffer: Vec::new(),
            line: 0,
            offset: 0,
        })
    }

    /// What messages call the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// 1-based number of the line that was read last; 0 before the first.
    #[must_use]
    pub fn line_number(&self) -> u64 {
        self.line
    }

    /// The next line without its end, `None` behind the last.
    ///
    /// # Errors
    /// Failing reads, UTF-16, invalid UTF-8, NUL characters, lines beyond [`MAX_LINE_BYTES`], and [`CorpusError::Empty`] for a file
    /// without any line.
    pub fn next_line(&mut self) -> Result<Option<&str>, CorpusError> {
        let Some((start, end)) = self.fill()? else {
            return Ok(None);
        };
        let bytes = &self.buffer[start..end];
        if bytes.contains(&0) {
            return Err(CorpusError::Nul {
                path: self.path.clone(),
                line: self.line,
            });
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let line_start = self.offset - self.buffer.len() as u64;
                Err(CorpusError::Utf8 {
                    path: self.path.clone(),
                    line: self.line,
                    offset: line_start + (start + error.valid_up_to()) as u64,
                })
            }
        }
    }

    /// Reads on to the end and returns the number of lines of the file; their text is checked as ever.
    pub(super) fn count_rest(&mut self) -> Result<u64, CorpusError> {
        while self.next_line()?.is_some() {}
        Ok(self.line)
    }

    /// Reads a line into the buffer and returns where its text lies there.
    fn fill(&mut self) -> Result<Option<(usize, usize)>, CorpusError> {
        self.buffer.clear();
        let limit = MAX_LINE_BYTES as u64 + 1;
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| CorpusError::Read {
                path: self.path.clone(),
                line: self.line + 1,
                source,
            })?;
        let starts = |mark: &[u8]| self.line == 0 && self.buffer.starts_with(mark);
        if starts(b"\xFF\xFE") || starts(b"\xFE\xFF") {
            return Err(CorpusError::Utf16 {
                path: self.path.clone(),
            });
        }
        if read > MAX_LINE_BYTES {
            return Err(CorpusError::LongLine {
                path: self.path.clone(),
                line: self.line + 1,
                limit: MAX_LINE_BYTES,
            });
        }
        let start = if starts(b"\xEF\xBB\xBF") {
            // Files are read several times in a run, and nothing is lost.
            tracing::debug!(path = %self.path.display(), "dropped a byte order mark");
            3
        } else {
            0
        };
        if read == 0 || (self.line == 0 && read == start) {
            return if self.line == 0 {
                Err(CorpusError::Empty {
                    path: self.path.clone(),
                })
            } else {
                Ok(None)
            };
        }
        self.line += 1;
        self.offset += read as u64;
        let mut end = read;
        if self.buffer[start..end].ends_with(b"\n") {
            end -= 1;
            if self.buffer[start..end].ends_with(b"\r") {
                end -= 1;
            }
        }
        Ok(Some((start, end)))
    }
}

/// The bytes under the compression, if any.
fn decompressed(mut reader: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut magic = Vec::with_capacity(4);
    (&mut reader).take(4).read_to_end(&mut magic)?;
    // Neither magic number is the start of a UTF-8 text, so a name that lies does no harm.
    let (gzip, zstd) = (
        magic.starts_with(&[0x1F, 0x8B]),
        magic == [0x28, 0xB5, 0x2F, 0xFD],
    );
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(magic).chain(reader));
    Ok(if gzip {
        Box::new(BufReader::with_capacity(
            BUFFER,
            flate2::bufread::MultiGzDecoder::new(whole),
        ))
    } else if zstd {
        Box::new(BufReader::with_capacity(
            BUFFER,
            zstd::stream::read::Decoder::with_buffer(whole)?,
        ))
    } else {
        Box::new(whole)
    })
}

/// A line as training text: white space at its ends goes, and each character that another program could take for a line end
/// (U+2028, U+2029, U+0085, vertical tab, form feed, CR, LF) or a tab becomes a space, so that a translation is one line and one
/// cell everywhere.
#[must_use]
pub fn clean_text(line: &str) -> Cow<'_, str> {
    let breaks = |c| {
        matches!(
            c,
            '\t' | '\n' | '\u{B}' | '\u{C}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let line = line.trim();
    if line.contains(breaks) {
        Cow::Owned(line.replace(breaks, " "))
    } else {
        Cow::Borrowed(line)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::super::logged::logged;
    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<String>, CorpusError> {
        let mut lines = Lines::from_reader(Path::new("text"), Cursor::new(bytes.to_vec()))?;
        let mut all = Vec::new();
        while let Some(line) = lines.next_line()? {
            all.push(line.to_owned());
        }
        assert_eq!(lines.line_number(), all.len() as u64);
        Ok(all)
    }

    fn message(bytes: &[u8]) -> String {
        lines(bytes).unwrap_err().to_string()
    }

    #[test]
    fn only_lf_and_cr_lf_end_a_line() {
        assert_eq!(lines(b"a\nb\r\nc").unwrap(), ["a", "b", "c"]);
        assert_eq!(lines(b"a\n\nb\n").unwrap(), ["a", "", "b"]);
        assert_eq!(lines(b"a\rb\n").unwrap(), ["a\rb"]);
        assert_eq!(lines(b"\r\n").unwrap(), [""]);
        let odd = "a\u{2028}b\u{85}c\u{B}d\u{C}e\u{2029}f";
        assert_eq!(lines(odd.as_bytes()).unwrap(), [odd]);
        assert_eq!(clean_text(odd), "a b c d e f");
        assert_eq!(clean_text("\u{2028} a\tb\u{A0}"), "a b");
    }

    #[test]
    fn a_byte_order_mark_is_dropped_at_the_start_only() {
        assert_eq!(
            lines("\u{FEFF}a\n\u{FEFF}b".as_bytes()).unwrap(),
            ["a", "\u{FEFF}b"]
        );
        assert!(matches!(
            lines("\u{FEFF}".as_bytes()),
            Err(CorpusError::Empty { .. })
        ));
        assert_eq!(lines("\u{FEFF}\n".as_bytes()).unwrap(), [""]);
        let (_, log) = logged(|| lines("\u{FEFF}a\n".as_bytes()));
        let levels: Vec<_> = log.iter().map(|(level, _)| *level).collect();
        assert_eq!(levels, [tracing::Level::DEBUG], "{log:?}");
    }

    #[test]
    fn utf_16_is_named_and_how_to_convert_it() {
        let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let expected = "text:1: the file is UTF-16, expected UTF-8; save it as UTF-8, \
                        or `iconv -f UTF-16 -t UTF-8 FILE > NEW`";
        // The last holds no NUL, and the first line ends in the middle of a character.
        for text in [
            "\u{FEFF}Öl\tOil\r\n",
            "\u{FEFF}",
            "\u{FEFF}\u{300A}\u{4E01}",
        ] {
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                assert_eq!(message(&utf_16(text, bytes)), expected, "{text:?}");
            }
        }
        let compressed = zstd::encode_all(&utf_16("\u{FEFF}a", u16::to_le_bytes)[..], 1).unwrap();
        assert_eq!(message(&compressed), expected);
        // Further down the bytes are no mark.
        assert!(message(b"a\n\xFF\xFEb\n").starts_with("text:2: invalid UTF-8 at byte 2 "));
    }

    #[test]
    fn bad_text_is_named_by_line_and_byte() {
        assert_eq!(message(b""), "text: empty corpus");
        assert_eq!(
            message(b"ab\nc\xFFd\n"),
            "text:2: invalid UTF-8 at byte 4 of the (decompressed) file; convert the file to UTF-8, \
             from Windows-1252 or Latin-1 with `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`"
        );
        assert!(message(b"\xEF\xBB\xBFab\xFF\n").contains("byte 5 "));
        assert_eq!(
            message(b"a\nb\0c"),
            "text:2: the line holds a NUL character: is this a text file?"
        );
        let long = vec![b'a'; MAX_LINE_BYTES + 1];
        assert!(matches!(
            lines(&long),
            Err(CorpusError::LongLine { line: 1, .. })
        ));
    }

    #[test]
    fn gzip_and_zstd_are_transparent_even_in_several_members() {
        let gzip = |text: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let members = [gzip(b"a\nb"), gzip(b"c\nd\n")].concat();
        assert_eq!(lines(&members).unwrap(), ["a", "bc", "d"]);
        let frames = [&b"a\nb"[..], b"c\nd\n"]
            .map(|text| zstd::encode_all(text, 1).unwrap())
            .concat();
        assert_eq!(lines(&frames).unwrap(), ["a", "bc", "d"]);
        let cut = &members[..members.len() - 12];
        assert!(
            matches!(lines(cut), Err(CorpusError::Read { .. })),
            "{:?}",
            lines(cut)
        );
        assert!(matches!(
            lines(&frames[..frames.len() - 2]),
            Err(CorpusError::Read { .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Any bytes give lines or an error, and the lines are the text's.
        #[test]
        fn any_bytes_are_lines_or_an_error(bytes in prop::collection::vec(prop_oneof![
            Just(b'\n'), Just(b'\r'), any::<u8>(), Just(b'a'), Just(0x1F), Just(0x8B), Just(0x28), Just(0xB5)
        ], 0..40)) {
            if let Ok(found) = lines(&bytes) {
                let text = String::from_utf8_lossy(&bytes);
                let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
                let line = |l: &str| match l.strip_suffix('\n') {
                    Some(l) => l.strip_suffix('\r').unwrap_or(l).to_owned(),
                    None => l.to_owned(),
                };
                let expected: Vec<String> = text.split_inclusive('\n').map(line).collect();
                let compressed = bytes.starts_with(&[0x1F, 0x8B]) || bytes.starts_with(&[0x28, 0xB5]);
                prop_assert!(found == expected || compressed, "{found:?}");
            }
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = Lines::open(Path::new("no/such.txt"))
            .err()
            .map(|e| e.to_string());
        assert!(message.is_some_and(|m| m.starts_with("cannot open no/such.txt: ")));
    }
}
