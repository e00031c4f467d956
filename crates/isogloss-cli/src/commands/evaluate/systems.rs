//! What translates, and where its translations are kept.

use super::super::decoding::failure;
use super::show::Shown;
use super::{Args, SystemArg, wrong};
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use clap::ValueEnum;
use isogloss::decode::{LongLines, TextOptions, TextTranslator};
use isogloss::evaluate::{Evaluation, Groups, Hypotheses, MadeWith, Progress, searched_by};
use isogloss::language::Direction;
use isogloss_kernels::Cpu;
use std::path::Path;

/// What a system made of the text.
#[derive(Debug, Default)]
pub(super) struct Translated {
    /// Of the base; none if no model translated.
    pub model_hash: Option<String>,
    /// Of the adapters' folder.
    pub adapters_hash: Option<String>,
    /// By direction.
    pub translations: Vec<Vec<String>>,
}

/// The sources as they are.
pub(super) fn copies(dir: &Path, evaluation: &Evaluation<'_>) -> Outcome<Translated> {
    let translations = evaluation.copies();
    let made_with = MadeWith::from([("system".to_owned(), "copy".into())]);
    let mut kept = Hypotheses::keep(dir, made_with).map_err(Failure::input)?;
    keep(&mut kept, evaluation, &translations)?;
    Ok(Translated {
        translations,
        ..Translated::default()
    })
}

/// Translates what the same system hasn't translated into the folder before.
pub(super) fn translate(
    args: &Args,
    adapters: Option<&Path>,
    dir: &Path,
    quiet: bool,
    backend: &Cpu,
    evaluation: &Evaluation<'_>,
) -> Outcome<Translated> {
    let Some(model) = &args.model else {
        return Err(Failure::input(anyhow!("name the model with --model DIR")));
    };
    let loaded = args.served.load_with_hash(model, adapters, backend)?;
    let translator = loaded
        .translator(backend, args.batch_tokens.map(|n| n as usize))
        .map_err(failure)?;
    let options = TextOptions {
        long_lines: LongLines::Split,
        missing: args.served.missing.into(),
    };
    args.served
        .tell_vocabularies(&translator, &loaded, evaluation.directions())?;
    evaluation.check(&translator, options).map_err(wrong)?;
    let model_hash = loaded.hash.map(|hash| hash.to_string()).unwrap_or_default();
    let adapters_hash = adapters.map(isogloss::adapter::hash_of_folder).transpose();
    let adapters_hash = adapters_hash.map_err(Failure::input)?;
    let made_with = made_with(args, &model_hash, adapters_hash.as_deref(), backend);
    let kept = Hypotheses::keep(dir, made_with).map_err(Failure::input)?;
    let mut work = Work {
        args,
        kept,
        options,
        quiet,
    };
    Ok(Translated {
        translations: work.translate(&translator, evaluation)?,
        model_hash: Some(model_hash),
        adapters_hash,
    })
}

struct Work<'a> {
    args: &'a Args,
    kept: Hypotheses,
    options: TextOptions,
    quiet: bool,
}

impl Work<'_> {
    fn translate(
        &mut self,
        translator: &TextTranslator<'_, Cpu>,
        evaluation: &Evaluation<'_>,
    ) -> Outcome<Vec<Vec<String>>> {
        let directions = evaluation.directions();
        let mut found: Vec<Option<Vec<String>>> = directions
            .iter()
            .map(|d| self.kept.kept(d, &evaluation.sources(d)))
            .collect();
        let open: Vec<usize> = (0..found.len()).filter(|&i| found[i].is_none()).collect();
        if open.len() < found.len() {
            let kept = found.len() - open.len();
            tracing::info!(
                "{kept} of {} directions are translated already",
                found.len()
            );
        }
        let waiting: Vec<Direction> = open.iter().map(|&i| directions[i].clone()).collect();
        let sentences = |d: &Direction| evaluation.sources(d).len();
        let all: usize = waiting.iter().map(sentences).sum();
        let (mut shown, mut done) = (Shown::start(self.quiet), 0);
        for group in Groups::new(&waiting, sentences) {
            let of_group = group.iter().map(|&i| waiting[i].clone()).collect();
            let part = evaluation.of_directions(of_group).map_err(wrong)?;
            let decoding = self.args.search.options();
            let mut update = |p: Progress| shown.update(p.within(done, all));
            let lines = part.translate(translator, self.options, &decoding, &mut update);
            let lines = lines.map_err(wrong)?;
            keep(&mut self.kept, &part, &lines)?;
            done += part.sentences();
            for (&i, lines) in group.iter().zip(lines) {
                found[open[i]] = Some(lines);
            }
        }
        shown.finish();
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// Writes translations, those left out that lie there already.
fn keep(kept: &mut Hypotheses, of: &Evaluation<'_>, lines: &[Vec<String>]) -> Outcome {
    for (direction, lines) in of.directions().iter().zip(lines) {
        let sources = of.sources(direction);
        if kept.kept(direction, &sources).as_ref() != Some(lines) {
            kept.put(direction, &sources, lines)
                .map_err(Failure::internal)?;
        }
    }
    Ok(())
}

/// What translations depend on besides the sentences.
fn made_with(args: &Args, model: &str, adapters: Option<&str>, backend: &Cpu) -> MadeWith {
    let mut made = decoding_options(args, adapters.is_some());
    made.extend(owned([
        ("model_hash", model.into()),
        ("adapters_hash", adapters.into()),
        // Instructions differ in last digits, versions in what they must.
        ("kernel_path", backend.path().name().into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
    ]));
    made
}

fn decoding_options(args: &Args, adapted: bool) -> MadeWith {
    let missing = args.served.missing.to_possible_value();
    let vocabulary = args.served.vocabulary.to_possible_value();
    let mut options = vec![("precision", name(args.precision.to_possible_value()))];
    if adapted {
        options.extend([("missing", name(missing)), ("vocabulary", name(vocabulary))]);
    }
    let mut made = searched_by(&args.search.options());
    // Named in notes of earlier versions, too, where it was as usual.
    made.entry("max_length".to_owned()).or_default();
    made.extend(owned(options));
    made
}

fn owned<'a>(
    options: impl IntoIterator<Item = (&'a str, serde_json::Value)>,
) -> impl Iterator<Item = (String, serde_json::Value)> {
    options
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
}

fn name(value: Option<clap::builder::PossibleValue>) -> serde_json::Value {
    value.map(|v| v.get_name().to_owned()).into()
}

/// What the scores depend on besides model and adapters.
pub(super) fn options(args: &Args) -> MadeWith {
    let mut options = match args.system {
        SystemArg::Model => decoding_options(args, true),
        SystemArg::Copy => MadeWith::new(),
    };
    options.extend(owned([
        ("system", name(args.system.to_possible_value())),
        ("data", args.data.display().to_string().into()),
        ("rows", args.rows.as_ref().map(ToString::to_string).into()),
        ("split", args.split.clone().into()),
    ]));
    options
}
