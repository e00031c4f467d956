//! The few messages of `sentencepiece_model.proto` that inference needs. They are read and written by hand: the schema has
//! not changed for years, and a generated parser would need `protoc` at build time.

use super::SentencePieceError;
use super::wire::{for_each_field, write_bytes, write_float_field, write_varint_field};

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
            write_float_field(&mut body, 2, piece.score);
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
