use super::*;
use crate::graph::ModelConfig;
use crate::language::{Direction, Language, LanguageSide, Resource};
use crate::params::ParamStore;

fn config(layers: usize, d_model: usize, ffn: usize) -> ModelConfig {
    ModelConfig {
        d_model,
        encoder_layers: layers,
        decoder_layers: layers,
        encoder_ffn_dim: ffn,
        decoder_ffn_dim: ffn,
        ..ModelConfig::published(256_206)
    }
}

/// The languages of the paper's experiment, with their classes.
fn twelve() -> Vec<(Language, Resource)> {
    let classes = [
        (Resource::High, "eng_Latn fra_Latn ita_Latn deu_Latn"),
        (Resource::Medium, "nld_Latn zho_Hans jpn_Jpan kor_Hang"),
        (Resource::Low, "oci_Latn ory_Orya snd_Arab wol_Latn"),
    ];
    let all = classes.into_iter().flat_map(|(class, codes)| {
        codes
            .split(' ')
            .map(move |code| (code.parse().unwrap(), class))
    });
    all.collect()
}

fn adapters(preset: Preset, sites: Sites) -> AdapterConfig {
    AdapterConfig {
        preset,
        sites,
        ..AdapterConfig::default()
    }
}

/// method.md, "Sizes": parameters of four languages at rank 2 and at rank 8, as shares of the 615 M shape.
#[test]
fn counts_of_the_paper() {
    let model = config(12, 1024, 4096);
    let base = model.parameters() as f64;
    let table = [
        (Preset::Paper, Sites::All, 319_488, 0.416, 1.66),
        (Preset::Isogloss, Sites::All, 466_944, 0.61, 2.43),
        (Preset::Isogloss, Sites::Fc, 245_760, 0.32, 1.28),
    ];
    for (preset, sites, per_rank, at_2, at_8) in table {
        let config = adapters(preset, sites);
        let sites = config.sites(&model).unwrap();
        let updates = config.per_language(&twelve()).unwrap();
        let languages = twelve().into_iter().map(|(l, _)| l).collect();
        let mut store = ParamStore::new();
        let set = AdapterSet::new(languages, preset, sites, updates, 1, &mut store).unwrap();
        let counts = set.counts();
        assert_eq!(counts.by_update[0], 2 * per_rank);
        assert_eq!(counts.by_update[11], 8 * per_rank);
        assert_eq!(counts.trainable, (8 * 2 + 4 * 8) * per_rank);
        assert_eq!(counts.trainable, store.values().len());
        let share = |class: usize| {
            let sum: usize = counts.by_update[class * 4..class * 4 + 4].iter().sum();
            100.0 * sum as f64 / base
        };
        assert!((share(0) - at_2).abs() < 0.005, "{preset:?}: {}", share(0));
        assert!((share(2) - at_8).abs() < 0.01, "{preset:?}: {}", share(2));
    }
}

#[test]
fn sides_of_the_paper() {
    let sites = adapters(Preset::Paper, Sites::All)
        .sites(&config(12, 1024, 4096))
        .unwrap();
    assert_eq!(sites.len(), 12 * 5 + 12 * 8);
    for plan in &sites {
        let by_source = plan.site.stack == Stack::Encoder && plan.site.layer <= 8;
        let expected = if by_source {
            LanguageSide::Source
        } else {
            LanguageSide::Target
        };
        assert_eq!(plan.side, expected, "{}", plan.site);
        assert_eq!(
            (plan.input.clone(), plan.output.clone()),
            (0..1024, 0..1024)
        );
        assert_eq!(plan.site.to_string().parse::<Site>().unwrap(), plan.site);
    }
}

