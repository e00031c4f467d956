use proptest::prelude::*;

use super::*;
use crate::adapter::{AdapterConfig, SitePlan};
use crate::config::ShapeConfig;

fn sites() -> Vec<SitePlan> {
    let model = ShapeConfig {
        d_model: 8,
        ffn_dim: 16,
        encoder_layers: 2,
        decoder_layers: 1,
        attention_heads: 1,
        ..ShapeConfig::default()
    };
    let model = model.model(20, 0.0, 0.0);
    AdapterConfig::default().sites(&model).unwrap()
}

fn value(projection: Projection) -> f64 {
    match projection {
        Projection::Fc1 | Projection::Fc2 => 0.2,
        Projection::V => 0.1,
        _ => 0.05,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ranks_fit_the_budget_and_follow_the_demand(
        demands in prop::collection::vec(0.0f64..1.0, 1..9), budget in 1usize..60_000, limit in 1usize..9,
    ) {
        let sites = sites();
        let plan = allocate(&sites, &demands, &value, budget, limit);
        let alone = |kind: Projection| {
            let own = sites.iter().filter(|p| p.site.projection == kind);
            own.map(|p| p.input.len() + p.output.len()).sum::<usize>() * demands.len()
        };
        let Some(plan) = plan else {
            prop_assert!(sites.iter().all(|p| alone(p.site.projection) > budget));
            return Ok(());
        };
        let total: usize = plan.ranks.iter().sum();
        prop_assert!(total * plan.per_rank <= budget);
        prop_assert!(plan.ranks.iter().all(|&rank| (1..=limit).contains(&rank)));
        for (a, rank) in demands.iter().zip(&plan.ranks) {
            for (b, other) in demands.iter().zip(&plan.ranks) {
                prop_assert!(a < b || rank >= other, "{demands:?} {:?}", plan.ranks);
            }
        }
        // Nothing that was given up has room beside what is left.
        let beside = |&kind: &Projection| plan.per_rank * demands.len() + alone(kind);
        prop_assert!(plan.dropped.iter().all(|kind| beside(kind) > budget));
        // With a larger budget stays what is worth more than all that was given up, unless that makes room for what had none alone.
        if plan.dropped.iter().all(|&kind| alone(kind) <= budget) {
            let most = plan.dropped.iter().map(|&kind| value(kind)).fold(0.0, f64::max);
            let richer = allocate(&sites, &demands, &value, 2 * budget, limit).unwrap();
            let mut worth = plan.sites.iter().filter(|&&kind| value(kind) > most);
            prop_assert!(worth.all(|kind| richer.sites.contains(kind)));
        }
    }
}

#[test]
fn a_budget_in_proportion() {
    let sites = sites();
    let per_rank: usize = sites.iter().map(|p| p.input.len() + p.output.len()).sum();
    let plan = allocate(&sites, &[0.1, 0.1, 0.4], &value, 6 * per_rank, 100).unwrap();
    assert_eq!(plan.ranks, [1, 1, 4]);
    assert!(plan.dropped.is_empty());
    let plan = allocate(&sites, &[0.0, 0.0], &value, 5 * per_rank, 100).unwrap();
    assert_eq!(plan.ranks, [2, 2]);
    let all = allocate(&sites, &[0.9, 0.1], &value, usize::MAX / 4, 8).unwrap();
    assert_eq!(all.ranks, [8, 8]);
}

#[test]
fn budgets_are_read() {
    let read = |text: &str| text.parse::<Budget>().unwrap();
    assert_eq!(read("1%").parameters(2_000_000), 20_000);
    assert_eq!(read(" 0.5 %").parameters(2_000_000), 10_000);
    assert_eq!(read("500k").parameters(1), 500_000);
    assert_eq!(read("1.5M").parameters(1), 1_500_000);
    assert_eq!(read("1327104").parameters(1), 1_327_104);
    for wrong in [
        "", "%", "k", "0", "-1%", "101%", "1 GB", "nan%", "1e99", "日本",
    ] {
        let error = wrong.parse::<Budget>().unwrap_err().to_string();
        assert!(error.contains("expected a share"), "{wrong}: {error}");
    }
}

fn plan() -> (Plan, Reasons) {
    let (deu, lij): (Language, Language) =
        ("deu_Latn".parse().unwrap(), "lij_Latn".parse().unwrap());
    let place: Place = "encoder.layers.0".parse().unwrap();
    let plan = Plan {
        base: "abc".into(),
        sites: [Projection::Fc1, Projection::CrossQ].into(),
        ranks: [(deu, 2), (lij.clone(), 6)].into(),
        sides: [(place, Side::Source)].into(),
        pruning: Some(PruningConfig::default()),
    };
    let reasons = Reasons {
        summary: vec!["Made from nothing.".into()],
        sites: vec!["all of them".into()],
        ranks: [(lij, "keeps 30% of its entries".into())].into(),
        sides: [(place, "0.7 against 0.3".into())].into(),
    };
    (plan, reasons)
}

#[test]
fn a_written_plan_reads_back_with_its_reasons_beside() {
    let (plan, reasons) = plan();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    plan.write(&path, &reasons).unwrap();
    assert_eq!(Plan::read(&path).unwrap(), plan);
    let text = std::fs::read_to_string(&path).unwrap();
    for part in [
        "# Made from nothing.",
        "lij_Latn = 6  # keeps 30% of its entries",
        "\"encoder.layers.0\" = \"source\"  # 0.7 against 0.3",
        "sites = [\"cross_q\", \"fc1\"]",
        "[pruning]\ntarget_ratio = 0.9",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    std::fs::write(&path, text.replace("[ranks]", "rank = 3\n[ranks]")).unwrap();
    let error = Plan::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("plan.toml") && error.contains("rank"),
        "{error}"
    );
}

#[test]
fn a_plan_is_held_to_its_base_and_its_languages() {
    let (plan, _) = plan();
    let config = |languages: &str| -> TrainConfig {
        toml::from_str(&format!(
            "run = \"r\"\nmodel = \"m\"\ndata = []\nlanguages = {{ {languages} }}\n[validation]\ndata = []\n\
             [adapter]\nrank = 7\nencoder_target_from = 1\n"
        ))
        .unwrap()
    };
    let mut fitting = config("high = [\"deu_Latn\"], low = [\"lij_Latn\"]");
    plan.apply(&mut fitting, "abc").unwrap();
    assert_eq!(fitting.adapter.language_ranks, plan.ranks);
    assert_eq!(
        (fitting.adapter.rank, fitting.adapter.encoder_target_from),
        (None, None)
    );
    assert_eq!(
        (fitting.adapter.sides, fitting.pruning),
        (plan.sides.clone(), plan.pruning.clone())
    );
    let wrong = |languages: &str, base: &str| {
        let error = plan.apply(&mut config(languages), base).unwrap_err();
        error.to_string()
    };
    for method in [Method::Lora, Method::Full] {
        let mut other = config("high = [\"deu_Latn\"], low = [\"lij_Latn\"]");
        other.method = method;
        let before = other.clone();
        assert!(matches!(
            plan.apply(&mut other, "abc"),
            Err(PlanError::Method)
        ));
        assert_eq!(other, before);
    }
    let text = wrong("high = [\"deu_Latn\"], low = [\"lij_Latn\"]", "other");
    assert!(text.contains("made for the base abc"), "{text}");
    let text = wrong("high = [\"deu_Latn\"]", "abc");
    assert!(
        text.contains("the plan names lij_Latn, which the configuration does not name"),
        "{text}"
    );
    let text = wrong(
        "high = [\"deu_Latn\", \"fra_Latn\"], low = [\"lij_Latn\"]",
        "abc",
    );
    assert!(text.contains("the plan does not name fra_Latn"), "{text}");
}
