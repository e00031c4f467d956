//! The few messages of `sentencepiece_model.proto` that inference needs, read and written on the wire format itself: the
//! schema has not changed for years, and a generated parser would need `protoc` at build time.
//!
//! Unknown fields are skipped, as the format asks; a message cut short, a wrong wire type or text that is no UTF-8 is an
//! error with its offset.

use super::SentencePieceError;

/// What a piece stands for (`ModelProto.SentencePiece.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// An ordinary piece.
    Normal,
    /// The unknown piece; a model has exactly one.
    Unknown,
    /// A mark such as `<s>` that never comes from text.
    Control,
    /// A symbol that is always cut out of the text whole.
    UserDefined,
    /// A piece that takes part in merges but never in the output.
    Unused,
    /// One byte of a character that has no piece, `<0xE2>`.
    Byte,
}

impl PieceKind {
    const ALL: [(u64, PieceKind); 6] = [
        (1, PieceKind::Normal),
        (2, PieceKind::Unknown),
        (3, PieceKind::Control),
        (4, PieceKind::UserDefined),
        (5, PieceKind::Unused),
        (6, PieceKind::Byte),
    ];

    /// Whether text can produce this piece; the others live in a namespace of their own.
    pub(super) fn is_matched_in_text(self) -> bool {
        matches!(
            self,
            PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused
        )
    }
}

/// One entry of the vocabulary; its id is its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The text, with `▁` for a space.
    pub text: String,
    /// Log probability (unigram) or minus the rank of the merge (BPE).
    pub score: f32,
    /// What it stands for.
    pub kind: PieceKind,
}

/// The algorithm that cuts text (`TrainerSpec.ModelType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The most probable segmentation under a unigram language model.
    Unigram,
    /// Byte-pair merges, best score first.
    Bpe,
}

/// `NormalizerSpec`: what is done to text before it is cut.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizerSpec {
    /// Name of the rule, such as `nmt_nfkc`; informative.
    pub name: String,
    /// Compiled replacement rules; empty for none.
    pub precompiled_charsmap: Vec<u8>,
    /// Put a space before the text (after it, with `treat_whitespace_as_suffix`).
    pub add_dummy_prefix: bool,
    /// Drop spaces at both ends and all but one between words.
    pub remove_extra_whitespaces: bool,
    /// Write `▁` for a space.
    pub escape_whitespaces: bool,
}

impl Default for NormalizerSpec {
    fn default() -> Self {
        NormalizerSpec {
            name: String::new(),
            precompiled_charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        }
    }
}

/// A SentencePiece model file.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelProto {
    /// The vocabulary in the order of ids.
    pub pieces: Vec<Piece>,
    /// How text is cut.
    pub algorithm: Algorithm,
    /// Spell characters without a piece in byte pieces.
    pub byte_fallback: bool,
    /// The dummy space goes after the text, not before it.
    pub treat_whitespace_as_suffix: bool,
    /// What the unknown piece is decoded to; ` ⁇ ` unless set.
    pub unk_surface: String,
    /// Before encoding.
    pub normalizer: NormalizerSpec,
    /// After decoding; only its rules matter.
    pub denormalizer: NormalizerSpec,
}

impl Default for ModelProto {
    fn default() -> Self {
        ModelProto {
            pieces: Vec::new(),
            algorithm: Algorithm::Unigram,
            byte_fallback: false,
            treat_whitespace_as_suffix: false,
            unk_surface: " \u{2047} ".into(),
            normalizer: NormalizerSpec::default(),
            denormalizer: NormalizerSpec::default(),
        }
    }
}

