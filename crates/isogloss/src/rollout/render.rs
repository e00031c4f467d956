//! The file, with its reasons.

use super::decide::{Decided, Plan};
use super::{Choice, Rollout};
use crate::decimal::percent;
use crate::evaluate::{Comparison, DirectionChange, Verdict};
use std::fmt::Write as _;

/// One line, whatever a path or a name holds: a line feed would end the comment.
fn line(text: &impl ToString) -> String {
    text.to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn figures(of: &DirectionChange) -> String {
    let [low, high] = of.interval;
    let p = match of.p_adjusted < 0.0001 {
        true => "p < 0.0001".to_owned(),
        false => format!("p {:.4}", of.p_adjusted),
    };
    format!(
        "{:.2} -> {:.2}, {:+.2} [{low:+.2}, {high:+.2}], {p}",
        of.base, of.score, of.change
    )
}

fn how(of: &Comparison) -> String {
    let correction = of.correction.name();
    format!(
        "level {}, margin {}, corrected by {correction}, {} resamples, seed {}",
        of.level, of.margin, of.resamples, of.seed
    )
}

impl Plan {
    /// The rollout as TOML, with its reasons as comments.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        self.write_head(&mut text);
        let Rollout {
            model_hash,
            adapters_hash,
            trial_share,
            others,
            ..
        } = &self.rollout;
        let string = |text: &str| toml::Value::String(text.into()).to_string();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n\
             # The system that was compared; another is refused.\n\
             model_hash = {}\n\
             adapters_hash = {}\n\
             # Of a trial, the share of lines that the adaptation translates: those whose SHA-256 begins with the smallest numbers.\n\
             trial_share = {trial_share:?}\n\
             # Directions that aren't listed.\n\
             others = \"{}\"\n",
            string(model_hash),
            string(adapters_hash),
            others.name()
        );
        self.write_search(&mut text);
        text += "\n[directions]\n";
        for choice in [Choice::Adapted, Choice::Trial, Choice::Base] {
            let of_choice = self.decided.iter().filter(|d| d.choice == choice);
            for decided in of_choice {
                self.write_direction(&mut text, decided);
            }
        }
        text
    }

    fn write_search(&self, text: &mut String) {
        if self.rollout.decided_with.is_empty() {
            return;
        }
        *text += "\n# What the translations that decided were made with; other options are warned of.\n[decided_with]\n";
        for (name, value) in &self.rollout.decided_with {
            // Words, numbers and truths are written alike in JSON and in TOML.
            let _ = writeln!(text, "{name} = {value}");
        }
    }

    fn write_head(&self, text: &mut String) {
        let of = &self.comparison;
        let mut comment = |words: String| {
            let _ = writeln!(text, "# {}", line(&words));
        };
        comment("What serves each direction: adapted, base, or trial. Made by `isogloss rollout plan`; edit it as you see fit.".into());
        comment(format!(
            "{} adapted, {} on trial, {} on the base.",
            self.count(Choice::Adapted),
            self.count(Choice::Trial),
            self.count(Choice::Base)
        ));
        comment(format!(
            "Decided on {} in {} ({}): {}.",
            self.path.display(),
            of.metric,
            of.signature,
            how(of)
        ));
        let mut rules = format!("Rules: least gain {}", self.rules.min_gain);
        rules += &match self.rules.trial_share == 0.0 {
            true => ", no trials".to_owned(),
            false => format!(
                ", {}% of a trial's lines",
                percent(self.rules.trial_share, 4)
            ),
        };
        if self.rules.safe_trials {
            rules += ", trials only where the lower bound is above the margin";
        }
        comment(rules + ".");
        if self.reported.is_empty() {
            comment("Not reported on other data: what these choices give is not known.".into());
        }
        for reported in &self.reported {
            comment(format!(
                "On {}: mean change {:+.2} as planned, {:+.2} were everything adapted, over {} directions.",
                reported.path.display(),
                reported.planned,
                reported.adapted,
                reported.directions
            ));
            if reported.same_data {
                comment(
                    "  CAUTION: the same sentences decided, so these figures are too good.".into(),
                );
            }
            let harmed: Vec<String> = reported.harmed(self).map(ToString::to_string).collect();
            if !harmed.is_empty() {
                comment(format!(
                    "  WORSE there although served: {}",
                    harmed.join(", ")
                ));
            }
        }
    }

    fn write_direction(&self, text: &mut String, decided: &Decided) {
        let of = &decided.change;
        let _ = writeln!(text, "# {}: {}", decided.reason, figures(of));
        for reported in &self.reported {
            let Some(there) = reported.comparison.direction(&of.direction) else {
                continue;
            };
            let verdict = match there.verdict {
                Verdict::Better => "significantly better",
                Verdict::Worse => "significantly worse",
                Verdict::Unclear => "unclear",
            };
            let path = line(&reported.path.display());
            let _ = writeln!(text, "#   on {path}: {}, {verdict}", figures(there));
        }
        let _ = writeln!(text, "\"{}\" = \"{}\"", of.direction, decided.choice.name());
    }
}
