//! Output vocabularies: the search over some pieces.

use isogloss::batch::LanguageId;
use isogloss::decode::{DecodeError, DecodeOptions, Heads, Hypothesis, Request};
use isogloss::model::{Model, ModelConfig, Storage, Tensor};
use isogloss_kernels::{Backend, Cpu, KernelPath, Precision, Reference};

use super::{EOS, Setup, many};
use crate::golden;

/// Tags, and the pieces that sources are made of and one of `step` of the others, for one language; not padding, which is never chosen
/// but counts where all pieces are there.
fn vocabulary(language: u16, step: u32) -> (LanguageId, Vec<u32>) {
    const PAD: u32 = 1;
    let all = (0..193).filter(|&id| id != PAD);
    let ids = all.filter(|id| *id < 60 || *id >= 190 || id % step == 0);
    (LanguageId(language), ids.collect())
}

/// The fixtures' model, in which the first number of the decoder's states is always 1, so that the first number of a piece's
/// embedding is added to its logit.
fn biased() -> (ModelConfig, Vec<Tensor>) {
    let (config, mut tensors) = golden::model("model");
    for (name, value) in [("weight", 0.0), ("bias", 1.0)] {
        let name = format!("decoder.layer_norm.{name}");
        let tensor = tensors.iter_mut().find(|t| t.name == name).unwrap();
        let mut values = tensor.storage.to_f32();
        values[0] = value;
        tensor.storage = Storage::F32(values);
    }
    (config, tensors)
}

/// A setup with that model; all pieces but `ids` are so unlikely that they count for nothing.
fn setup<B: Backend>(backend: B, ids: Option<&[u32]>) -> Setup<B> {
    let (config, mut tensors) = biased();
    let table = tensors.iter_mut().find(|t| t.name == "shared.weight");
    let table = table.unwrap();
    let mut values = table.storage.to_f32();
    for id in 0..config.vocab_size {
        if ids.is_some_and(|ids| !ids.contains(&(id as u32))) {
            values[id * config.d_model] = -1e5;
        }
    }
    table.storage = Storage::F32(values);
    Setup {
        model: Model::new(&config, tensors, None).unwrap(),
        ..Setup::new(backend, true)
    }
}

fn heads<B: Backend>(setup: &Setup<B>) -> Heads<B::Real> {
    let vocabularies = [vocabulary(0, 2), vocabulary(1, 5)];
    Heads::new(vocabularies, setup.model.config()).unwrap()
}

fn options() -> [DecodeOptions; 3] {
    [
        DecodeOptions::greedy(),
        DecodeOptions {
            beam: 4,
            n_best: 4,
            ..DecodeOptions::default()
        },
        DecodeOptions {
            beam: 3,
            min_length: 6,
            no_repeat_ngram: 2,
            ..DecodeOptions::default()
        },
    ]
}

fn check(found: &[Hypothesis], expected: &[Hypothesis]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((&found.ids, found.ended), (&expected.ids, expected.ended));
        let error = (found.score - expected.score).abs();
        assert!(error < 1e-9, "{} for {}", found.score, expected.score);
    }
}

/// Two languages with vocabularies and one without, together: each as if the model had no other pieces.
#[test]
fn a_vocabulary_is_the_whole_with_all_other_pieces_banned() {
    let whole = setup(Reference::<f64>::new(), None);
    let heads = heads(&whole);
    let ids = [vocabulary(0, 2).1, vocabulary(1, 5).1];
    let others = [Some(&ids[0][..]), Some(&ids[1]), None];
    let others = others.map(|ids| setup(Reference::<f64>::new(), ids));
    let all = many();
    for options in options() {
        let translator = whole.translator().with_heads(&heads);
        let found = translator.translate_ids(&all, &options, &mut |_| ());
        let found = found.unwrap();
        for (language, other) in others.iter().enumerate() {
            let of = |r: &&Request| usize::from(r.target_language.0) == language;
            let requests: Vec<Request> = all.iter().filter(of).cloned().collect();
            let expected = other.translate(&requests, &options);
            let found = all.iter().zip(&found).filter(|(r, _)| of(r));
            for ((_, found), expected) in found.zip(&expected) {
                check(found, expected);
            }
        }
        let unrestricted = whole.translate(&all, &options);
        let changed = |language: u16| {
            let mut both = all.iter().zip(found.iter().zip(&unrestricted));
            both.any(|(r, (a, b))| r.target_language.0 == language && a != b)
        };
        assert_eq!([0, 1, 2].map(changed), [true, true, false]);
    }
}

#[test]
fn neighbours_with_other_vocabularies_change_no_bit() {
    for path in KernelPath::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            let cpu = Cpu::with_path(2, path).unwrap().with_precision(precision);
            let setup = setup(cpu, None);
            let heads = heads(&setup);
            let translator = setup.translator().with_heads(&heads);
            let options = &options()[1];
            let translate = |requests: &[Request]| {
                let found = translator.translate_ids(requests, options, &mut |_| ());
                found.unwrap()
            };
            let all = many();
            let alone = all
                .iter()
                .map(|r| translate(std::slice::from_ref(r)).remove(0));
            assert_eq!(alone.collect::<Vec<_>>(), translate(&all));
        }
    }
}

#[test]
fn what_a_vocabulary_holds() {
    let (config, _) = golden::model("model");
    let heads = |ids: &[u32]| Heads::<f32>::new([(LanguageId(3), ids.to_vec())], &config);
    // `</s>` is always there, padding never, nothing twice.
    let some = heads(&[9, 4, 9, config.pad_token_id]).unwrap();
    assert_eq!(some.pieces(LanguageId(3)), Some(3));
    assert_eq!(some.pieces(LanguageId(0)), None);
    assert_eq!(heads(&[EOS, 4]).unwrap().pieces(LanguageId(3)), Some(2));
    let id = config.vocab_size as u32;
    let error = heads(&[4, id]).unwrap_err();
    assert!(
        matches!(error, DecodeError::Vocabulary { id: wrong, .. } if wrong == id),
        "{error}"
    );
}
