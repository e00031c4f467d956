//! The wire format of protocol buffers: fields one after the other, each a number with a value.
//!
//! Unknown fields are skipped, as the format asks; a message cut short, a wrong wire type or text that is no UTF-8 is an
//! error with its offset.

use super::SentencePieceError;

/// A field's value with the offset of its first byte in the file.
pub(super) struct Value<'a> {
    at: usize,
    payload: Payload<'a>,
}

enum Payload<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64,
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn error(&self, reason: String) -> SentencePieceError {
        SentencePieceError::Malformed {
            offset: self.at,
            reason,
        }
    }

    pub(super) fn varint(&self) -> Result<u64, SentencePieceError> {
        match self.payload {
            Payload::Varint(value) => Ok(value),
            _ => Err(self.error("expected a number".into())),
        }
    }

    pub(super) fn float(&self) -> Result<f32, SentencePieceError> {
        match self.payload {
            Payload::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.error("expected a 32-bit float".into())),
        }
    }

    pub(super) fn message(&self) -> Result<(&'a [u8], usize), SentencePieceError> {
        match self.payload {
            Payload::Bytes(bytes) => Ok((bytes, self.at)),
            _ => Err(self.error("expected a length-delimited field".into())),
        }
    }

    pub(super) fn text(&self) -> Result<String, SentencePieceError> {
        let (bytes, _) = self.message()?;
        String::from_utf8(bytes.to_vec()).map_err(|e| self.error(format!("text is no UTF-8: {e}")))
    }
}

pub(super) type OnField<'f> = dyn FnMut(u64, Value<'_>) -> Result<(), SentencePieceError> + 'f;

/// Calls `on_field` with each field's number and value; `base` is the offset of `bytes` in the file.
pub(super) fn for_each_field(
    bytes: &[u8],
    base: usize,
    on_field: &mut OnField<'_>,
) -> Result<(), SentencePieceError> {
    let mut pos = 0;
    while pos < bytes.len() {
        let start = pos;
        let key = read_varint(bytes, &mut pos, base)?;
        let malformed = |reason: &str| SentencePieceError::Malformed {
            offset: base + start,
            reason: reason.into(),
        };
        let at = base + pos;
        let payload = match key & 7 {
            0 => Payload::Varint(read_varint(bytes, &mut pos, base)?),
            1 => {
                take(bytes, &mut pos, 8)
                    .ok_or_else(|| malformed("the file ends inside a field"))?;
                Payload::Fixed64
            }
            2 => {
                let length = read_varint(bytes, &mut pos, base)?;
                let body = usize::try_from(length)
                    .ok()
                    .and_then(|n| take(bytes, &mut pos, n));
                Payload::Bytes(body.ok_or_else(|| malformed("the file ends inside a field"))?)
            }
            5 => {
                let body = take(bytes, &mut pos, 4).and_then(|b| b.try_into().ok());
                Payload::Fixed32(body.ok_or_else(|| malformed("the file ends inside a field"))?)
            }
            _ => {
                return Err(malformed(
                    "unknown wire type: is this a SentencePiece model?",
                ));
            }
        };
        // The body of a length-delimited field starts after its length.
        let at = if let Payload::Bytes(body) = &payload {
            base + pos - body.len()
        } else {
            at
        };
        if key >> 3 == 0 {
            return Err(malformed("field number 0: is this a SentencePiece model?"));
        }
        on_field(key >> 3, Value { at, payload })?;
    }
    Ok(())
}

fn take<'a>(bytes: &'a [u8], pos: &mut usize, n: usize) -> Option<&'a [u8]> {
    let body = bytes.get(*pos..pos.checked_add(n)?)?;
    *pos += n;
    Some(body)
}

fn read_varint(bytes: &[u8], pos: &mut usize, base: usize) -> Result<u64, SentencePieceError> {
    let start = *pos;
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let Some(&byte) = bytes.get(*pos) else { break };
        *pos += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(SentencePieceError::Malformed {
        offset: base + start,
        reason: "a number is cut short or too long".into(),
    })
}

fn write_key(out: &mut Vec<u8>, number: u64, wire_type: u64) {
    write_varint(out, (number << 3) | wire_type);
}

pub(super) fn write_varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    write_key(out, number, 0);
    write_varint(out, value);
}

pub(super) fn write_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    write_key(out, number, 2);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn write_float_field(out: &mut Vec<u8>, number: u64, value: f32) {
    write_key(out, number, 5);
    out.extend_from_slice(&value.to_le_bytes());
}
