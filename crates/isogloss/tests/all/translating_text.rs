//! Lines of text: order, blank lines, long lines, languages without updates.

use std::path::Path;

use isogloss::adapter::{AdapterSet, Bank, LowRank, Projection, Site, Stack};
use isogloss::decode::{
    DecodeError, DecodeOptions, LongLines, MaxLength, MissingUpdates, TextOptions, TextTranslator,
    Translation, Translator,
};
use isogloss::language::{Direction, Language, LanguageSide};
use isogloss::model::{Context, Model, ModelConfig, Storage, initial_tensors};
use isogloss::params::ParamStore;
use isogloss::tokenize::Tokenizer;
use isogloss_kernels::Cpu;

use crate::golden;

/// Ids below are marks and pieces, from there on tags.
const WORDS: usize = 111;

/// A random model of 64 positions with the vocabulary of the fixtures.
struct Setup {
    backend: Cpu,
    model: Model<f32>,
    store: ParamStore<f32>,
    set: AdapterSet,
    tokenizer: Tokenizer,
}

impl Setup {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decoding");
        let tokenizer = Tokenizer::open(&folder).unwrap();
        let (config, _) = golden::model("model");
        let config = ModelConfig {
            vocab_size: tokenizer.vocab_size(),
            ..config
        };
        let mut tensors = initial_tensors(&config, 1);
        // A tied embedding says again what it has just read: unless tags are faint, nothing else.
        for tensor in tensors.iter_mut().filter(|t| t.name == "shared.weight") {
            let mut values = tensor.storage.to_f32();
            let words = 4 * config.d_model..WORDS * config.d_model;
            for (i, x) in values.iter_mut().enumerate() {
                *x *= if words.contains(&i) { 1.0 } else { 0.1 };
            }
            tensor.storage = Storage::F32(values);
        }
        Setup {
            backend: Cpu::new(1).unwrap(),
            model: Model::new(&config, tensors, None).unwrap(),
            store: ParamStore::new(),
            set: AdapterSet::none(Vec::new()),
            tokenizer,
        }
    }

    /// Gives German, or all of several languages in common, an update on the target's side, trained in some directions.
    fn adapt(&mut self, languages: &[&str], trained: &[Direction]) {
        let site = Site {
            stack: Stack::Decoder,
            layer: 1,
            projection: Projection::Q,
        };
        self.store.begin_group("deu_Latn");
        // Not all the same: the rows that it reads are normalised and add up to nothing.
        let rising: Vec<f32> = (1..=16u8).map(|i| f32::from(i) / 8.0).collect();
        let update = LowRank {
            a: self.store.push("a", &[1, 16], &rising),
            b: self.store.push("b", &[16, 1], &rising),
            rank: 1,
            scale: 1.0,
            input: 0..16,
            output: 0..16,
        };
        let bank = Bank {
            side: LanguageSide::Target,
            updates: vec![Some(update); languages.len()],
        };
        self.set.languages = languages.iter().map(|code| language(code)).collect();
        self.set.trained = trained.iter().cloned().collect();
        self.set.adapters.banks.insert(site, bank);
    }

    fn translator(&self) -> TextTranslator<'_, Cpu> {
        let cx = Context {
            backend: &self.backend,
            store: &self.store,
            adapters: &self.set.adapters,
            dropout: None,
        };
        let translator = Translator::new(&self.model, cx);
        TextTranslator::new(translator, &self.tokenizer, &self.set).unwrap()
    }

    fn translate(
        &self,
        lines: &[(&str, &Direction)],
        text: TextOptions,
        options: &DecodeOptions,
    ) -> Result<Vec<Vec<Translation>>, DecodeError> {
        self.translator()
            .translate(lines, text, options, &mut |_| ())
    }
}

fn language(code: &str) -> Language {
    code.parse().unwrap()
}

fn direction(source: &str, target: &str) -> Direction {
    Direction::new(language(source), language(target))
}

/// Short, since what a random model says is of no interest.
fn short() -> DecodeOptions {
    DecodeOptions {
        beam: 2,
        max_length: MaxLength::Pieces(4),
        ..DecodeOptions::default()
    }
}

#[test]
fn lines_keep_their_order_and_blank_ones_stay_blank() {
    let setup = Setup::new();
    let (there, back) = (
        direction("eng_Latn", "deu_Latn"),
        direction("deu_Latn", "eng_Latn"),
    );
    let lines = [
        ("", &there),
        ("The rain fell on the old harbour all night long.", &there),
        (" \t", &back),
        ("Regen", &back),
        ("The boats.", &there),
    ];
    let options = DecodeOptions {
        n_best: 2,
        ..short()
    };
    let found = setup
        .translate(&lines, TextOptions::default(), &options)
        .unwrap();
    let counts: Vec<usize> = found.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 2, 0, 2, 2]);
    for (line, found) in lines.iter().zip(&found) {
        let alone = setup
            .translate(&[*line], TextOptions::default(), &options)
            .unwrap();
        assert_eq!(&alone[0], found);
        for translation in found {
            assert!(!translation.text.is_empty());
            assert_eq!(translation.text, setup.tokenizer.decode(&translation.ids));
        }
    }
}

