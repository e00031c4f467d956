//! Reads what a run left in its folder. Files are taken as they are found: what is not there is a [`Gap`], what is damaged is an
//! error.

mod adapters;
mod curve;
mod disk;
mod examples;
mod projection;
mod scores;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ReportError;
use super::data::{
    Cost, Curve, Demand, Gap, LayerPlacement, Missing, Parameters, Run, RunLanguage,
};
use crate::evaluate::ScoresFile;
use crate::language::{Direction, Language, Resource};
pub(super) use scores::Scored;

/// What a report is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    /// Folder of the run.
    pub run: PathBuf,
    /// Its scores; by default `scores.json` in the folder, if that is there.
    pub scores: Option<PathBuf>,
}

impl Input {
    /// The files that a report is made from, whether or not they are there; translations apart.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let of_run = [
            "config.toml",
            "events.jsonl",
            "scores.json",
            COST,
            EXPLORATION,
        ];
        let of_run = of_run.iter().map(|name| self.run.join(name));
        of_run.chain(self.scores.clone()).collect()
    }
}

/// What is read of `config.toml`, of a training as well as of a pre-training. Other keys are other people's business.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    method: Option<String>,
    seed: Option<u64>,
    languages: BTreeMap<Resource, Vec<Language>>,
    model: Option<PathBuf>,
    adapter: AdapterSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AdapterSection {
    preset: Option<String>,
}

/// The file in a run's folder that says what exploring found.
pub(crate) const EXPLORATION: &str = "explore.json";

/// The file in a run's folder that says what training took.
pub(crate) const COST: &str = "cost.json";

/// What `explore.json` holds for a report.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Explored {
    placement: Option<Vec<LayerPlacement>>,
    demand: Option<Demand>,
}

/// A file's text; none if there is no such file.
fn text_of(path: &Path) -> Result<Option<String>, ReportError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn malformed(path: &Path, reason: &dyn std::fmt::Display) -> ReportError {
    ReportError::Malformed {
        path: path.to_owned(),
        reason: reason.to_string().trim_end().to_owned(),
    }
}

/// A JSON file; none if there is no such file.
fn json_of<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReportError> {
    match text_of(path)? {
        None => Ok(None),
        Some(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| malformed(path, &e)),
    }
}

/// Reads a run. `base` are scores of the untouched base, for runs whose scores hold no comparison.
///
/// # Errors
/// [`ReportError`]: no run, or a file of it that can't be read.
pub(super) fn run(
    input: &Input,
    base: Option<&Scored>,
    examples: usize,
) -> Result<Run, ReportError> {
    let dir = &input.run;
    let config_path = dir.join("config.toml");
    let Some(config_text) = text_of(&config_path)? else {
        return Err(ReportError::NoRun {
            path: dir.clone(),
            reason: match dir.is_dir() {
                true => "it has no config.toml; name a folder that `isogloss train` made",
                false => "there is no such folder; name one that `isogloss train` made",
            },
        });
    };
    let config: Config = toml::from_str(&config_text).map_err(|e| malformed(&config_path, &e))?;
    let mut run = Run {
        path: dir.clone(),
        // Only pre-training knows no base.
        method: match (&config.method, &config.model) {
            (None, None) => Some("pretrain".to_owned()),
            (method, _) => method.clone(),
        },
        preset: config.adapter.preset.clone(),
        seed: config.seed,
        languages: languages(&config),
        hashes: json_of(&dir.join("inputs.json"))?.unwrap_or_default(),
        disk: disk::pieces(dir)?,
        curve: curve::read(&dir.join("events.jsonl"))?,
        cost: cost(dir)?,
        ..Run::default()
    };
    run.base = run.hashes.get("base").cloned();
    run.config = Some(config_text);
    if let Some(adapters) = adapters::read(&dir.join("adapters"))? {
        adapters.describe(&mut run);
    }
    sizes(&mut run);
    let explored: Explored = json_of(&dir.join(EXPLORATION))?.unwrap_or_default();
    run.placement = explored.placement.filter(|layers| !layers.is_empty());
    run.demand = explored.demand;
    if let Some(demand) = &run.demand {
        check(demand).map_err(|reason| malformed(&dir.join(EXPLORATION), &reason))?;
    }
    run.projection = projection::of(&run);
    let scored = Scored::of_run(input)?;
    if let Some(scored) = &scored {
        run.quality = Some(scores::quality(scored, base, &run)?);
        run.examples = examples::choose(scored, base, examples);
    }
    if let Some(ScoresFile {
        adapters_hash,
        text_hash,
        ..
    }) = scored.as_ref().map(|scored| &scored.file)
    {
        let named = [
            ("scored adapters", adapters_hash),
            ("scored text", text_hash),
        ];
        let known = named
            .into_iter()
            .filter_map(|(name, hash)| Some((name.to_owned(), hash.clone()?)));
        run.hashes.extend(known);
    }
    run.commands = commands(&run, scored.as_ref());
    run.gaps = gaps(&run, &config, scored.as_ref());
    Ok(run)
}

fn languages(config: &Config) -> Vec<RunLanguage> {
    let of_class = |(class, languages): (&Resource, &Vec<Language>)| {
        let of = |language: &Language| RunLanguage {
            language: language.clone(),
            class: Some(class.to_string()),
            parameters: None,
        };
        languages.iter().map(of).collect::<Vec<_>>()
    };
    config.languages.iter().flat_map(of_class).collect()
}

