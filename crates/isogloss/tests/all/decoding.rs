//! Translation: the hypotheses and scores of `generate` in transformers, and independence of a sentence from its batch.

mod heads;
mod limits;

use isogloss::adapter::Adapters;
use isogloss::batch::LanguageId;
use isogloss::decode::{DecodeOptions, Hypothesis, MaxLength, Request, Translator};
use isogloss::model::{Context, Model, PackFor};
use isogloss::params::ParamStore;
use isogloss_kernels::{Backend, Cpu, KernelPath, Precision, Reference};
use serde_json::Value;

use crate::golden::{self, Arrays, Pairs, adapters};

const START: u32 = 2;
const EOS: u32 = 2;
const TAGS: [u32; 2] = [190, 191];

/// The tiny model on a backend, with or without the fixtures' updates.
struct Setup<B: Backend> {
    backend: B,
    model: Model<B::Real>,
    store: ParamStore<B::Real>,
    adapters: Adapters,
}

impl<B: Backend> Setup<B> {
    fn new(backend: B, adapted: bool) -> Self {
        let (config, tensors) = golden::model("model");
        let mut store = ParamStore::new();
        let adapters = match adapted {
            true => adapters(&Arrays::read("golden.safetensors"), "lora.", &mut store),
            false => Adapters::default(),
        };
        Setup {
            backend,
            model: Model::new(&config, tensors, None).unwrap(),
            store,
            adapters,
        }
    }

    fn translator(&self) -> Translator<'_, B> {
        let cx = Context {
            backend: &self.backend,
            store: &self.store,
            adapters: &self.adapters,
            dropout: None,
        };
        Translator::new(&self.model, cx)
    }

    fn translate(&self, requests: &[Request], options: &DecodeOptions) -> Vec<Vec<Hypothesis>> {
        let translator = self.translator();
        translator
            .translate_ids(requests, options, &mut |_| ())
            .unwrap()
    }
}

fn requests() -> Vec<Request> {
    let pairs = Pairs::read();
    let request = |i: usize| Request {
        source_ids: pairs.sources[i].clone(),
        source_language: pairs.source_language[i],
        target_language: pairs.target_language[i],
        target_tag: TAGS[usize::from(pairs.target_language[i].0)],
    };
    (0..pairs.sources.len()).map(request).collect()
}

/// As transformers writes a hypothesis.
fn in_full(hypothesis: &Hypothesis, tag: u32) -> Vec<u32> {
    let mut ids = vec![START, tag];
    ids.extend_from_slice(&hypothesis.ids);
    ids.extend(hypothesis.ended.then_some(EOS));
    ids
}

fn generation<B: Backend>(backend: B) {
    let setup = Setup::new(backend, false);
    let golden = golden::json("golden.json");
    let cases = golden["generation"].as_array().unwrap();
    assert!(cases.len() >= 7);
    for case in cases {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let (beam, tag) = (number("num_beams"), number("forced_bos_token_id") as u32);
        let options = DecodeOptions {
            beam,
            n_best: beam,
            length_penalty: case["length_penalty"].as_f64().unwrap() as f32,
            max_length: MaxLength::Pieces(number("max_length") - 2),
            ..DecodeOptions::default()
        };
        let mut requests = requests();
        for request in &mut requests {
            request.target_tag = tag;
        }
        let found = setup.translate(&requests, &options);
        let expected = case["hypotheses"].as_array().unwrap();
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let what = format!(
                "beam {beam}, max_length {}, sentence {i}",
                case["max_length"]
            );
            check_hypotheses(&what, found, expected, tag);
        }
    }
}

fn check_hypotheses(what: &str, found: &[Hypothesis], expected: &Value, tag: u32) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
        assert_eq!(in_full(found, tag), ids, "{what}");
        if let Some(score) = expected["score"].as_f64() {
            assert!(
                (found.score - score).abs() < 1e-4 * score.abs().max(1.0),
                "{what}: score {} for {score}",
                found.score
            );
        }
    }
}

#[test]
fn hypotheses_and_scores_equal_transformers() {
    generation(Reference::<f64>::new());
    generation(Reference::<f32>::new());
    for path in KernelPath::available() {
        generation(Cpu::with_path(2, path).unwrap());
    }
}

fn adapted_greedy<B: Backend>(backend: B) {
    let setup = Setup::new(backend, true);
    let golden = golden::json("golden.json");
    let expected: Vec<Vec<u32>> = serde_json::from_value(golden["lora"]["greedy"].clone()).unwrap();
    let options = DecodeOptions {
        max_length: MaxLength::Pieces(18),
        ..DecodeOptions::greedy()
    };
    let requests = requests();
    let found = setup.translate(&requests, &options);
    for ((found, request), expected) in found.iter().zip(&requests).zip(expected) {
        assert_eq!(in_full(&found[0], request.target_tag), expected);
    }
}