#[test]
fn starts_of_the_presets() {
    let model = config(1, 64, 128);
    for (preset, bound) in [(Preset::Isogloss, 1.0 / 8.0), (Preset::Paper, 1.0 / 2.0)] {
        let config = AdapterConfig {
            rank: Some(4),
            sites: Sites::Projections([Projection::Q].into()),
            ..adapters(preset, Sites::All)
        };
        let languages = vec!["deu_Latn".parse().unwrap()];
        let updates = config.shared(1).unwrap();
        let sites = config.sites(&model).unwrap();
        let mut store = ParamStore::new();
        let set = AdapterSet::new(languages, preset, sites, updates, 7, &mut store).unwrap();
        assert_eq!(set.updates[0].name, "shared");
        for param in store.params() {
            let largest = store
                .get(store.find(&param.name).unwrap())
                .iter()
                .fold(0f32, |m, x| m.max(x.abs()));
            match param.name.contains("lora_A") {
                true => assert!(
                    largest <= bound && largest > 0.9 * bound,
                    "{}: {largest}",
                    param.name
                ),
                false => assert!(largest == 0.0, "{}", param.name),
            }
        }
    }
}

#[test]
fn active_parameters_depend_on_the_direction() {
    let model = config(4, 64, 128);
    let config = adapters(Preset::Isogloss, Sites::Fc);
    let languages = twelve();
    let (sites, updates) = (
        config.sites(&model).unwrap(),
        config.per_language(&languages).unwrap(),
    );
    let codes: Vec<Language> = languages.into_iter().map(|(l, _)| l).collect();
    let mut store = ParamStore::new();
    let set = AdapterSet::new(codes, Preset::Isogloss, sites, updates, 1, &mut store).unwrap();
    let direction = |a: &str, b: &str| Direction::new(a.parse().unwrap(), b.parse().unwrap());
    let active = |a: &str, b: &str| set.active(&direction(a, b));
    let layer = 2 * (64 + 128);
    assert_eq!(active("eng_Latn", "wol_Latn"), layer * (3 * 2 + 5 * 8));
    assert_eq!(active("wol_Latn", "eng_Latn"), layer * (3 * 8 + 5 * 2));
    assert_eq!(
        active("eng_Latn", "ces_Latn"),
        layer * 3 * 2,
        "the target has no update"
    );
    assert_eq!(set.counts().active, active("wol_Latn", "oci_Latn"));

    // Of directions that nobody trains nothing is counted.
    let pivot = ["wol_Latn", "ces_Latn"].map(|other| direction(other, "eng_Latn"));
    let trained = AdapterSet {
        trained: pivot.into(),
        ..set.clone()
    };
    assert_eq!(trained.counts().active, active("wol_Latn", "eng_Latn"));
    // `lora_B` is zero at first, which is half of all: inputs and outputs of the two maps change places.
    assert_eq!(
        trained.most_active_nonzero(&store),
        active("wol_Latn", "eng_Latn") / 2
    );
}

#[test]
fn settings_that_would_do_nothing_are_errors() {
    let model = config(2, 64, 128);
    let languages = [("deu_Latn".parse().unwrap(), Resource::High)];
    let zero = AdapterConfig {
        rank: Some(0),
        ..AdapterConfig::default()
    };
    assert!(matches!(
        zero.per_language(&languages),
        Err(AdapterError::NothingToTrain)
    ));
    assert!(matches!(zero.shared(1), Err(AdapterError::NothingToTrain)));
    let none = adapters(Preset::Isogloss, Sites::Projections([].into()));
    assert!(matches!(none.sites(&model), Err(AdapterError::NoSites)));
    let foreign = AdapterConfig {
        language_ranks: [("fra_Latn".parse().unwrap(), 4)].into(),
        ..AdapterConfig::default()
    };
    assert!(matches!(
        foreign.per_language(&languages),
        Err(AdapterError::ForeignLanguage { .. })
    ));
    let large = AdapterConfig {
        rank: Some(65),
        ..AdapterConfig::default()
    };
    let (sites, updates) = (large.sites(&model).unwrap(), large.shared(1).unwrap());
    let set = AdapterSet::new(
        vec![],
        Preset::Isogloss,
        sites,
        updates,
        1,
        &mut ParamStore::new(),
    );
    assert!(matches!(
        set,
        Err(AdapterError::RankTooLarge { limit: 64, .. })
    ));
    let slice = AdapterConfig {
        slice: Some(Slice { start: 32, dim: 64 }),
        ..AdapterConfig::default()
    };
    assert!(matches!(
        slice.sites(&model),
        Err(AdapterError::Slice { end: 96, .. })
    ));
}

