//! `isogloss config`: what a configuration file says, defaults included.

use crate::failure::{Failure, Outcome};
use crate::output;
use clap::Subcommand;
use isogloss::compare::CompareConfig;
use isogloss::config::{PretrainConfig, TrainConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss config show examples/factory/lslo.toml
  isogloss config show models/mini/pretrain.toml --json";

/// Look at configuration files
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a configuration with every default that is in force
    Show {
        /// A file for `isogloss train`, `isogloss pretrain` or `isogloss compare`
        #[arg(value_name = "CONFIG.toml")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Action::Show { config, json } = &args.action;
    let any: toml::Table = isogloss::config::read(config).map_err(Failure::input)?;
    // Only a base from scratch has a shape, and only a comparison a training within; everything else is for `train`, and told so where something is missing.
    let scratch = ["shape", "vocabulary", "initial"]
        .iter()
        .any(|key| any.contains_key(*key));
    match (scratch, any.contains_key("train")) {
        (true, _) => show::<PretrainConfig>(config, *json),
        (false, true) => show::<CompareConfig>(config, *json),
        (false, false) => show::<TrainConfig>(config, *json),
    }
}

fn show<T: DeserializeOwned + Serialize>(path: &Path, json: bool) -> Outcome {
    let config: T = isogloss::config::read(path).map_err(Failure::input)?;
    match json {
        true => output::json(&config),
        false => output::print(&toml::to_string(&config).map_err(Failure::internal)?),
    }
}
