//! Interference: the directions of one language trained alone, beside all directions trained together.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::compare::words::listed;
use crate::compare::{
    CellPlan, CompareConfig, CompareError, Experiment, Extent, Kind, Prepared, TestSet,
};
use crate::config::{ConfigError, Directions, TrainConfig, value};
use crate::language::{Direction, Language};

/// `[interference]`: for each of these methods and languages a further cell with the first seed, trained in the directions of that
/// language alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterferenceConfig {
    /// Methods. Default: full fine-tuning, a shared LoRA and LSLo, as far as they are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Languages. Default: the first of each class that some directions have and others don't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<Language>>,
}

/// A method that is trained in the directions of one language alone.
#[derive(Debug, Clone)]
pub(crate) struct Alone {
    /// The method, ready to be trained so: first seed, these directions, as many of their pairs as all directions together take.
    pub method: Prepared,
    /// The method's name where it is trained in all directions together.
    pub of: String,
    pub language: Language,
}

fn no_duplicates<T: Ord + ToString>(key: &'static str, all: &[T]) -> Result<(), ConfigError> {
    let mut seen = BTreeSet::new();
    match all.iter().find(|one| !seen.insert(*one)) {
        Some(twice) => value(key, format!("names {} twice", twice.to_string())),
        None if all.is_empty() => value(key, "is empty; name some, or leave it out".to_owned()),
        None => Ok(()),
    }
}

impl Alone {
    /// What `[interference]` asks for, by language, then by method; nothing without the section.
    ///
    /// # Errors
    /// Methods or languages for which nothing can be trained alone, or be compared afterwards.
    pub fn all(
        config: &CompareConfig,
        methods: &[Prepared],
        plain: &TrainConfig,
        test: &TestSet,
    ) -> Result<Vec<Self>, CompareError> {
        let Some(interference) = &config.interference else {
            return Ok(Vec::new());
        };
        let chosen = chosen_methods(interference, methods)?;
        let languages = chosen_languages(interference, &chosen, plain, test)?;
        let mut all = Vec::new();
        for language in &languages {
            for method in &chosen {
                let alone = Alone::new(method, language, plain);
                if methods.iter().any(|m| m.name == alone.method.name) {
                    return Err(CompareError::Name {
                        name: alone.method.name,
                    });
                }
                all.push(alone);
            }
        }
        Ok(all)
    }

    fn new(together: &Prepared, language: &Language, plain: &TrainConfig) -> Self {
        let mut method = together.clone();
        method.name = format!("{}-alone-{language}", together.name);
        method.seeds.truncate(1);
        method.rates.truncate(1);
        method.like = Some(together.name.clone());
        let estimate = &mut method.estimate;
        // Else a method would get the fewer updates, the fewer languages there are, and the difference would be theirs.
        let training = &mut method.config.training;
        let share = training.narrow_to(&estimate.directions, |d| d.has(language));
        estimate.directions.retain(|d| d.direction.has(language));
        let pairs = estimate.directions.iter();
        let pairs: usize = pairs.map(|d| d.pairs_per_epoch as usize).sum();
        estimate.pairs_per_epoch = pairs;
        estimate.operations *= share;
        let own = estimate.directions.iter().map(|d| d.direction.clone());
        let own: Vec<Direction> = own.collect();

        let config = &mut method.config;
        let known: Vec<Language> = plain.languages.values().flatten().cloned().collect();
        let validated = config.validation.directions.as_ref().map(|directions| {
            let filter = directions.filter(&known);
            let validated = own.iter().filter(|d| filter.wants(d));
            validated.cloned().collect::<Vec<_>>()
        });
        // None: what the validation text holds of these directions.
        let validated = validated.filter(|directions| !directions.is_empty());
        config.validation.directions = validated.map(Directions::Only);
        config.directions = Directions::Only(own);
        Alone {
            method,
            of: together.name.clone(),
            language: language.clone(),
        }
    }
}