/// What is saved is loaded bit by bit; damage and another base are refused by name.
#[test]
fn files() {
    let model = config(2, 64, 128);
    let config = adapters(Preset::Paper, Sites::All);
    let languages = &twelve()[7..10];
    let (sites, updates) = (
        config.sites(&model).unwrap(),
        config.per_language(languages).unwrap(),
    );
    let codes = languages.iter().map(|(l, _)| l.clone()).collect();
    let mut store = ParamStore::new();
    let mut set = AdapterSet::new(codes, Preset::Paper, sites, updates, 3, &mut store).unwrap();
    let direction: Direction = "kor_Hang-oci_Latn".parse().unwrap();
    set.trained = [direction].into();
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &set, &store, "abc").unwrap();

    let mut loaded = ParamStore::new();
    assert_eq!(load(dir.path(), &model, "abc", &mut loaded).unwrap(), set);
    assert_eq!(loaded.values(), store.values());
    assert_eq!(loaded.params(), store.params());

    // A file without the key, from before directions were recorded, and one that names a language that isn't there.
    let index = dir.path().join("adapters.json");
    let text = std::fs::read_to_string(&index).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["trained"], serde_json::json!(["kor_Hang-oci_Latn"]));
    value["trained"] = serde_json::json!(["kor_Hang-fra_Latn"]);
    std::fs::write(&index, value.to_string()).unwrap();
    let error = load(dir.path(), &model, "abc", &mut ParamStore::new()).unwrap_err();
    assert!(error.to_string().contains("kor_Hang-fra_Latn"), "{error}");
    value.as_object_mut().unwrap().remove("trained");
    std::fs::write(&index, value.to_string()).unwrap();
    let old = load(dir.path(), &model, "abc", &mut ParamStore::new()).unwrap();
    let trained: Vec<String> = old.trained.iter().map(ToString::to_string).collect();
    let pairs = "kor_Hang-oci_Latn kor_Hang-ory_Orya oci_Latn-kor_Hang oci_Latn-ory_Orya ory_Orya-kor_Hang ory_Orya-oci_Latn";
    assert_eq!(trained.join(" "), pairs);
    std::fs::write(&index, &text).unwrap();

    let load = |base| load(dir.path(), &model, base, &mut ParamStore::new()).unwrap_err();
    assert!(matches!(load("abd"), AdapterFileError::OtherBase { .. }));
    let weights = dir.path().join("kor_Hang.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 4]).unwrap();
    assert!(load("abc").to_string().contains("kor_Hang.safetensors"));
    std::fs::remove_file(&weights).unwrap();
    assert!(matches!(load("abc"), AdapterFileError::Read { .. }));
    std::fs::write(
        &index,
        text.replace("encoder.layers.1.fc1", "encoder.layers.9.fc1"),
    )
    .unwrap();
    assert!(load("abc").to_string().contains("encoder.layers.9.fc1"));
}

