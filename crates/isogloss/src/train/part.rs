//! A part of what would be trained together, as a training of its own.

use crate::config::TrainingConfig;
use crate::corpus::PivotShare;
use crate::language::Direction;
use crate::train::DirectionShare;

impl TrainingConfig {
    /// Makes of the training in `all` directions that in some of them alone: of each as many pairs an epoch, in about as many updates, each with as
    /// much of their text. Returns their share of the pairs. Nothing changes where they are all, or none.
    pub fn narrow_to(&mut self, all: &[DirectionShare], own: impl Fn(&Direction) -> bool) -> f64 {
        let pairs_where = |wanted: &dyn Fn(&Direction) -> bool| -> usize {
            let wanted = all.iter().filter(|share| wanted(&share.direction));
            wanted.map(|share| share.pairs_per_epoch as usize).sum()
        };
        let (pairs, of_all) = (pairs_where(&own), pairs_where(&|_| true));
        if pairs == 0 || pairs == of_all {
            return 1.0;
        }
        if let Some(PivotShare { language, share }) = &mut self.sample.pivot {
            let with = pairs_where(&|d| own(d) && d.has(language));
            // The share was of all directions; among these the pivot's have another.
            *share = with as f64 / pairs as f64;
            if with == 0 || with == pairs {
                self.sample.pivot = None;
            }
        }
        self.sample.pairs_per_epoch = Some(pairs);
        let share = pairs as f64 / of_all as f64;
        self.narrow(share);
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Sampler;

    /// What each direction gets of an epoch, all together.
    fn together(config: &TrainingConfig, counts: &[(&str, usize)]) -> Vec<DirectionShare> {
        let counts: Vec<(Direction, usize)> = counts
            .iter()
            .map(|&(direction, pairs)| (direction.parse().unwrap(), pairs))
            .collect();
        let directions = counts.iter().map(|(d, n)| (d, *n));
        let sampler = Sampler::new(directions, &config.sample, 1).unwrap();
        let quotas = sampler.quotas().iter();
        let share =
            |((direction, pairs), &pairs_per_epoch): (&(Direction, usize), &u32)| DirectionShare {
                direction: direction.clone(),
                pairs: *pairs,
                pairs_per_epoch,
            };
        counts.iter().zip(quotas).map(share).collect()
    }

    #[test]
    fn a_part_alone_is_sampled_as_among_all() {
        let counts = [
            ("deu_Latn-eng_Latn", 3000),
            ("eng_Latn-deu_Latn", 3000),
            ("fra_Latn-eng_Latn", 9000),
            ("eng_Latn-fra_Latn", 9000),
            ("deu_Latn-fra_Latn", 1000),
            ("fra_Latn-deu_Latn", 1000),
        ];
        for pivot in [
            "",
            "sample.pivot = { language = 'eng_Latn', share = 0.8 }\n",
        ] {
            let text = format!(
                "{pivot}batch_tokens = 1000\nmax_tokens = 10\nwarmup = 50\nsample.pairs_per_epoch = 6000"
            );
            let config: TrainingConfig = toml::from_str(&text).unwrap();
            let all = together(&config, &counts);
            let german = |d: &Direction| d.has(&"deu_Latn".parse().unwrap());
            let mut alone = config.clone();
            let share = alone.narrow_to(&all, german);
            let own: Vec<&DirectionShare> = all.iter().filter(|s| german(&s.direction)).collect();
            let pairs: u32 = own.iter().map(|s| s.pairs_per_epoch).sum();
            assert_eq!(alone.sample.pairs_per_epoch, Some(pairs as usize));
            assert!((share - f64::from(pairs) / 6000.0).abs() < 1e-12);
            assert_eq!(alone.batch_tokens, (1000.0 * share).round() as usize);
            let counts: Vec<(&str, usize)> = counts
                .into_iter()
                .filter(|(d, _)| d.contains("deu"))
                .collect();
            for (alone, among) in together(&alone, &counts).iter().zip(own) {
                let off = alone.pairs_per_epoch.abs_diff(among.pairs_per_epoch);
                assert!(off <= 1, "{pivot}: {alone:?} {among:?}");
            }

            let mut same = config.clone();
            assert_eq!(same.narrow_to(&all, |_| true), 1.0);
            assert_eq!(same.narrow_to(&all, |_| false), 1.0);
            assert_eq!(same, config);
        }
    }

    /// The pivot's share means nothing where all directions have the language, or none.
    #[test]
    fn a_part_without_the_pivot_or_with_nothing_else_has_no_share() {
        let text =
            "sample = { pivot = { language = 'eng_Latn', share = 0.8 }, pairs_per_epoch = 100 }";
        let config: TrainingConfig = toml::from_str(text).unwrap();
        let all = together(
            &config,
            &[("deu_Latn-eng_Latn", 50), ("deu_Latn-fra_Latn", 50)],
        );
        for target in ["eng_Latn", "fra_Latn"] {
            let mut alone = config.clone();
            alone.narrow_to(&all, |d| d.target.code() == target);
            assert_eq!(alone.sample.pivot, None);
        }
    }
}
