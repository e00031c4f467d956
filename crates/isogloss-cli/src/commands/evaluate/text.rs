//! What is evaluated: directions, metrics, and the text.

use super::{Args, DirectionArg};
use crate::failure::{Failure, Outcome};
use anyhow::anyhow;
use isogloss::corpus::{self, DataConfig};
use isogloss::evaluate::{Bleu, Metric, NamedMetric, Tokenizer};
use isogloss::language::{Direction, ordered_pairs};

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
    let languages = match args.languages.is_empty() {
        true => corpus::languages_of_folder(&args.data).map_err(Failure::input)?,
        false => args.languages.clone(),
    };
    if languages.len() < 2 {
        let error = anyhow!("all directions are asked for, of fewer than two languages");
        return Err(Failure::input(error).hint(
            "name them with --directions, such as eng_Latn-deu_Latn, or put a file of each language there, such as deu_Latn.txt",
        ));
    }
    Ok(ordered_pairs(&languages).collect())
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

/// How the folder's files are read.
pub(super) fn data(args: &Args, directions: &[Direction]) -> Outcome<DataConfig> {
    let (split, rows) = (args.split.as_deref(), args.rows.clone());
    let languages = directions.iter().flat_map(|d| [&d.source, &d.target]);
    corpus::folder(&args.data, split, rows, languages).map_err(Failure::input)
}
