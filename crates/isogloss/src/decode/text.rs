use std::collections::HashMap;

use isogloss_kernels::Backend;

use crate::adapter::AdapterSet;
use crate::batch::LanguageId;
use crate::decode::split::{joins_without_space, runs, sentences};
use crate::decode::{DecodeError, DecodeOptions, Hypothesis, Progress, Request, Translator};
use crate::language::{Direction, Language, LanguageSide};
use crate::tokenize::Tokenizer;

/// Tokens of a part of a sentence that is too long for the model and has to be cut between words. Well below the positions of
/// published models: they have hardly seen longer sentences.
const PART_TOKENS: usize = 256;

/// No language of any run: selects no update.
const NO_LANGUAGE: LanguageId = LanguageId(u16::MAX);

/// What happens to a line with more tokens than the model has positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum LongLines {
    /// It is split at the ends of its sentences, and a sentence that is still too long between words; the translations of the parts
    /// are joined.
    #[default]
    Split,
    /// It is an error that names all such lines.
    Refuse,
}

/// What happens where adapters are in use in a direction that they were not trained in ([`AdapterSet::trained`]): they hold no
/// update for one of its languages, or updates for both that were never trained together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum MissingUpdates {
    /// It is an error that names the language without an update, or the direction.
    #[default]
    Error,
    /// The base alone translates the direction; updates that there are rest, too, so that nothing changes where nobody trained.
    Base,
    /// The updates that there are act.
    Combine,
}

/// How text is brought to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextOptions {
    /// Lines that are too long. Default: split.
    pub long_lines: LongLines,
    /// Directions that the adapters were not trained in. Default: an error.
    pub missing: MissingUpdates,
}

/// A line of text, ready to be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its parts: none if the line is blank, more than one if it was split.
    parts: Vec<Request>,
    /// Whether the target's sentences follow each other without a space.
    tight: bool,
}

impl Line {
    /// Tokens of the source.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.parts.iter().map(|p| p.source_ids.len()).sum()
    }

    /// Into how many parts the line was split; 0 if it is blank.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }
}

/// A translated line.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// The text.
    pub text: String,
    /// Its pieces, without language tag and `</s>`.
    pub ids: Vec<u32>,
    /// The hypothesis' score, see [`DecodeOptions::length_penalty`]; the mean of its parts' if the line was split.
    pub score: f64,
    /// Whether the hypothesis came to its end; otherwise it was cut off at the longest length.
    pub ended: bool,
}

/// Translates lines of text.
#[derive(Debug)]
pub struct TextTranslator<'a, B: Backend> {
    translator: Translator<'a, B>,
    set: &'a AdapterSet,
    tokenizer: &'a Tokenizer,
}

impl<'a, B: Backend> TextTranslator<'a, B> {
    /// A translator of text. `set` are the adapters that the translator's context holds.
    ///
    /// # Errors
    /// If the tokenizer's ids don't fit the model's embedding.
    pub fn new(
        translator: Translator<'a, B>,
        tokenizer: &'a Tokenizer,
        set: &'a AdapterSet,
    ) -> Result<Self, DecodeError> {
        tokenizer.check_rows(translator.model().config().vocab_size)?;
        Ok(TextTranslator {
            set,
            translator,
            tokenizer,
        })
    }

