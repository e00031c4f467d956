//! What the demo does, and how much of it.

use super::{Args, METHODS};
use crate::failure::{Failure, Outcome};
use isogloss::config::{self, TrainConfig};
use isogloss::corpus::DirectionFilter;
use isogloss::language::{Direction, Language, Resource};
use std::path::{Path, PathBuf};

/// How much is trained and tested.
#[derive(Debug)]
pub(super) struct Size {
    /// At most so many; the configurations train for longer.
    epochs: u64,
    /// Sentences of a direction that choose the best epoch.
    validation: usize,
    /// Only these of the configurations' languages.
    languages: &'static [&'static str],
    /// Whether adapters are tried where they weren't trained, too.
    pub combined: bool,
    /// Seconds of the base and of each method, training included, on two cores of an AMD EPYC (AVX-512, bf16) that did nothing else.
    pub seconds: [f64; 1 + METHODS.len()],
}

pub(super) const FULL: Size = Size {
    epochs: 3,
    validation: 16,
    // Polish is left out, so that the demo ends within five minutes.
    languages: &[
        "eng_Latn", "deu_Latn", "fra_Latn", "spa_Latn", "ita_Latn", "nld_Latn", "ces_Latn",
        "jpn_Jpan",
    ],
    combined: true,
    seconds: [2.3, 94.0, 81.0, 70.0],
};

pub(super) const QUICK: Size = Size {
    epochs: 1,
    validation: 8,
    languages: &["eng_Latn", "deu_Latn", "fra_Latn", "nld_Latn", "jpn_Jpan"],
    combined: false,
    seconds: [1.6, 19.0, 17.0, 14.0],
};

/// One method's configuration.
#[derive(Debug)]
pub(super) struct Plan {
    pub method: &'static str,
    pub config: TrainConfig,
    /// Where the configuration's paths start.
    pub dir: PathBuf,
}

impl Plan {
    pub(super) fn read(
        args: &Args,
        method: &'static str,
        size: &Size,
        runs: &Path,
    ) -> Outcome<Self> {
        let dir = args.root.join("examples/factory");
        let path = dir.join(format!("{method}.toml"));
        let mut config: TrainConfig = config::read(&path).map_err(|error| {
            Failure::input(error)
                .hint("run the demo in the project's folder, or name it with --root")
        })?;
        // Relative to the configuration's folder, unless the root is absolute.
        config.run = std::path::absolute(runs.join(method)).map_err(Failure::input)?;
        config.compute.threads = args.threads;
        config.training.epochs = config.training.epochs.min(size.epochs);
        if config.training.epochs == 1 {
            // There is nothing to choose.
            config.validation.translate = 0;
        }
        config.validation.sentences = config.validation.sentences.min(size.validation);
        for languages in config.languages.values_mut() {
            languages.retain(|language| size.languages.contains(&language.code()));
        }
        Ok(Plan {
            method,
            config,
            dir,
        })
    }

    pub(super) fn classes(&self) -> Vec<(Language, Resource)> {
        let classes = self.config.languages.iter();
        let all = classes
            .flat_map(|(&class, languages)| languages.iter().map(move |l| (l.clone(), class)));
        all.collect()
    }

    fn languages(&self) -> Vec<Language> {
        self.classes()
            .into_iter()
            .map(|(language, _)| language)
            .collect()
    }

    /// From and to English, as the configurations train them.
    pub(super) fn directions(&self) -> Vec<Direction> {
        let wanted = self.config.directions.filter(&self.languages());
        match wanted {
            DirectionFilter::Only(directions) => directions.into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