/// Whether a table of shares has its rows and columns.
fn check(demand: &Demand) -> Result<(), String> {
    let (rows, columns) = (demand.languages.len(), demand.layers.len());
    let shares = demand.share.len() == rows && demand.share.iter().all(|row| row.len() == columns);
    let overall = demand.overall.as_ref().is_none_or(|all| all.len() == rows);
    match shares && overall {
        true => Ok(()),
        false => Err(format!(
            "`demand.share` should have {rows} rows (languages) of {columns} numbers (layers)"
        )),
    }
}

/// What training took; of a run without `cost.json`, what its last state tells.
fn cost(dir: &Path) -> Result<Option<Cost>, ReportError> {
    if let Some(cost) = json_of(&dir.join(COST))? {
        return Ok(Some(cost));
    }
    let last = dir.join("checkpoints/last.safetensors");
    Ok(disk::last_state(&last).map(|state| Cost {
        seconds: Some(state.seconds),
        target_tokens: Some(state.total_tokens),
        ..Cost::default()
    }))
}

/// Fills in what training wrote and the adapters don't hold.
fn sizes(run: &mut Run) {
    let cost = run.cost.clone().unwrap_or_default();
    let Parameters {
        base,
        trainable,
        active,
    } = &mut run.parameters;
    *base = base.or(cost.base_parameters);
    *trainable = trainable.or(cost.trainable);
    *active = active.or(cost.active);
}

/// A word as a shell takes it: in quotes, if it must be.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=@+%{}".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// `isogloss evaluate` for this run, with the options that its scores know.
fn evaluate(run: &Run, scored: Option<&Scored>, directions: &[Direction]) -> String {
    let option = |key: &str| -> Option<String> {
        match scored?.file.options.get(key)? {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    };
    let dir = run.path.display().to_string();
    let mut words = vec!["isogloss evaluate".to_owned()];
    let mut add = |name: &str, value: &str| words.push(format!("{name} {}", shell_word(value)));
    match run.method.as_deref() {
        Some("full" | "pretrain") => add("--model", &format!("{dir}/model")),
        _ => {
            add("--model", "BASE");
            add("--adapters", &format!("{dir}/adapters"));
        }
    }
    add("--data", &option("data").unwrap_or_else(|| "TEXT".into()));
    for key in ["split", "rows"] {
        if let Some(value) = option(key) {
            add(&format!("--{key}"), &value);
        }
    }
    let list = |names: Vec<String>| names.join(",");
    let codes = || run.languages.iter().map(|l| l.language.to_string());
    match directions.is_empty() {
        false => add(
            "--directions",
            &list(directions.iter().map(ToString::to_string).collect()),
        ),
        true => add("--languages", &list(codes().collect())),
    }
    for key in [
        "beam",
        "length_penalty",
        "no_repeat_ngram",
        "max_length",
        "precision",
        "missing",
        "vocabulary",
    ] {
        if let Some(value) = option(key) {
            add(&format!("--{}", key.replace('_', "-")), &value);
        }
    }
    match run.method.as_deref() {
        Some("pretrain") => {}
        // The scores of the untouched base, with its translations beside them.
        Some("full") => add("--against", "BASE.json"),
        _ => add("--against", "base"),
    }
    add("--out", &format!("{dir}/scores.json"));
    words.join(" ")
}

fn train(run: &Run) -> String {
    let command = run.cost.as_ref().and_then(|cost| cost.command.clone());
    command.unwrap_or_else(|| match run.method.as_deref() {
        Some("pretrain") => "isogloss pretrain CONFIG.toml".to_owned(),
        _ => "isogloss train CONFIG.toml".to_owned(),
    })
}

/// The commands that make a run and its scores anew.
fn commands(run: &Run, scored: Option<&Scored>) -> Vec<String> {
    let directions: Vec<Direction> = scored.map_or_else(Vec::new, |scored| {
        let all = scored.file.directions.iter();
        all.map(|d| d.direction.clone()).collect()
    });
    let evaluate = scored.map(|_| evaluate(run, scored, &directions));
    std::iter::once(train(run)).chain(evaluate).collect()
}

fn gaps(run: &Run, config: &Config, scored: Option<&Scored>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut add = |what, command: &str| {
        gaps.push(Gap {
            what,
            command: command.to_owned(),
        });
    };
    let (train, again) = (train(run), evaluate(run, scored, &run.trained));
    if !run.has_result() {
        add(Missing::Result, &train);
    }
    let cost = run.cost.as_ref();
    if cost.is_none_or(|cost| cost.seconds.is_none() || cost.peak_memory.is_none()) {
        add(Missing::Cost, &train);
    }
    if run.curve == Curve::default() {
        add(Missing::Curve, &train);
    }
    if !matches!(config.method.as_deref(), Some("full" | "lora")) && run.demand.is_none() {
        add(Missing::Exploration, "isogloss explore CONFIG.toml");
    }
    let Some(quality) = &run.quality else {
        add(Missing::Scores, &again);
        return gaps;
    };
    if quality.directions.iter().all(|d| d.verdict.is_none()) {
        add(Missing::Comparison, &again);
    }
    if !quality.missing.is_empty() {
        add(
            Missing::Directions,
            &evaluate(run, scored, &quality.missing),
        );
    }
    if scored.is_some_and(|scored| scored.of_another(run)) {
        add(Missing::Own, &again);
        let run = run.path.display();
        tracing::warn!("{run}: the scores are not of this run as it is now; evaluate it again");
    }
    if run.examples.is_empty() {
        add(Missing::Translations, &again);
    } else if run.examples.iter().all(|e| e.reference.is_none()) {
        add(Missing::Text, &again);
    }
    gaps
}
