//! The words of a page: a table for each language, with the same entries.

mod en;
mod ja;
mod names_ja;

use std::fmt;
use std::str::FromStr;

use crate::language::Language;

/// The language that a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Tongue {
    /// English.
    #[default]
    English,
    /// Japanese.
    Japanese,
}

impl Tongue {
    /// Every one.
    pub const ALL: [Tongue; 2] = [Tongue::English, Tongue::Japanese];

    /// Its BCP 47 tag.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Tongue::English => "en",
            Tongue::Japanese => "ja",
        }
    }

    /// Its words.
    pub(super) fn text(self) -> &'static Text {
        match self {
            Tongue::English => &en::TEXT,
            Tongue::Japanese => &ja::TEXT,
        }
    }

    /// What a language is called in it; its code, where that isn't known.
    pub(super) fn name(self, language: &Language) -> &str {
        let english = language.name();
        let found = match self {
            Tongue::English => english,
            Tongue::Japanese => {
                let at = names_ja::NAMES.binary_search_by(|(code, _)| (*code).cmp(language.code()));
                at.map_or(english, |at| Some(names_ja::NAMES[at].1))
            }
        };
        found.unwrap_or(language.code())
    }
}

impl fmt::Display for Tongue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

impl FromStr for Tongue {
    type Err = String;

    /// Reads a tag: `en`, `ja`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|tongue| tongue.tag() == text);
        found.ok_or_else(|| format!("`{text}` is not one of en, ja"))
    }
}

/// Declares the entries, which every table must have: a missing one doesn't compile.
macro_rules! entries {
    ($($name:ident)*) => {
        /// The words of a page. `{places}` are filled in.
        #[derive(Debug)]
        pub(in crate::report) struct Text {
            $(pub $name: &'static str,)*
        }

        #[cfg(test)]
        impl Text {
            /// Every entry with its name.
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

entries! {
    title heading skip contents toggle_theme made_on version table
    gain harm cost missing_heading
    gain_unknown gain_untested gain_none gain_one gain_many gain_all
    harm_unknown harm_untested_none harm_untested harm_none harm_unproven_one harm_unproven_many
    harm_one harm_many harm_also_unproven
    cost_unknown cost_time cost_memory cost_money cost_disk cost_end
    do_train do_evaluate do_compare do_keep do_all do_some
    why_train why_evaluate why_compare why_keep why_all why_some why_trial_one why_trial_many
    lead_of lead_harmless lead_gain
    verdicts better unclear worse untested rollout adapted trial base_kept rollout_note
    map map_lead map_untested map_key map_from map_to map_none map_same map_pale map_large
    no_directions directions_missing not_own
    per_direction direction sentences score base_score change interval p_adjusted lower_bound verdict
    forest forest_lead forest_cut by_language as_source as_target mean
    classes classes_lead class_from class_to class_high class_medium class_low directions
    trade_off trade_off_lead trade_off_axis trade_off_base trade_off_best run trainable
    curves curves_lead curve_training curve_validation curve_update curve_nll curve_best
    demand demand_lead language layer encoder decoder all_layers
    placement placement_lead side_source side_target side_none
    size size_lead piece_adapters piece_model piece_checkpoints piece bytes needed_yes needed_no
    parameters_base parameters_trainable parameters_active share_of_base by_each
    price time memory money machine threads_of measured measured_lead projection projection_lead languages disk
    examples examples_lead examples_gain examples_loss source reference before after sentence_number examples_note
    expert expert_lead metric_name commands configuration hashes options signatures test_heading method preset seed path base_hash
    test_text against_base correction_max_t correction_holm
    gap_result gap_scores gap_comparison gap_directions gap_own gap_translations gap_text gap_cost gap_curve gap_exploration
    gap_command yes no unknown and_more footer
    method_lslo method_lora method_full method_pretrain
    unit_hours unit_minutes unit_seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The `{places}` of a sentence.
    fn places(text: &str) -> BTreeSet<&str> {
        let parts = text.split('{').skip(1);
        parts
            .filter_map(|part| Some(part.split_once('}')?.0))
            .collect()
    }

    #[test]
    fn every_language_says_everything() {
        let english = Tongue::English.text().all();
        for tongue in Tongue::ALL {
            for ((name, text), (_, original)) in tongue.text().all().iter().zip(&english) {
                assert!(!text.trim().is_empty(), "{tongue}: {name}");
                assert_eq!(places(text), places(original), "{tongue}: {name}");
                let opened = text.matches('{').count();
                assert_eq!(opened, text.matches('}').count(), "{tongue}: {name}");
            }
        }
    }

    #[test]
    fn what_is_japanese_has_japanese_characters() {
        let kana = |c: char| {
            ('\u{3040}'..='\u{30ff}').contains(&c) || ('\u{4e00}'..='\u{9fff}').contains(&c)
        };
        // Names and symbols that are the same everywhere.
        let same = ["p_adjusted", "version", "method_lslo"];
        for (name, text) in Tongue::Japanese.text().all() {
            assert!(
                text.chars().any(kana) || same.contains(&name),
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn every_known_language_has_a_name_in_both() {
        let names = names_ja::NAMES;
        assert!(names.is_sorted_by(|a, b| a.0 < b.0));
        let all: Vec<Language> = Language::all_known().collect();
        assert_eq!(names.len(), all.len());
        for tongue in Tongue::ALL {
            let distinct: BTreeSet<&str> = all.iter().map(|l| tongue.name(l)).collect();
            assert_eq!(distinct.len(), all.len(), "{tongue}");
        }
        let german = "deu_Latn".parse().unwrap();
        assert_eq!(Tongue::Japanese.name(&german), "ドイツ語");
        assert_eq!(Tongue::English.name(&german), "German");
        assert_eq!(
            Tongue::Japanese.name(&"lmx_Latn".parse().unwrap()),
            "lmx_Latn"
        );
    }
}
