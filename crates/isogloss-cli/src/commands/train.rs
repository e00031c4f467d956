//! `isogloss train`: adapts a base.

use super::training::{self, RunArgs};
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use isogloss::adapter;
use isogloss::checkpoint;
use isogloss::config::TrainConfig;
use isogloss::decode::{Coverage, Vocabularies, VocabularyUse};
use isogloss::language::{Direction, Language};
use isogloss::plan::Plan;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss train examples/factory/lslo.toml --dry-run
  isogloss train examples/factory/lslo.toml
  isogloss train examples/factory/lslo.toml --plan runs/factory/lslo/plan.toml --run runs/factory/planned
  isogloss train my.toml --add lij_Latn
  isogloss translate --model models/mini --adapters runs/factory/lslo/adapters --from deu_Latn --to eng_Latn < in.txt

Stop with Ctrl-C, go on with the same command.";

/// Adapt a base to languages or a domain: language-specific LoRA, shared LoRA or full fine-tuning
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    common: RunArgs,
    /// A plan of `isogloss explore`, or one of your own: sites, sides, ranks and pruning in place of the configuration's
    #[arg(long, value_name = "PLAN.toml")]
    plan: Option<PathBuf>,
    /// Folder of the run, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Add these languages, joined by commas, to the adapters that the configuration's run left: only their updates are trained, the others
    /// stay as they are. The configuration names them in `languages`; the result lies in a folder of its own, `RUN+LANGUAGE`
    #[arg(long, value_name = "LANGUAGE", value_delimiter = ',')]
    add: Vec<Language>,
}

pub(crate) fn run(args: &Args, quiet: bool) -> Outcome {
    let (mut config, dir) = args.common.read::<TrainConfig>()?;
    config.compute = args.common.compute(config.compute);
    if let Some(path) = &args.plan {
        apply(path, &mut config, &dir)?;
    }
    if !args.add.is_empty() {
        add(&args.add, &mut config, &dir)?;
    }
    if let Some(run) = &args.run {
        config.run = std::path::absolute(run).map_err(Failure::input)?;
    }
    if args.common.dry_run {
        let checked = config.check_folder(&dir);
        let estimate = checked.and_then(|()| config.estimate(&dir));
        let estimate = estimate.map_err(training::train_failure)?;
        return args.common.print_estimate(&estimate, config.compute);
    }
    let mut progress = args.common.progress(quiet)?;
    let done = isogloss::train::adapt(&config, &dir, &mut progress);
    drop(progress);
    let done = done.map_err(training::train_failure)?;
    let (trained, estimate) = (&done.trained, &done.estimate);
    let more = vocabularies(&done.vocabularies, done.pieces);
    training::finish(
        &args.common,
        config.compute,
        trained,
        &done.result,
        estimate,
        more,
    )
}

/// Makes of the configuration one that adds languages to what its run left.
fn add(languages: &[Language], config: &mut TrainConfig, dir: &Path) -> Outcome {
    for language in languages {
        if !config.languages.values().any(|of| of.contains(language)) {
            let error = anyhow!("the configuration's `languages` don't name {language}");
            return Err(
                Failure::input(error).hint("add it to its class there, and its text to the data")
            );
        }
    }
    if config.extends.is_none() {
        config.extends = Some(config.run.join("adapters"));
    }
    check_new(languages, config, dir)?;
    narrow(languages, config, dir);
    // Whoever else has no update yet isn't asked for.
    let known: Vec<Language> = config.languages.values().flatten().cloned().collect();
    for other in known.into_iter().filter(|l| !languages.contains(l)) {
        config.adapter.language_ranks.insert(other, 0);
    }
    let codes: Vec<&str> = languages.iter().map(Language::code).collect();
    // Without a slash at the end.
    let mut name = config
        .run
        .components()
        .collect::<PathBuf>()
        .into_os_string();
    name.push(format!("+{}", codes.join("+")));
    config.run = PathBuf::from(name);
    Ok(())
}

/// Refuses languages that have an update already.
fn check_new(languages: &[Language], config: &TrainConfig, dir: &Path) -> Outcome {
    let Some(from) = config.extends.as_ref().map(|from| dir.join(from)) else {
        return Ok(());
    };
    // What is wrong with the folder is said when it is trained.
    let Ok(found) = adapter::inspect(&from) else {
        return Ok(());
    };
    let has = |language: &&Language| found.updates.iter().any(|u| u.languages.contains(language));
    match languages.iter().find(has) {
        Some(language) => {
            let error = anyhow!("{language} has an update in {} already", from.display());
            Err(Failure::input(error)
                .hint("--add takes languages that have none yet; what is there stays as it is"))
        }
        None => Ok(()),
    }
}

/// Gives the languages as many updates as they would get among all others: batches of their share of the pairs.
fn narrow(added: &[Language], config: &mut TrainConfig, dir: &Path) {
    let whole = TrainConfig {
        extends: None,
        ..config.clone()
    };
    // What is wrong with it is said when it is trained. Where it doesn't name the others there is nothing to share with.
    let Ok(all) = whole.shares(dir) else {
        return;
    };
    let adds = |d: &Direction| added.iter().any(|language| d.has(language));
    let training = &mut config.training;
    let before = training.batch_tokens * training.accumulate;
    let share = training.narrow_to(&all, adds);
    if share < 1.0 {
        let trained = all.iter().filter(|share| adds(&share.direction));
        tracing::info!(
            "{} of {} directions are trained: an update takes {} tokens in place of {before}, as much text of them as among all",
            trained.count(),
            all.len(),
            training.batch_tokens * training.accumulate
        );
    }
}

/// Puts a plan into the configuration, if it is for the same base.
fn apply(path: &Path, config: &mut TrainConfig, dir: &Path) -> Outcome {
    let plan = Plan::read(path).map_err(Failure::input)?;
    let base = match plan.base.is_empty() {
        true => String::new(),
        false => {
            let base = checkpoint::open(&dir.join(&config.model)).map_err(Failure::input)?;
            base.hash().to_string()
        }
    };
    plan.apply(config, &base).map_err(Failure::input)
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