#[test]
fn sides_are_taken_from_the_site_then_its_layer_then_the_rule() {
    let model = config(4, 64, 128);
    let of = |text: &str| toml::from_str::<AdapterConfig>(text).unwrap();
    let named = of(
        "[sides]\n\"encoder.layers.0\" = \"target\"\n\"encoder.layers.0.fc1\" = \"source\"\n\
                    \"decoder.layers.1\" = \"none\"\n\"decoder.layers.2.fc2\" = \"source\"\n",
    );
    let sites = named.sites(&model).unwrap();
    let side = |name: &str| {
        let site: Site = name.parse().unwrap();
        let plan = sites.iter().find(|plan| plan.site == site);
        plan.map(|plan| plan.side)
    };
    let (source, target) = (Some(LanguageSide::Source), Some(LanguageSide::Target));
    assert_eq!(side("encoder.layers.0.fc1"), source);
    assert_eq!(side("encoder.layers.0.fc2"), target);
    assert_eq!(side("encoder.layers.1.fc2"), source);
    assert_eq!(side("encoder.layers.3.fc2"), target);
    assert_eq!(side("decoder.layers.1.fc2"), None);
    assert_eq!(side("decoder.layers.2.fc2"), source);
    assert_eq!(sites.len(), 4 * 5 + 3 * 8);
    let again: AdapterConfig = toml::from_str(&toml::to_string(&named).unwrap()).unwrap();
    assert_eq!(again, named);

    let foreign = of("sides = { \"decoder.layers.4\" = \"none\" }").sites(&model);
    let error = foreign.unwrap_err().to_string();
    assert!(
        error.contains("decoder.layers.4, but the model has 4 decoder layers"),
        "{error}"
    );
    let twice = of("encoder_target_from = 2\nsides = { \"encoder.layers.1\" = \"none\" }");
    assert!(matches!(
        twice.sites(&model),
        Err(AdapterError::TwoSides { .. })
    ));
    let nowhere = "sides = { \"encoder.layer.1\" = \"none\" }";
    assert!(toml::from_str::<AdapterConfig>(nowhere).is_err());
}

/// Compaction leaves an update with another rank at each site, and with none at some.
#[test]
fn ranks_by_site_are_laid_out_counted_and_kept_in_files() {
    let model = config(2, 64, 128);
    let config = adapters(Preset::Isogloss, Sites::Fc);
    let languages = twelve();
    let (sites, mut updates) = (
        config.sites(&model).unwrap(),
        config.per_language(&languages).unwrap(),
    );
    let site = |name: &str| name.parse::<Site>().unwrap();
    let (none, three) = (site("encoder.layers.0.fc1"), site("decoder.layers.1.fc2"));
    updates[0].ranks = [(none, 0), (three, 3)].into();
    let codes: Vec<Language> = languages.into_iter().map(|(l, _)| l).collect();
    let mut store = ParamStore::new();
    let set = AdapterSet::new(codes, Preset::Isogloss, sites, updates, 1, &mut store).unwrap();
    let counts = set.counts();
    assert_eq!(counts.by_update[0], (2 * 8 - 2 + 1) * (64 + 128));
    assert_eq!(counts.by_update[1], 2 * 8 * (64 + 128));
    assert_eq!(counts.trainable, store.values().len());
    let english = set.language_id(&set.languages[0]).unwrap();
    assert_eq!(set.adapters.bank(none).unwrap().update(english), None);
    let low_rank = set.adapters.bank(three).unwrap().update(english).unwrap();
    assert_eq!(
        (low_rank.rank, low_rank.scale.to_bits()),
        (3, 1f32.to_bits())
    );
    let direction: Direction = "eng_Latn-fra_Latn".parse().unwrap();
    let back = direction.reversed();
    assert_eq!(set.active(&direction), 2 * 8 * 192 - 2 * 192);
    assert_eq!(set.active(&back), (2 * 8 + 1) * 192);

    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &set, &store, "base").unwrap();
    let mut loaded = ParamStore::new();
    let again = load(dir.path(), &model, "base", &mut loaded).unwrap();
    assert_eq!((&again, loaded.values()), (&set, store.values()));
    let index = dir.path().join("adapters.json");
    let text = std::fs::read_to_string(&index).unwrap();
    for (from, to) in [
        ("fc2\": 3", "fc2\": 300"),
        ("1.fc2\": 3", "1.self_attn.q_proj\": 3"),
    ] {
        std::fs::write(&index, text.replace(from, to)).unwrap();
        let error = load(dir.path(), &model, "base", &mut loaded).unwrap_err();
        assert!(error.to_string().contains("update `eng_Latn`"), "{error}");
    }
}