impl ModelProto {
    /// Reads a serialised model.
    ///
    /// # Errors
    /// [`SentencePieceError::Malformed`] where the bytes break the wire format, [`SentencePieceError::Unsupported`] for the
    /// word and character algorithms.
    pub fn parse(bytes: &[u8]) -> Result<Self, SentencePieceError> {
        let mut model = ModelProto::default();
        for_each_field(bytes, 0, &mut |number, value| {
            match number {
                1 => {
                    let (body, base) = value.message()?;
                    model.pieces.push(parse_piece(body, base)?);
                }
                2 => {
                    let (body, base) = value.message()?;
                    parse_trainer(&mut model, body, base)?;
                }
                3 => {
                    let (body, base) = value.message()?;
                    parse_normalizer(&mut model.normalizer, body, base)?;
                }
                5 => {
                    let (body, base) = value.message()?;
                    parse_normalizer(&mut model.denormalizer, body, base)?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(model)
    }

    /// The model as a file that SentencePiece loads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            let mut body = Vec::new();
            write_bytes(&mut body, 1, piece.text.as_bytes());
            write_key(&mut body, 2, 5);
            body.extend_from_slice(&piece.score.to_le_bytes());
            let kind = PieceKind::ALL
                .iter()
                .find(|(_, k)| *k == piece.kind)
                .map_or(1, |(n, _)| *n);
            write_varint_field(&mut body, 3, kind);
            write_bytes(&mut out, 1, &body);
        }
        write_bytes(&mut out, 2, &self.trainer_bytes());
        write_bytes(&mut out, 3, &normalizer_bytes(&self.normalizer));
        if !self.denormalizer.precompiled_charsmap.is_empty() {
            write_bytes(&mut out, 5, &normalizer_bytes(&self.denormalizer));
        }
        out
    }

    fn trainer_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let algorithm = match self.algorithm {
            Algorithm::Unigram => 1,
            Algorithm::Bpe => 2,
        };
        write_varint_field(&mut out, 3, algorithm);
        write_varint_field(&mut out, 4, self.pieces.len() as u64);
        write_varint_field(&mut out, 24, u64::from(self.treat_whitespace_as_suffix));
        write_varint_field(&mut out, 35, u64::from(self.byte_fallback));
        // Loaders print these ids; minus one, "none", is the ten-byte form of a negative int32.
        let id = |text: &str, kind| {
            let at = self
                .pieces
                .iter()
                .position(|p| p.text == text && p.kind == kind);
            at.map_or(u64::MAX, |id| id as u64)
        };
        write_varint_field(&mut out, 40, id("<unk>", PieceKind::Unknown));
        write_varint_field(&mut out, 41, id("<s>", PieceKind::Control));
        write_varint_field(&mut out, 42, id("</s>", PieceKind::Control));
        write_varint_field(&mut out, 43, id("<pad>", PieceKind::Control));
        write_bytes(&mut out, 44, self.unk_surface.as_bytes());
        out
    }
}

fn normalizer_bytes(spec: &NormalizerSpec) -> Vec<u8> {
    let mut out = Vec::new();
    write_bytes(&mut out, 1, spec.name.as_bytes());
    write_bytes(&mut out, 2, &spec.precompiled_charsmap);
    write_varint_field(&mut out, 3, u64::from(spec.add_dummy_prefix));
    write_varint_field(&mut out, 4, u64::from(spec.remove_extra_whitespaces));
    write_varint_field(&mut out, 5, u64::from(spec.escape_whitespaces));
    out
}

fn parse_piece(bytes: &[u8], base: usize) -> Result<Piece, SentencePieceError> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: PieceKind::Normal,
    };
    for_each_field(bytes, base, &mut |number, value| {
        match number {
            1 => piece.text = value.text()?,
            2 => piece.score = value.float()?,
            3 => {
                let code = value.varint()?;
                piece.kind = PieceKind::ALL
                    .iter()
                    .find(|(n, _)| *n == code)
                    .map(|(_, kind)| *kind)
                    .ok_or_else(|| value.error(format!("piece type {code} (1 to 6 are known)")))?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(piece)
}

fn parse_trainer(
    model: &mut ModelProto,
    bytes: &[u8],
    base: usize,
) -> Result<(), SentencePieceError> {
    for_each_field(bytes, base, &mut |number, value| {
        match number {
            3 => {
                model.algorithm = match value.varint()? {
                    1 => Algorithm::Unigram,
                    2 => Algorithm::Bpe,
                    other => {
                        let name = if other == 3 {
                            "word".into()
                        } else {
                            format!("number {other}")
                        };
                        return Err(SentencePieceError::Unsupported {
                            what: format!("model type {name}"),
                        });
                    }
                }
            }
            24 => model.treat_whitespace_as_suffix = value.varint()? != 0,
            35 => model.byte_fallback = value.varint()? != 0,
            44 => model.unk_surface = value.text()?,
            _ => {}
        }
        Ok(())
    })
}

fn parse_normalizer(
    spec: &mut NormalizerSpec,
    bytes: &[u8],
    base: usize,
) -> Result<(), SentencePieceError> {
    for_each_field(bytes, base, &mut |number, value| {
        match number {
            1 => spec.name = value.text()?,
            2 => spec.precompiled_charsmap = value.message()?.0.to_vec(),
            3 => spec.add_dummy_prefix = value.varint()? != 0,
            4 => spec.remove_extra_whitespaces = value.varint()? != 0,
            5 => spec.escape_whitespaces = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    })
}

/// A field's value with the offset of its first byte in the file.
struct Value<'a> {
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
    fn error(&self, reason: String) -> SentencePieceError {
        SentencePieceError::Malformed {
            offset: self.at,
            reason,
        }
    }

    fn varint(&self) -> Result<u64, SentencePieceError> {
        match self.payload {
            Payload::Varint(value) => Ok(value),
            _ => Err(self.error("expected a number".into())),
        }
    }

    fn float(&self) -> Result<f32, SentencePieceError> {
        match self.payload {
            Payload::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.error("expected a 32-bit float".into())),
        }
    }

    fn message(&self) -> Result<(&'a [u8], usize), SentencePieceError> {
        match self.payload {
            Payload::Bytes(bytes) => Ok((bytes, self.at)),
            _ => Err(self.error("expected a length-delimited field".into())),
        }
    }

    fn text(&self) -> Result<String, SentencePieceError> {
        let (bytes, _) = self.message()?;
        String::from_utf8(bytes.to_vec()).map_err(|e| self.error(format!("text is no UTF-8: {e}")))
    }
}

type OnField<'f> = dyn FnMut(u64, Value<'_>) -> Result<(), SentencePieceError> + 'f;

/// Calls `on_field` with each field's number and value; `base` is the offset of `bytes` in the file.
fn for_each_field(
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

fn write_varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    write_key(out, number, 0);
    write_varint(out, value);
}

fn write_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
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
