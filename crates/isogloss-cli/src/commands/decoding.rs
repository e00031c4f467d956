//! What the commands that translate have in common.

use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use isogloss::decode::{
    DecodeError, DecodeOptions, LoadError, Loaded, MaxLength, MissingUpdates, TextTranslator,
    VocabularyUse,
};
use isogloss::language::Direction;
use isogloss_kernels::Cpu;
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum MissingArg {
    Error,
    /// The base alone translates the direction
    Base,
    /// The updates that there are act
    Combine,
}

impl From<MissingArg> for MissingUpdates {
    fn from(missing: MissingArg) -> Self {
        match missing {
            MissingArg::Error => MissingUpdates::Error,
            MissingArg::Base => MissingUpdates::Base,
            MissingArg::Combine => MissingUpdates::Combine,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VocabularyArg {
    /// What was learnt, where the validation text says that it holds all but one piece in a thousand
    Auto,
    /// What was learnt, for every language that has it
    Learnt,
    /// All pieces
    Full,
}

impl From<VocabularyArg> for VocabularyUse {
    fn from(vocabulary: VocabularyArg) -> Self {
        match vocabulary {
            VocabularyArg::Auto => VocabularyUse::Auto,
            VocabularyArg::Learnt => VocabularyUse::Learnt,
            VocabularyArg::Full => VocabularyUse::Full,
        }
    }
}

/// How translations are searched for.
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    /// Hypotheses that are followed at a time; 1 is greedy search
    #[arg(long, value_name = "N", default_value_t = 5)]
    beam: usize,
    /// Exponent of the length in the score; above 1 favours longer translations
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    length_penalty: f32,
    /// The most pieces of a translation, its end counted; by default twice the source and 10
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Rule out a piece that would repeat a run of N tokens
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    no_repeat_ngram: usize,
}

impl SearchArgs {
    pub(crate) fn options(&self) -> DecodeOptions {
        DecodeOptions {
            beam: self.beam,
            length_penalty: self.length_penalty,
            max_length: self
                .max_length
                .map_or(MaxLength::default(), MaxLength::Pieces),
            no_repeat_ngram: self.no_repeat_ngram,
            ..DecodeOptions::default()
        }
    }
}

/// Which updates act, and which pieces translations are chosen from.
#[derive(Debug, clap::Args)]
pub(crate) struct AdapterArgs {
    /// A direction that the adapters were not trained in: an error, the base alone, or the updates that there are of its languages
    #[arg(long, value_name = "WHAT", default_value = "error")]
    pub missing: MissingArg,
    /// Pieces that translations are chosen from: all, or those that were learnt with the adapters, which is faster
    #[arg(long, value_name = "WHAT", default_value = "auto")]
    pub vocabulary: VocabularyArg,
}

impl AdapterArgs {
    /// The model and its adapters, packed for a backend.
    pub(crate) fn load(&self, model: &Path, adapters: Option<&Path>, cpu: &Cpu) -> Outcome<Loaded> {
        self.prepare(Loaded::open(model, adapters), cpu)
    }

    /// The same, and the base's hash in any case.
    pub(crate) fn load_with_hash(
        &self,
        model: &Path,
        adapters: Option<&Path>,
        cpu: &Cpu,
    ) -> Outcome<Loaded> {
        self.prepare(Loaded::open_with_hash(model, adapters), cpu)
    }

    fn prepare(&self, loaded: Result<Loaded, LoadError>, cpu: &Cpu) -> Outcome<Loaded> {
        let loaded = loaded.map_err(Failure::input)?;
        let loaded = loaded.with_vocabularies(self.vocabulary.into());
        Ok(loaded.map_err(failure)?.packed(cpu))
    }

    /// Says from how many pieces translations into each language are chosen, where that is not all.
    pub(crate) fn tell_vocabularies(
        &self,
        translator: &TextTranslator<'_, Cpu>,
        loaded: &Loaded,
        directions: &[Direction],
    ) -> Outcome {
        let (mut restricted, mut whole) = (BTreeSet::new(), BTreeSet::new());
        for direction in directions {
            let pieces = translator.pieces(direction, self.missing.into());
            match pieces.map_err(failure)? {
                Some(pieces) => restricted.insert(format!("{} {pieces}", direction.target)),
                None => whole.insert(direction.target.to_string()),
            };
        }
        let joined = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
        if !restricted.is_empty() {
            tracing::info!(
                "translations are chosen from the pieces of the training text: {} of {} (`--vocabulary full` takes all)",
                joined(restricted),
                loaded.tokenizer.vocab_size()
            );
        }
        if self.vocabulary == VocabularyArg::Learnt && !whole.is_empty() {
            let languages = joined(whole);
            tracing::warn!("no vocabulary is in use for {languages}: all pieces are taken");
        }
        Ok(())
    }
}

/// What to do about an error, where an option helps.
pub(crate) fn hint(error: &DecodeError) -> Option<&'static str> {
    match error {
        DecodeError::NoUpdate { .. } => Some("`--missing base` translates with the base alone"),
        DecodeError::NotTrained { .. } => Some(
            "`--missing base` translates with the base alone, `--missing combine` with the updates of both languages",
        ),
        DecodeError::LongLines { .. } => Some("`--long-lines split` splits them"),
        _ => None,
    }
}

pub(crate) fn failure(error: DecodeError) -> Failure {
    let hint = hint(&error);
    let failure = Failure::input(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
