//! What a system is compared with.

use super::systems::translate;
use super::{Args, SystemArg};
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use isogloss::evaluate::{Comparison, Evaluation, Hypotheses, ScoresFile, searched_otherwise};
use isogloss::language::Direction;
use isogloss_kernels::Cpu;
use std::path::Path;

/// The other system.
pub(super) enum Against {
    /// The model without adapters.
    Base,
    /// The sources.
    Copy,
    /// Translations that there are, by direction.
    Kept {
        name: String,
        /// Hash of the base, if it made them alone.
        base: Option<String>,
        translations: Vec<Option<Vec<String>>>,
    },
}

/// The other system, its translations read if there are any.
pub(super) fn against(args: &Args, evaluation: &Evaluation<'_>) -> Outcome<Option<Against>> {
    let Some(what) = &args.against else {
        return Ok(None);
    };
    let sentences = evaluation
        .directions()
        .iter()
        .map(|d| evaluation.sources(d).len());
    let lengths: Vec<usize> = sentences.collect();
    Comparison::check(evaluation.directions(), &lengths, &args.compare_options())
        .map_err(Failure::input)?;
    let itself = |what: &str| {
        let error = anyhow!("{what} would be compared with itself");
        let hint = "--against names another system: base, copy, a scores.json or a folder";
        Err(Failure::input(error).hint(hint))
    };
    match what.as_str() {
        "base" if args.model.is_none() => Err(Failure::input(anyhow!(
            "--against base needs the model: name it with --model DIR"
        ))),
        "base" if args.system == SystemArg::Model && args.adapters.is_none() => itself("the base"),
        "copy" if args.system == SystemArg::Copy => itself("the copy"),
        "base" => {
            // Where its translations shall go.
            let dir = ScoresFile::base_hypotheses(&args.out);
            Hypotheses::check(&dir).map_err(Failure::input)?;
            Ok(Some(Against::Base))
        }
        "copy" => Ok(Some(Against::Copy)),
        _ => kept(args, what, evaluation).map(Some),
    }
}

/// The translations of a folder, or of the evaluation that a scores.json is from.
fn kept(args: &Args, what: &str, evaluation: &Evaluation<'_>) -> Outcome<Against> {
    let path = Path::new(what);
    let scored = match path.is_dir() {
        true => None,
        false => Some(ScoresFile::read(path).map_err(Failure::input)?),
    };
    let dir = scored
        .as_ref()
        .map_or_else(|| path.to_owned(), |file| file.hypotheses_folder(path));
    let found = Hypotheses::open(&dir).map_err(|e| {
        Failure::input(e).hint("--against takes base, copy, a scores.json with its translations beside it, or a folder with SOURCE-TARGET.txt")
    })?;
    if let Some(file) = &scored
        && !file.scored(found.made_with())
    {
        let error = anyhow!(
            "the translations in {} are not those that {what} scores: another system has translated into that folder since",
            dir.display()
        );
        return Err(Failure::input(error).hint(
            "score that system again, with an --out or --hypotheses of its own, and compare with that",
        ));
    }
    if args.system == SystemArg::Model {
        for other in searched_otherwise(&args.search.options(), found.made_with()) {
            tracing::warn!(
                "{} is {} here, and {} of the translations in {}: the change is partly that of the search",
                other.option,
                other.ours,
                other.theirs,
                dir.display()
            );
        }
    }
    let scores = |d: &Direction| {
        let of = |file: &ScoresFile| file.directions.iter().any(|s| s.direction == *d);
        scored.as_ref().is_none_or(of)
    };
    let read = |d: &Direction| match scores(d) {
        true => found.read(d, &evaluation.sources(d)),
        false => Ok(None),
    };
    let translations = evaluation.directions().iter().map(read);
    let translations = translations.collect::<Result<Vec<_>, _>>();
    let translations = translations.map_err(Failure::input)?;
    let absent: Vec<String> = evaluation
        .directions()
        .iter()
        .zip(&translations)
        .filter(|(_, lines)| lines.is_none())
        .map(|(direction, _)| direction.to_string())
        .collect();
    if absent.len() == translations.len() {
        return Err(Failure::input(anyhow!(
            "{} has translations of none of the directions: expected such as {}.txt",
            dir.display(),
            absent[0]
        )));
    }
    if !absent.is_empty() {
        let dir = dir.display();
        tracing::warn!("not compared, absent from {dir}: {}", absent.join(", "));
    }
    Ok(Against::Kept {
        name: what.to_owned(),
        base: found.base().map(str::to_owned),
        translations,
    })
}

impl Against {
    /// What to call it, beside a system on the base with this hash.
    pub(super) fn name(&self, model: Option<&str>) -> String {
        match self {
            Self::Base => "base".into(),
            Self::Kept { base, .. } if base.is_some() && base.as_deref() == model => "base".into(),
            Self::Copy => "copy".into(),
            Self::Kept { name, .. } => name.clone(),
        }
    }

    /// Its translations of every direction, as far as it has them.
    pub(super) fn translations(
        self,
        args: &Args,
        quiet: bool,
        backend: &Cpu,
        evaluation: &Evaluation<'_>,
    ) -> Outcome<Vec<Option<Vec<String>>>> {
        let all = match self {
            Self::Kept { translations, .. } => return Ok(translations),
            Self::Copy => evaluation.copies(),
            Self::Base => {
                let dir = ScoresFile::base_hypotheses(&args.out);
                translate(args, None, &dir, quiet, backend, evaluation)?.translations
            }
        };
        Ok(all.into_iter().map(Some).collect())
    }
}