/// The methods that are named, or the defaults.
fn chosen_methods<'a>(
    config: &InterferenceConfig,
    methods: &'a [Prepared],
) -> Result<Vec<&'a Prepared>, CompareError> {
    const KEY: &str = "interference.methods";
    let possible = || methods.iter().filter(|m| m.kind != Kind::LoraDirection);
    let names = || listed(possible().map(|m| format!("\"{}\"", m.name)));
    let Some(named) = &config.methods else {
        // Of each kind the one that is named after it, or the first.
        let of = |kinds: &[Kind]| {
            let of_kind = |kind: &Kind| {
                let own = || possible().filter(|m| m.kind == *kind);
                let named = own().find(|m| m.name == kind.as_str());
                named.or_else(|| own().next())
            };
            kinds.iter().find_map(of_kind)
        };
        let lora = [Kind::LoraActive, Kind::LoraTotal];
        let found = [of(&[Kind::Full]), of(&lora), of(&[Kind::Lslo])];
        let found: Vec<&Prepared> = found.into_iter().flatten().collect();
        if found.is_empty() {
            let reason = "is not set, and neither full fine-tuning nor a shared LoRA nor LSLo is compared; name some of";
            value(KEY, format!("{reason} {}", names()))?;
        }
        return Ok(found);
    };
    no_duplicates(KEY, named)?;
    let of = |name: &String| match methods.iter().find(|m| m.name == *name) {
        Some(method) if method.kind == Kind::LoraDirection => {
            let reason = "which trains each direction alone anyway; there are";
            Ok(value(
                KEY,
                format!("names \"{name}\", {reason} {}", names()),
            )?)
        }
        Some(method) => Ok(method),
        None => {
            let reason = "which is not compared; there are";
            Ok(value(
                KEY,
                format!("names \"{name}\", {reason} {}", names()),
            )?)
        }
    };
    named.iter().map(of).collect()
}

/// Why a language of a method can't be trained alone, or be compared afterwards.
fn unfit(method: &Prepared, language: &Language, test: &TestSet) -> Option<String> {
    let trained = &method.estimate.directions;
    let own = trained.iter().filter(|d| d.direction.has(language)).count();
    let name = &method.name;
    let scored = |directions: &[Direction]| {
        let mut all = directions.iter();
        all.any(|d| d.has(language) && method.trains(d))
    };
    let (all, fewer) = (&test.directions, &test.fewer);
    if own == 0 {
        Some(format!("which `{name}` is not trained in"))
    } else if own == trained.len() {
        Some(format!(
            "which is in every direction that `{name}` is trained in, so that alone and together are the same"
        ))
    } else if !scored(all) {
        Some(format!(
            "but no direction of the test has it that `{name}` is trained in"
        ))
    } else if fewer.as_ref().is_some_and(|fewer| !scored(fewer)) {
        Some(format!(
            "but no direction of `test.fewer` has it that `{name}` is trained in"
        ))
    } else {
        None
    }
}

/// The languages that are named, or one of each class.
fn chosen_languages(
    config: &InterferenceConfig,
    methods: &[&Prepared],
    plain: &TrainConfig,
    test: &TestSet,
) -> Result<Vec<Language>, CompareError> {
    const KEY: &str = "interference.languages";
    let unfit = |language: &Language| methods.iter().find_map(|m| unfit(m, language, test));
    let fit = |language: &&Language| unfit(language).is_none();
    let possible = || {
        let all = plain.languages.values().flatten();
        let found = listed(all.filter(fit));
        match found.is_empty() {
            true => "no other language is possible".to_owned(),
            false => format!("possible are {found}"),
        }
    };
    let Some(named) = &config.languages else {
        let mut classes = plain.languages.values();
        let first = |class: &Vec<Language>| class.iter().find(fit).cloned();
        let found: Vec<Language> = classes.by_ref().filter_map(first).collect();
        if found.is_empty() {
            let mut all = plain.languages.values().flatten();
            let example = all.find_map(|l| Some(format!("{l}, {}", unfit(l)?)));
            let reason = "is not set, and no language can be trained alone, such as";
            value(KEY, format!("{reason} {}", example.unwrap_or_default()))?;
        }
        return Ok(found);
    };
    no_duplicates(KEY, named)?;
    for language in named {
        if let Some(reason) = unfit(language) {
            value(KEY, format!("names {language}, {reason}; {}", possible()))?;
        }
    }
    Ok(named.clone())
}

impl Experiment {
    /// What a cell trains alone, if it does.
    pub(super) fn alone_of(&self, cell: &CellPlan) -> Option<&Alone> {
        self.alone.iter().find(|a| a.method.name == cell.method)
    }

    /// The directions of a set that a cell is scored on: of the test those that it was trained in alone, if it was.
    pub(super) fn scored<'a>(
        &self,
        set: &'a TestSet,
        cell: &CellPlan,
        extent: &Extent,
    ) -> Cow<'a, [Direction]> {
        let all = set.scored(cell.scored, extent);
        match self.alone_of(cell).filter(|_| set.name.is_none()) {
            None => Cow::Borrowed(all),
            Some(alone) => {
                let own = all.iter().filter(|d| alone.method.trains(d));
                Cow::Owned(own.cloned().collect())
            }
        }
    }
}
