//! Who translates: the adapters or, where a rollout says so, the base alone.

use super::Args;
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use clap::ValueEnum as _;
use isogloss::adapter;
use isogloss::decode::{DecodeError, Line, Loaded, TextOptions, TextTranslator};
use isogloss::evaluate::{MadeWith, OtherSearch, searched_otherwise};
use isogloss::language::Direction;
use isogloss::rollout::{Choice, Rollout};
use isogloss_kernels::Cpu;

/// A rollout that is obeyed; without, the adapters translate everything.
pub(super) struct Served(Option<Rollout>);

impl Served {
    pub(super) fn open(args: &Args) -> Outcome<Self> {
        let rollout = args.rollout.as_deref().map(Rollout::read).transpose();
        Ok(Served(rollout.map_err(Failure::input)?))
    }

    /// Refuses a rollout that was decided for another system.
    pub(super) fn check(&self, args: &Args, loaded: &Loaded) -> Outcome {
        let (Some(rollout), Some(adapters)) = (&self.0, &args.adapters) else {
            return Ok(());
        };
        let model = loaded.hash.map(|hash| hash.to_string()).unwrap_or_default();
        let known = adapter::known_as(adapters).map_err(Failure::input)?;
        for (what, path, found, expected) in [
            (
                "weights of the base",
                &args.model,
                &[model][..],
                &rollout.model_hash,
            ),
            ("adapters", adapters, &known, &rollout.adapters_hash),
        ] {
            if !found.contains(expected) {
                let error = anyhow!(
                    "the rollout was decided for other {what} than {}: expected {expected}, found {}",
                    path.display(),
                    found.join(", a copy of ")
                );
                return Err(Failure::input(error).hint(
                    "evaluate this system with --against base and make a plan from its scores; a copy compacted with a tolerance counts as another system",
                ));
            }
        }
        warn_of_search(args, &rollout.decided_with);
        Ok(())
    }

    /// Whether adapters translate anything in a direction.
    pub(super) fn may_adapt(&self, direction: &Direction) -> bool {
        let rollout = self.0.as_ref();
        rollout.is_none_or(|rollout| rollout.choice(direction) != Choice::Base)
    }

    /// Prepares lines for who translates them.
    pub(super) fn prepare(
        &self,
        translator: &TextTranslator<'_, Cpu>,
        lines: &[(&str, &Direction)],
        options: TextOptions,
    ) -> Result<Vec<Line>, DecodeError> {
        let Some(rollout) = &self.0 else {
            return translator.prepare(lines, options);
        };
        let adapted = lines.iter().map(|(line, d)| rollout.adapts(d, line));
        let adapted: Vec<bool> = adapted.collect();
        let prepared = translator.prepare_with_base(lines, options, |i| !adapted[i])?;
        let count = adapted.iter().filter(|&&adapted| adapted).count();
        tracing::debug!("{count} of {} lines are for the adapters", lines.len());
        Ok(prepared)
    }
}

/// Says so where translations are searched for otherwise than those that decided.
fn warn_of_search(args: &Args, decided: &MadeWith) {
    let mut others = searched_otherwise(&args.decode_options(), decided);
    let ours = args.precision.to_possible_value();
    if let (Some(ours), Some(theirs)) = (ours, decided.get("precision"))
        && theirs != ours.get_name()
    {
        others.push(OtherSearch {
            option: "precision",
            ours: ours.get_name().into(),
            theirs: theirs.clone(),
        });
    }
    for other in others {
        tracing::warn!(
            "{} is {} here, and was {} where the rollout was decided",
            other.option,
            other.ours,
            other.theirs
        );
    }
}