    /// Translates lines, each in its own direction: the `n_best` translations of each, best first, in the order of the lines; none
    /// for a blank line. Of a line that was split, the n-th translation joins the n-th of its parts.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) and [`translate_lines`](Self::translate_lines).
    pub fn translate(
        &self,
        lines: &[(&str, &Direction)],
        text: TextOptions,
        options: &DecodeOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Vec<Vec<Translation>>, DecodeError> {
        self.translate_lines(&self.prepare(lines, text)?, options, progress)
    }

    /// Turns lines into ids, so that all that is wrong with them shows before anything is translated.
    ///
    /// # Errors
    /// If the model has no tag for a language, or the adapters no update for it, or if lines are too long and may not be split.
    pub fn prepare(
        &self,
        lines: &[(&str, &Direction)],
        options: TextOptions,
    ) -> Result<Vec<Line>, DecodeError> {
        self.prepare_with_base(lines, options, |_| false)
    }

    /// The same, where the base alone translates some lines, whatever updates there are: those of which `by_base` holds, by
    /// their place.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prepare_with_base(
        &self,
        lines: &[(&str, &Direction)],
        options: TextOptions,
        by_base: impl Fn(usize) -> bool,
    ) -> Result<Vec<Line>, DecodeError> {
        let positions = self.translator.model().config().max_position_embeddings;
        let mut known = HashMap::new();
        let (mut prepared, mut long) = (Vec::with_capacity(lines.len()), Vec::new());
        for (i, &(text, direction)) in lines.iter().enumerate() {
            let by_base = by_base(i);
            let ends = match known.get(&(direction, by_base)) {
                Some(&ends) => ends,
                None => *known.entry((direction, by_base)).or_insert(match by_base {
                    true => self.ends_of_base(direction)?,
                    false => self.ends(direction, options.missing)?,
                }),
            };
            let parts = self.parts(text, direction, ends)?;
            if parts.len() > 1 {
                long.push(i + 1);
            }
            prepared.push(Line {
                parts,
                tight: joins_without_space(direction.target.script()),
            });
        }
        if options.long_lines == LongLines::Refuse && !long.is_empty() {
            return Err(DecodeError::LongLines {
                lines: long,
                positions,
            });
        }
        Ok(prepared)
    }

