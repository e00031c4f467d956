//! `isogloss config`: what a configuration file says, defaults included.

use crate::failure::{Failure, Outcome};
use crate::output;
use clap::Subcommand;
use isogloss::config::{PretrainConfig, TrainConfig};
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
        /// A file for `isogloss train` or `isogloss pretrain`
        #[arg(value_name = "CONFIG.toml")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Action::Show { config, json } = &args.action;
    let value = resolved(config)?;
    output::print(&match json {
        true => format!("{value:#}\n"),
        false => toml::to_string(&value).map_err(Failure::internal)?,
    })
}

/// The file as a run would take it. What has a base to adapt is for `train`.
fn resolved(path: &Path) -> Outcome<serde_json::Value> {
    let any: toml::Table = isogloss::config::read(path).map_err(Failure::input)?;
    let value = match any.contains_key("model") {
        true => serde_json::to_value(
            isogloss::config::read::<TrainConfig>(path).map_err(Failure::input)?,
        ),
        false => serde_json::to_value(
            isogloss::config::read::<PretrainConfig>(path).map_err(Failure::input)?,
        ),
    };
    value.map_err(Failure::internal)
}
