//! `isogloss train`: adapts a base.

use super::training::{self, RunArgs};
use crate::failure::Outcome;
use isogloss::config::TrainConfig;
use isogloss::decode::{Coverage, Vocabularies, VocabularyUse};
use serde_json::Value;
use std::fmt::Write as _;

const AFTER_HELP: &str = "\
Examples:
  isogloss train examples/factory/lslo.toml --dry-run
  isogloss train examples/factory/lslo.toml
  isogloss translate --model models/mini --adapters runs/factory/lslo/adapters --from deu_Latn --to eng_Latn < in.txt

Stop with Ctrl-C, go on with the same command.";

/// Adapt a base to languages or a domain: language-specific LoRA, shared LoRA or full fine-tuning
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let (mut config, dir) = args.run.read::<TrainConfig>()?;
    config.compute = args.run.compute(config.compute);
    if args.run.dry_run {
        let estimate = config.estimate(&dir).map_err(training::train_failure)?;
        return args.run.print_estimate(&estimate, config.compute);
    }
    let mut progress = args.run.progress(quiet)?;
    let done = isogloss::train::adapt(&config, &dir, &mut progress);
    drop(progress);
    let done = done.map_err(training::train_failure)?;
    let (trained, estimate) = (&done.trained, &done.estimate);
    let more = vocabularies(&done.vocabularies, done.pieces);
    training::finish(&args.run, trained, &done.result, estimate, more)
}

/// What the output vocabularies hold, and what of the validation references they don't: as text and as JSON keys.
fn vocabularies(all: &Vocabularies, pieces: usize) -> (String, Value) {
    let (mut text, mut languages) = (String::new(), serde_json::Map::new());
    let mut whole = Vec::new();
    for (language, vocabulary) in &all.by_language {
        let Coverage {
            pieces: held_out,
            outside,
        } = vocabulary.held_out();
        let _ = writeln!(
            text,
            "pieces of {language}: {} of {pieces}; outside are {outside} of {held_out} in the validation text",
            vocabulary.ids().len(),
        );
        if !vocabulary.serves(VocabularyUse::Auto) {
            whole.push(language.to_string());
        }
        let entry = serde_json::json!({
            "pieces": vocabulary.ids().len(), "validation_pieces": held_out, "validation_outside": outside,
        });
        languages.insert(language.to_string(), entry);
    }
    if !whole.is_empty() {
        let _ = writeln!(
            text,
            "`--vocabulary auto` takes all pieces where more than one in a thousand lies outside or none was measured: {}",
            whole.join(", ")
        );
    }
    let json = match languages.is_empty() {
        true => Value::Null,
        false => serde_json::json!({ "vocabularies": languages }),
    };
    (text, json)
}