    /// Pieces that translations in a direction are chosen from; none if that is all.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn pieces(
        &self,
        direction: &Direction,
        missing: MissingUpdates,
    ) -> Result<Option<usize>, DecodeError> {
        let ends = self.ends(direction, missing)?;
        Ok(self.translator.pieces(ends.target))
    }

    /// Translates prepared lines. Progress counts the parts of split lines as sentences.
    ///
    /// # Errors
    /// As [`Translator::translate_ids`]; sentences in errors are lines.
    pub fn translate_lines(
        &self,
        lines: &[Line],
        options: &DecodeOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Vec<Vec<Translation>>, DecodeError> {
        let (mut requests, mut line_of) = (Vec::new(), Vec::new());
        for (i, line) in lines.iter().enumerate() {
            requests.extend_from_slice(&line.parts);
            line_of.resize(requests.len(), i + 1);
        }
        let found = self
            .translator
            .translate_ids(&requests, options, progress)
            .map_err(|e| e.renumbered(|n| line_of[n - 1]))?;
        let mut found = found.as_slice();
        let lines = lines.iter().map(|line| {
            let (parts, rest) = found.split_at(line.parts.len());
            found = rest;
            (0..parts.first().map_or(0, |_| options.n_best))
                .filter_map(|n| self.join(parts, n, line.tight))
                .collect()
        });
        Ok(lines.collect())
    }

    /// The n-th translation of a line; where a part has fewer, its last. None if no part has as many.
    fn join(&self, parts: &[Vec<Hypothesis>], n: usize, tight: bool) -> Option<Translation> {
        if parts.iter().all(|found| found.len() <= n) {
            return None;
        }
        let chosen = || {
            parts
                .iter()
                .filter_map(|found| found.get(n).or(found.last()))
        };
        let texts: Vec<String> = chosen().map(|h| self.tokenizer.decode(&h.ids)).collect();
        let texts: Vec<&str> = texts
            .iter()
            .map(|t| t.trim())
            .filter(|t| !t.is_empty())
            .collect();
        Some(Translation {
            text: texts.join(if tight { "" } else { " " }),
            ids: chosen().flat_map(|h| h.ids.iter().copied()).collect(),
            score: chosen().map(|h| h.score).sum::<f64>() / parts.len() as f64,
            ended: chosen().all(|h| h.ended),
        })
    }

    /// What a request needs to know of a direction.
    fn ends(&self, direction: &Direction, missing: MissingUpdates) -> Result<Ends, DecodeError> {
        self.tokenizer.language_id(&direction.source)?;
        let ends = Ends {
            tag: self.tokenizer.language_id(&direction.target)?,
            source: self.id(&direction.source),
            target: self.id(&direction.target),
        };
        if self.set.adapters.banks.is_empty() || self.set.trained.contains(direction) {
            return Ok(ends);
        }
        match missing {
            MissingUpdates::Error => Err(self.not_trained(direction, ends)),
            MissingUpdates::Base => self.ends_of_base(direction),
            MissingUpdates::Combine => Ok(ends),
        }
    }

    /// The same, for the base alone.
    fn ends_of_base(&self, direction: &Direction) -> Result<Ends, DecodeError> {
        self.tokenizer.language_id(&direction.source)?;
        Ok(Ends {
            tag: self.tokenizer.language_id(&direction.target)?,
            source: NO_LANGUAGE,
            target: NO_LANGUAGE,
        })
    }

    fn id(&self, language: &Language) -> LanguageId {
        self.set.language_id(language).unwrap_or(NO_LANGUAGE)
    }

    /// What a direction lacks that the adapters were not trained in.
    fn not_trained(&self, direction: &Direction, ends: Ends) -> DecodeError {
        let sides = [
            (LanguageSide::Source, ends.source),
            (LanguageSide::Target, ends.target),
        ];
        let lacking = sides
            .iter()
            .find(|&&(side, id)| self.lacks_update(id, side));
        match lacking {
            Some(&(side, _)) => DecodeError::NoUpdate {
                language: direction.side(side).to_string(),
                side,
            },
            None => DecodeError::NotTrained {
                direction: direction.clone(),
            },
        }
    }

    /// Whether there are sites on a side, but none with an update for a language.
    fn lacks_update(&self, language: LanguageId, side: LanguageSide) -> bool {
        let banks = self.set.adapters.banks.values();
        let mut banks = banks.filter(|b| b.side == side).peekable();
        banks.peek().is_some() && banks.all(|bank| bank.update(language).is_none())
    }

    /// A line's parts; one if it fits.
    fn parts(
        &self,
        text: &str,
        direction: &Direction,
        ends: Ends,
    ) -> Result<Vec<Request>, DecodeError> {
        let request = |source_ids| Request {
            source_ids,
            source_language: ends.source,
            target_language: ends.target,
            target_tag: ends.tag,
        };
        let ids = self.tokenizer.source_ids(text, &direction.source)?;
        // The empty text shows what stands around the pieces, and on which side.
        let frame = self.tokenizer.source_ids("", &direction.source)?;
        if text.trim().is_empty() || ids.len() == frame.len() {
            return Ok(Vec::new());
        }
        let positions = self.translator.model().config().max_position_embeddings;
        if ids.len() <= positions {
            return Ok(vec![request(ids)]);
        }
        let before = usize::from(!self.tokenizer.tag_at_end());
        let room = positions.saturating_sub(frame.len());
        let mut parts = Vec::new();
        for sentence in sentences(text) {
            let ids = self.tokenizer.encode(sentence);
            let most = match ids.len() <= room {
                true => room,
                false => room.min(PART_TOKENS),
            };
            for run in runs(&ids, most, |id| self.starts_word(id)) {
                parts.push(request([&frame[..before], run, &frame[before..]].concat()));
            }
        }
        Ok(parts)
    }

    fn starts_word(&self, id: u32) -> bool {
        self.tokenizer.piece(id).is_some_and(|p| p.starts_with('▁'))
    }
}

/// A direction, in ids.
#[derive(Debug, Clone, Copy)]
struct Ends {
    tag: u32,
    source: LanguageId,
    target: LanguageId,
}
