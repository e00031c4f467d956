//! What is evaluated: directions, metrics, and the text.

use super::{Args, DirectionArg};
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use isogloss::corpus::{Aligned, DataConfig, OneOrMany, Rows, TsvRows};
use isogloss::evaluate::{Bleu, Metric, NamedMetric, Tokenizer};
use isogloss::language::{Direction, Language};
use std::collections::BTreeMap;
use std::path::Path;

/// The directions asked for, in their order.
pub(super) fn directions(args: &Args) -> Outcome<Vec<Direction>> {
    let usage = |text: String| Err(Failure::input(anyhow!(text)));
    if !args.directions.contains(&DirectionArg::All) {
        let listed = args.directions.iter().filter_map(|d| match d {
            DirectionArg::One(direction) => Some(direction.clone()),
            DirectionArg::All => None,
        });
        let listed: Vec<Direction> = listed.collect();
        let among = |l| args.languages.is_empty() || args.languages.contains(l);
        let outside = listed
            .iter()
            .find(|d| !(among(&d.source) && among(&d.target)));
        return match outside {
            Some(direction) => usage(format!("{direction} is not among the --languages")),
            None => Ok(listed),
        };
    }
    if args.directions.len() > 1 {
        return usage("--directions is either `all` or a list".into());
    }
    if args.languages.len() < 2 {
        return usage("all directions are asked for, of fewer than two --languages".into());
    }
    let from = |source: &Language| {
        let others = args.languages.iter().filter(move |l| *l != source);
        let pairs = others.map(|target| Direction::new(source.clone(), target.clone()));
        pairs.collect::<Vec<_>>()
    };
    Ok(args.languages.iter().flat_map(from).collect())
}

pub(super) fn metrics(args: &Args) -> Outcome<Vec<NamedMetric>> {
    let mut names: Vec<String> = args
        .metric
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    if names.is_empty() {
        names = vec!["chrf++".into(), "bleu".into()];
        if args.spm.is_some() {
            names.push("spbleu".into());
        }
    }
    let of_name = |name: String| {
        let metric = match (name.as_str(), &args.spm) {
            ("spbleu", Some(path)) => {
                let tokenizer = Tokenizer::open_sentencepiece(path).map_err(Failure::input)?;
                Metric::Bleu(Bleu {
                    tokenizer,
                    ..Bleu::default()
                })
            }
            ("spbleu", None) => {
                let error = Metric::parse(&name).err();
                let error = error.map_or_else(|| anyhow!("spbleu needs a model"), Into::into);
                return Err(Failure::input(error).hint("name it with --spm FILE"));
            }
            _ => Metric::parse(&name).map_err(Failure::input)?,
        };
        Ok(NamedMetric { name, metric })
    };
    names.into_iter().map(of_name).collect()
}

/// How the folder's files are read, by the first kind of which there is one for a language.
pub(super) fn data(args: &Args, directions: &[Direction]) -> Outcome<DataConfig> {
    folder(
        &args.data,
        args.split.as_deref(),
        args.rows.clone(),
        directions,
    )
}

/// The same, of any folder; the section's path starts in it.
pub(in super::super) fn folder(
    dir: &Path,
    split: Option<&str>,
    rows: Option<Rows>,
    directions: &[Direction],
) -> Outcome<DataConfig> {
    let mut languages: Vec<Language> = directions
        .iter()
        .flat_map(|d| [d.source.clone(), d.target.clone()])
        .collect();
    languages.sort();
    languages.dedup();
    let folder = std::fs::read_dir(dir)
        .map_err(|e| Failure::input(anyhow!("cannot open {}: {e}", dir.display())))?;
    let names: Vec<String> = folder
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let has = |ending: &str| {
        let mut stems = names.iter().filter_map(|name| name.strip_suffix(ending));
        stems.any(|stem| stem.parse().is_ok_and(|l| languages.contains(&l)))
    };
    let kinds: &[&str] = match split {
        None => &[".txt", ".txt.gz", ".txt.zst", ".tsv"],
        Some(_) => &[".tsv"],
    };
    let Some(kind) = kinds.iter().find(|kind| has(kind)) else {
        return Err(Failure::input(anyhow!(
            "{} has no file of any of the languages: expected such as {}{}",
            dir.display(),
            languages[0],
            kinds.join(" or ")
        )));
    };
    let path = format!("{{lang}}{kind}");
    let languages = Some(languages);
    Ok(match *kind {
        ".tsv" => DataConfig::TsvRows(TsvRows {
            path,
            key: "id".into(),
            text: "text".into(),
            filter: split
                .iter()
                .map(|&split| ("split".to_owned(), OneOrMany::One(split.to_owned())))
                .collect(),
            rows,
            languages,
        }),
        _ => DataConfig::Aligned(Aligned {
            path: Some(path),
            files: BTreeMap::new(),
            rows,
            languages,
        }),
    })
}
