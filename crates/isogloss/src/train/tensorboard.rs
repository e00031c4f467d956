//! Curves for `TensorBoard`: what `events.jsonl` holds, as an event file.
//!
//! A file is a sequence of `TFRecord`s, each a protocol buffer of type `Event` (`tensorflow/core/util/event.proto`). The four fields that
//! scalars need are written by hand.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::files::{self, FileError};
use crate::train::Event;

/// Writes an event file beside others of the same folder.
#[derive(Debug)]
pub struct TensorBoard {
    file: File,
    path: PathBuf,
    /// Whether a record is lost already: told once.
    behind: bool,
}

impl TensorBoard {
    /// Starts a file in a folder, which is made if need be. A run that goes on starts another; `TensorBoard` shows both as one.
    ///
    /// # Errors
    /// If the folder or the file can't be made.
    pub fn create(dir: &Path) -> Result<Self, FileError> {
        files::create_dir(dir)?;
        let seconds = now() as u64;
        // The first name that is free: two runs may start within a second.
        for number in 0.. {
            let name = format!(
                "events.out.tfevents.{seconds}.isogloss.{}.{number}",
                std::process::id()
            );
            let path = dir.join(name);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    let mut board = TensorBoard {
                        file,
                        path,
                        behind: false,
                    };
                    board.write(&version(now()));
                    return Ok(board);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(FileError::Write { path, source }),
            }
        }
        unreachable!("some number is free")
    }

    /// Appends what an event says. What can't be written is lost and told once: training doesn't stop for it.
    pub fn event(&mut self, event: &Event) {
        let time = now();
        let mut scalars: Vec<(&str, u64, f64)> = Vec::new();
        match *event {
            Event::Update {
                update,
                epoch,
                learning_rate,
                loss,
                nll,
                norm,
                tokens,
                seconds,
                ..
            } => {
                scalars.extend([
                    ("train/loss", update, loss),
                    ("train/nll", update, nll),
                    ("train/gradient_norm", update, norm),
                    ("train/learning_rate", update, learning_rate),
                    ("train/epoch", update, epoch as f64),
                ]);
                if seconds > 0.0 {
                    scalars.push(("train/tokens_per_second", update, tokens as f64 / seconds));
                }
            }
            Event::Validation {
                update, nll, chrf, ..
            } => {
                scalars.push(("validation/nll", update, nll));
                scalars.extend(chrf.map(|chrf| ("validation/chrf++", update, chrf)));
            }
            _ => {}
        }
        for (tag, step, value) in scalars {
            self.write(&scalar(time, step, tag, value as f32));
        }
    }

    fn write(&mut self, event: &[u8]) {
        match self.file.write_all(&record(event)) {
            Err(e) if !self.behind => {
                self.behind = true;
                let path = self.path.display();
                tracing::warn!("cannot write {path}: {e}; training goes on without it");
            }
            _ => {}
        }
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |time| time.as_secs_f64())
}

/// CRC-32C (Castagnoli), bit by bit: records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// The checksum as `TFRecord`s hold it.
fn masked(bytes: &[u8]) -> [u8; 4] {
    let sum = crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8);
    sum.to_le_bytes()
}

/// Length, its checksum, the content, its checksum.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length, &masked(&length)[..], content, &masked(content)].concat()
}

/// A number of variable length: seven bits a byte, lowest first.
fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend(bytes);
}

/// `wall_time`, field 1, a double.
fn start(time: f64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(time.to_le_bytes());
    event
}

/// The first event of a file: `file_version`, field 3.
fn version(time: f64) -> Vec<u8> {
    let mut event = start(time);
    field(3, b"brain.Event:2", &mut event);
    event
}

/// An event with one scalar: `step`, field 2; `summary`, field 5, with one `value`, field 1, of `tag`, field 1, and `simple_value`, field 2.
fn scalar(time: f64, step: u64, tag: &str, value: f32) -> Vec<u8> {
    let mut event = start(time);
    event.push(2 << 3);
    varint(step, &mut event);
    let mut of_value = Vec::new();
    field(1, tag.as_bytes(), &mut of_value);
    of_value.push(2 << 3 | 5);
    of_value.extend(value.to_le_bytes());
    let mut summary = Vec::new();
    field(1, &of_value, &mut summary);
    field(5, &summary, &mut event);
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4, and the check value of CRC-32C.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn records_are_as_tensorflow_writes_them() {
        // `SummaryWriter.add_scalar("a", 0.5, 300)` at time 1.0.
        let event = scalar(1.0, 300, "a", 0.5);
        let expected = [
            0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, // wall_time
            0x10, 0xAC, 0x02, // step
            0x2A, 10, 0x0A, 8, 0x0A, 1, b'a', 0x15, 0, 0, 0, 0x3F, // summary
        ];
        assert_eq!(event, expected);
        let record = record(&event);
        assert_eq!(record.len(), 8 + 4 + event.len() + 4);
        assert_eq!(record[..8], 24u64.to_le_bytes());
    }

    /// The events of a file, checked and taken apart: step, tag and value.
    fn read(path: &Path) -> Vec<(u64, String, f32)> {
        let bytes = std::fs::read(path).unwrap();
        let (mut rest, mut found) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]));
            let content = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked(content));
            rest = &rest[16 + length..];
            if content[9] == 3 << 3 | 2 {
                assert_eq!(&content[11..], b"brain.Event:2");
                continue;
            }
            let (mut step, mut at) = (0, 10);
            for shift in (0..).step_by(7) {
                step |= u64::from(content[at] & 0x7F) << shift;
                at += 1;
                if content[at - 1] < 0x80 {
                    break;
                }
            }
            // Summary, value and tag: lengths below 128 all.
            let tag = usize::from(content[at + 5]);
            let text = String::from_utf8(content[at + 6..at + 6 + tag].to_vec()).unwrap();
            let value = content[at + 7 + tag..].try_into().unwrap();
            found.push((step, text, f32::from_le_bytes(value)));
        }
        found
    }

    #[test]
    fn events_can_be_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let mut board = TensorBoard::create(&folder).unwrap();
        // Another of the same second has another name.
        TensorBoard::create(&folder).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        board.event(&Event::Update {
            update: 70_000,
            planned: 80_000,
            epoch: 2,
            learning_rate: 0.25,
            loss: 3.5,
            nll: 3.0,
            norm: 1.5,
            tokens: 100,
            total_tokens: 1000,
            seconds: 0.5,
            done: 0.5,
        });
        board.event(&Event::Validation {
            update: 70_000,
            epoch: 2,
            nll: 2.5,
            chrf: Some(40.0),
            best: true,
        });
        board.event(&Event::Saved { update: 70_000 });
        let expected = [
            ("train/loss", 3.5),
            ("train/nll", 3.0),
            ("train/gradient_norm", 1.5),
            ("train/learning_rate", 0.25),
            ("train/epoch", 2.0),
            ("train/tokens_per_second", 200.0),
            ("validation/nll", 2.5),
            ("validation/chrf++", 40.0),
        ];
        let expected: Vec<(u64, String, f32)> = expected
            .into_iter()
            .map(|(tag, value)| (70_000, tag.to_owned(), value))
            .collect();
        assert_eq!(read(&board.path), expected);
    }
}