#[test]
fn mixed_directions_with_updates_equal_transformers() {
    adapted_greedy(Reference::<f64>::new());
    adapted_greedy(Reference::<f32>::new());
    adapted_greedy(Cpu::new(2).unwrap());
}

/// All directions of two languages and of one without updates, sources of many lengths.
fn mixed() -> Vec<Request> {
    let mut all = Vec::new();
    for n in 0..12u32 {
        let (source, target) = (n % 3, (n / 2) % 3);
        let words = (0..(n * 7) % 17).map(|j| 4 + (n * 13 + j * 5) % 56);
        all.push(Request {
            source_ids: std::iter::once(190 + source)
                .chain(words)
                .chain([EOS])
                .collect(),
            source_language: LanguageId(source as u16),
            target_language: LanguageId(target as u16),
            target_tag: 190 + target,
        });
    }
    all
}

fn neighbours<B: Backend>(backend: B, options: &DecodeOptions, batch_tokens: usize) {
    let setup = Setup::new(backend, true);
    let all = mixed();
    let translator = setup.translator().with_batch_tokens(batch_tokens);
    let together = translator
        .translate_ids(&all, options, &mut |_| ())
        .unwrap();
    for (request, together) in all.iter().zip(&together) {
        let alone = setup.translate(std::slice::from_ref(request), options);
        // Scores as well: every bit.
        assert_eq!(&alone[0], together, "{request:?}");
        assert_eq!(together.len(), options.n_best);
    }
}

#[test]
fn neighbours_in_the_batch_change_no_bit() {
    let beam = DecodeOptions {
        beam: 4,
        n_best: 3,
        ..DecodeOptions::default()
    };
    neighbours(Reference::<f32>::new(), &DecodeOptions::greedy(), 512);
    neighbours(Reference::<f32>::new(), &beam, 512);
    neighbours(Reference::<f32>::new(), &beam, 40);
    neighbours(Reference::<f64>::new(), &beam, 512);
    for path in KernelPath::available() {
        neighbours(Cpu::with_path(2, path).unwrap(), &beam, 512);
        let bf16 = Cpu::with_path(1, path)
            .unwrap()
            .with_precision(Precision::Bf16);
        neighbours(bf16, &beam, 512);
    }
}

/// Sources of 2 to 60 tokens in no order; the longest exceed the smaller budgets.
fn many() -> Vec<Request> {
    let lengths = (0..40u32).map(|n| match n % 5 {
        0 => 20 + n,
        _ => (n * 11) % 19,
    });
    let all = (0..).zip(lengths).map(|(n, len): (u32, u32)| {
        let (source, target) = (n % 3, (n / 3) % 3);
        let words = (0..len).map(|j| 4 + (n * 17 + j * 7) % 56);
        Request {
            source_ids: std::iter::once(190 + source)
                .chain(words)
                .chain([EOS])
                .collect(),
            source_language: LanguageId(source as u16),
            target_language: LanguageId(target as u16),
            target_tag: 190 + target,
        }
    });
    all.collect()
}

/// Sentences leave when they are done and others enter: whoever is beside a sentence, and however far, it gets what it gets alone.
#[test]
fn sentences_that_come_and_go_change_no_bit() {
    let setup = Setup::new(Cpu::new(2).unwrap(), true);
    let all = many();
    let tokens: usize = all.iter().map(|r| r.source_ids.len()).sum();
    for (beam, n_best) in [(1, 1), (4, 1), (4, 4)] {
        let options = DecodeOptions {
            beam,
            n_best,
            ..DecodeOptions::default()
        };
        let alone: Vec<_> = all
            .iter()
            .map(|r| setup.translate(std::slice::from_ref(r), &options).remove(0))
            .collect();
        let lengths = alone.iter().map(|found| found[0].ids.len());
        let distinct: std::collections::BTreeSet<usize> = lengths.collect();
        assert!(distinct.len() > 5, "they end at different steps");
        for budget in [0, 40, 100, 512, usize::MAX] {
            let translator = setup.translator().with_batch_tokens(budget);
            let mut seen = vec![(0, 0)];
            let together = translator.translate_ids(&all, &options, &mut |p| {
                seen.push((p.sentences, p.tokens));
            });
            assert_eq!(together.unwrap(), alone, "beam {beam}, budget {budget}");
            assert!(seen.is_sorted() && seen.len() <= all.len() + 1, "{seen:?}");
            assert_eq!(seen.last(), Some(&(all.len(), tokens)));
        }
    }
}

