//! `isogloss rollout plan`: from scores to a rollout.

use crate::failure::{Failure, Outcome};
use crate::output;
use isogloss::evaluate::ScoresFile;
use isogloss::files;
use isogloss::rollout::{Choice, Plan, RolloutError, Rules, plan};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  isogloss evaluate --model base --adapters runs/a/adapters --against base --data dev --directions all --languages eng_Latn,oci_Latn --out valid.json
  isogloss evaluate --model base --adapters runs/a/adapters --against base --data devtest --directions all --languages eng_Latn,oci_Latn --out test.json
  isogloss rollout plan valid.json test.json -o rollout.toml

Each direction is `adapted` (significantly better), `base` (significantly worse, or no gain) or `trial` (better, but not significantly).
The first file decides; the others, of data that took no part, only say what comes out. The reasons stand in the file as comments.";

/// Decide on validation scores what serves each direction, and report it on test scores
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Scores of `isogloss evaluate --against base`: of validation data, which decide, then of other data, which are reported
    #[arg(value_name = "SCORES.json", required = true)]
    scores: Vec<PathBuf>,
    /// Where to write the rollout
    #[arg(short, long, visible_alias = "out", value_name = "FILE")]
    output: PathBuf,
    /// The least gain in points that is worth an adaptation or a trial
    #[arg(
        long,
        value_name = "POINTS",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    min_gain: f64,
    /// Share of lines that a direction on trial gives to the adapters, 0 to 1; with 0 there are no trials
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    trial_share: f64,
    /// Put directions on trial only if they are shown to lose less than the margin of the comparison
    #[arg(long)]
    safe_trials: bool,
    /// Report on the data that decided, although that makes the figures too good
    #[arg(long)]
    same_data: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    files::prepare(&args.output).map_err(Failure::input)?;
    output::beside(&args.output, &args.scores)?;
    let read = |path: &PathBuf| ScoresFile::read(path).map_err(Failure::input);
    let scores = args.scores.iter().map(read).collect::<Outcome<Vec<_>>>()?;
    let named: Vec<(&Path, &ScoresFile)> = args
        .scores
        .iter()
        .map(PathBuf::as_path)
        .zip(&scores)
        .collect();
    let rules = Rules {
        min_gain: args.min_gain,
        trial_share: args.trial_share,
        safe_trials: args.safe_trials,
    };
    let plan = plan(named[0], &named[1..], rules, args.same_data).map_err(wrong)?;
    plan.write(&args.output).map_err(Failure::internal)?;
    if args.json {
        return output::json(&json(&plan));
    }
    output::print(&summary(&plan))
}

fn wrong(error: RolloutError) -> Failure {
    let hint = match &error {
        RolloutError::SameData { .. } => {
            Some("report on data that took no part, or add --same-data and mistrust the figures")
        }
        RolloutError::NoComparison { .. } | RolloutError::NotTheBase { .. } => {
            Some("evaluate the adapters with --against base")
        }
        _ => None,
    };
    let failure = Failure::input(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn json(plan: &Plan) -> serde_json::Value {
    let decided = plan.decided.iter().map(|d| {
        serde_json::json!({
            "direction": d.change.direction,
            "choice": d.choice,
            "reason": d.reason,
        })
    });
    let decided: Vec<serde_json::Value> = decided.collect();
    let reported = plan.reported.iter().map(|r| {
        let harmed: Vec<_> = r.harmed(plan).collect();
        serde_json::json!({
            "scores": r.path,
            "planned": r.planned,
            "adapted": r.adapted,
            "directions": r.directions,
            "same_data": r.same_data,
            "harmed": harmed,
        })
    });
    let reported: Vec<serde_json::Value> = reported.collect();
    serde_json::json!({ "rollout": plan.rollout, "decided": decided, "reported": reported })
}

fn summary(plan: &Plan) -> String {
    let width = plan
        .decided
        .iter()
        .map(|d| d.change.direction.to_string().len())
        .max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for decided in &plan.decided {
        text += &format!(
            "{:<width$}  {:<7}  {:+.2}  {}\n",
            decided.change.direction.to_string(),
            decided.choice.name(),
            decided.change.change,
            decided.reason
        );
    }
    text += &format!(
        "{} adapted, {} on trial, {} on the base, decided on {}\n",
        plan.count(Choice::Adapted),
        plan.count(Choice::Trial),
        plan.count(Choice::Base),
        plan.path.display()
    );
    if plan.reported.is_empty() {
        text += "not reported on other data: name scores of data that took no part as well\n";
    }
    for reported in &plan.reported {
        text += &format!(
            "on {}: mean change {:+.2} {} as planned, {:+.2} were everything adapted, over {} directions\n",
            reported.path.display(),
            reported.planned,
            reported.comparison.metric,
            reported.adapted,
            reported.directions
        );
        let harmed: Vec<String> = reported.harmed(plan).map(ToString::to_string).collect();
        if !harmed.is_empty() {
            text += &format!("worse there although served: {}\n", harmed.join(", "));
        }
        if reported.same_data {
            text += "caution: the same sentences decided, so these figures are too good\n";
        }
    }
    text
}