#[test]
fn a_long_line_is_the_sum_of_its_sentences() {
    let setup = Setup::new();
    let there = direction("eng_Latn", "deu_Latn");
    let sentences = [
        "The rain fell on the old harbour all night long.",
        "We counted seven herons by the river.",
        "They stood quite still!",
    ];
    let line = sentences.join("  ");
    let alone: Vec<(&str, &Direction)> = sentences.iter().map(|s| (*s, &there)).collect();
    let alone = setup
        .translate(&alone, TextOptions::default(), &short())
        .unwrap();
    let whole = setup
        .translate(&[(&line, &there)], TextOptions::default(), &short())
        .unwrap();
    let whole = &whole[0][0];
    let ids: Vec<u32> = alone.iter().flat_map(|a| a[0].ids.clone()).collect();
    assert_eq!(whole.ids, ids);
    let score: f64 = alone.iter().map(|a| a[0].score).sum::<f64>() / 3.0;
    assert!((whole.score - score).abs() < 1e-12);
}

#[test]
fn long_lines_are_refused_by_number() {
    let setup = Setup::new();
    let there = direction("eng_Latn", "deu_Latn");
    let long = "The rain fell. ".repeat(40);
    let lines = [
        ("The rain.", &there),
        (long.as_str(), &there),
        ("", &there),
        (&long, &there),
    ];
    let refuse = TextOptions {
        long_lines: LongLines::Refuse,
        ..TextOptions::default()
    };
    let error = setup.translate(&lines, refuse, &short()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 lines are too long for the model's 64 positions: 2, 4; let them be split, or shorten them"
    );
}

#[test]
fn a_sentence_of_a_hundred_thousand_tokens_is_translated() {
    let setup = Setup::new();
    let there = direction("eng_Latn", "deu_Latn");
    // No end of a sentence, and in the second line no end of a word either.
    for line in ["rain ".repeat(40_000), "r".repeat(100_000)] {
        let prepared = setup
            .translator()
            .prepare(&[(&line, &there)], TextOptions::default())
            .unwrap();
        assert!(prepared[0].tokens() > 100_000, "{}", prepared[0].tokens());
        assert!(prepared[0].parts() > 1_600, "{}", prepared[0].parts());
        let greedy = DecodeOptions {
            max_length: MaxLength::Pieces(1),
            ..DecodeOptions::greedy()
        };
        let found = setup
            .translator()
            .translate_lines(&prepared, &greedy, &mut |_| ())
            .unwrap();
        assert_eq!(found[0].len(), 1);
    }
}

#[test]
fn a_language_without_updates_is_an_error_unless_the_base_will_do() {
    let mut setup = Setup::new();
    let (german, french) = (
        direction("eng_Latn", "deu_Latn"),
        direction("eng_Latn", "fra_Latn"),
    );
    let base = TextOptions {
        missing: MissingUpdates::Base,
        ..TextOptions::default()
    };
    let line = |direction| [("The boats by the river.", direction)];
    let before = setup.translate(&line(&french), base, &short()).unwrap();
    setup.adapt(&["deu_Latn"], std::slice::from_ref(&german));
    // It was trained from English, which has no update of its own: nothing is adapted on the source's side.
    let strict = TextOptions::default();
    assert!(setup.translate(&line(&german), strict, &short()).is_ok());
    let error = setup
        .translate(&line(&french), strict, &short())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("target-side updates for fra_Latn"),
        "{error}"
    );
    let after = setup.translate(&line(&french), base, &short()).unwrap();
    assert_eq!(before, after);
}

/// Languages that were adapted through a pivot have updates, but nobody has seen what those do together.
#[test]
fn a_direction_that_was_not_trained_is_treated_as_a_language_without_updates() {
    let mut setup = Setup::new();
    let [there, back, across] = [
        direction("eng_Latn", "deu_Latn"),
        direction("fra_Latn", "eng_Latn"),
        direction("fra_Latn", "deu_Latn"),
    ];
    let with = |missing| TextOptions {
        missing,
        ..TextOptions::default()
    };
    let line = |direction| [("The boats by the river.", direction)];
    let untouched = setup.translate(&line(&across), with(MissingUpdates::Error), &short());
    let untouched = untouched.unwrap();
    let languages = ["eng_Latn", "deu_Latn", "fra_Latn"];
    setup.adapt(&languages, &[there.clone(), back.clone()]);
    for trained in [&there, &back] {
        let strict = setup.translate(&line(trained), with(MissingUpdates::Error), &short());
        let based = setup.translate(&line(trained), with(MissingUpdates::Base), &short());
        assert_eq!(strict.unwrap(), based.unwrap(), "trained: the updates act");
    }
    let error = setup
        .translate(&line(&across), with(MissingUpdates::Error), &short())
        .unwrap_err();
    assert!(
        matches!(&error, DecodeError::NotTrained { direction } if *direction == across),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("not trained in fra_Latn-deu_Latn")
    );
    let based = setup.translate(&line(&across), with(MissingUpdates::Base), &short());
    assert_eq!(based.unwrap(), untouched);
    let combined = setup.translate(&line(&across), with(MissingUpdates::Combine), &short());
    assert_ne!(combined.unwrap(), untouched);
}

#[test]
fn an_unknown_language_is_an_error() {
    let setup = Setup::new();
    let nowhere = direction("eng_Latn", "xxx_Latn");
    let error = setup
        .translate(&[("rain", &nowhere)], TextOptions::default(), &short())
        .unwrap_err();
    assert!(matches!(error, DecodeError::Tokenize(_)), "{error}");
}