/// A source is encoded once for all its targets, whoever translates them and when: each gets what it gets alone. The fixtures' updates
/// are chosen by the source in the first encoder layer, by the target in the second.
#[test]
fn many_targets_of_a_source_change_no_bit() {
    let sources = many();
    let all: Vec<Request> = sources
        .iter()
        .flat_map(|request| {
            (0..3).map(|target| Request {
                target_language: LanguageId(target),
                target_tag: 190 + u32::from(target),
                ..request.clone()
            })
        })
        .collect();
    let beam = DecodeOptions {
        beam: 3,
        ..DecodeOptions::default()
    };
    for (adapted, threads) in [(false, 1), (true, 1), (true, 2)] {
        let setup = Setup::new(Cpu::new(threads).unwrap(), adapted);
        for options in [DecodeOptions::greedy(), beam.clone()] {
            let alone: Vec<_> = all
                .iter()
                .map(|r| setup.translate(std::slice::from_ref(r), &options).remove(0))
                .collect();
            for budget in [0, 40, 512, usize::MAX] {
                let translator = setup.translator().with_batch_tokens(budget);
                let together = translator.translate_ids(&all, &options, &mut |_| ());
                assert_eq!(together.unwrap(), alone, "{threads} threads, {budget}");
            }
        }
    }
}

/// Packing is for speed: ids and scores keep their bits.
#[test]
fn weights_packed_ahead_change_nothing() {
    for path in KernelPath::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            let cpu = Cpu::with_path(2, path).unwrap().with_precision(precision);
            let mut setup = Setup::new(cpu, true);
            let plain = setup.translate(&mixed(), &DecodeOptions::default());
            setup
                .model
                .pack(&setup.backend, PackFor::Forward, usize::MAX);
            assert_eq!(setup.translate(&mixed(), &DecodeOptions::default()), plain);
        }
    }
}

/// Each hypothesis' score is what the model itself gives it when it reads it as a label.
#[test]
fn scores_are_those_of_the_uncached_model() {
    use isogloss::batch::{Batch, Sentence};
    let setup = Setup::new(Reference::<f64>::new(), true);
    let options = DecodeOptions {
        beam: 3,
        n_best: 3,
        // The caches grow more than once.
        min_length: 38,
        max_length: MaxLength::Pieces(40),
        ..DecodeOptions::default()
    };
    let requests = mixed();
    let found = setup.translate(&requests, &options);
    let cx = Context {
        backend: &setup.backend,
        store: &setup.store,
        adapters: &setup.adapters,
        dropout: None,
    };
    for (request, found) in requests.iter().zip(&found) {
        for hypothesis in found {
            let labels = &in_full(hypothesis, request.target_tag)[1..];
            assert!((39..=41).contains(&labels.len()), "{}", labels.len());
            let sentence = Sentence {
                source: &request.source_ids,
                target: labels,
                source_language: request.source_language,
                target_language: request.target_language,
                key: 0,
            };
            let batch = Batch::new(&[sentence], setup.model.layout());
            let loss = setup.model.loss(&cx, &batch, Default::default());
            let nll: f64 = loss.token_nll[1..].iter().map(|&x| f64::from(x)).sum();
            let score = -nll / labels.len() as f64;
            assert!(
                (hypothesis.score - score).abs() < 1e-5,
                "{} for {score}",
                hypothesis.score
            );
        }
    }
}

#[test]
fn ngrams_are_not_repeated() {
    let setup = Setup::new(Reference::<f32>::new(), true);
    for beam in [1, 3] {
        let options = DecodeOptions {
            beam,
            no_repeat_ngram: 2,
            ..DecodeOptions::default()
        };
        for found in setup.translate(&requests(), &options) {
            let ids = &found[0].ids;
            let mut seen: Vec<&[u32]> = ids.windows(2).collect();
            seen.sort_unstable();
            assert!(seen.windows(2).all(|two| two[0] != two[1]), "{ids:?}");
        }
    }
}

#[test]
fn options_work_as_in_transformers() {
    let setup = Setup::new(Reference::<f32>::new(), false);
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/decoding/options.json"
    );
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in &cases {
        let given = &case["options"];
        let number = |key: &str| given[key].as_u64().map(|n| n as usize);
        let beam = number("num_beams").unwrap();
        let options = DecodeOptions {
            beam,
            n_best: beam,
            length_penalty: given["length_penalty"].as_f64().unwrap_or(1.0) as f32,
            max_length: MaxLength::Pieces(number("max_length").unwrap() - 2),
            // Transformers counts the start token and the tag, and asks before a piece is added.
            min_length: number("min_length").map_or(0, |n| n - 1),
            no_repeat_ngram: number("no_repeat_ngram_size").unwrap_or(0),
        };
        let tag = case["tag"].as_u64().unwrap() as u32;
        let sentences = case["sentences"].as_array().unwrap();
        let requests: Vec<Request> = sentences
            .iter()
            .map(|sentence| Request {
                source_ids: serde_json::from_value(sentence["source"].clone()).unwrap(),
                source_language: LanguageId(0),
                target_language: LanguageId(0),
                target_tag: tag,
            })
            .collect();
        let found = setup.translate(&requests, &options);
        for (i, (found, sentence)) in found.iter().zip(sentences).enumerate() {
            let what = format!("{given}, sentence {i}");
            check_hypotheses(&what, found, &sentence["hypotheses"], tag);
        }
    }
}
