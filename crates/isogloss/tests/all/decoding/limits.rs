//! Lengths, empty and wrong input, broken values.

use isogloss::decode::{DecodeError, DecodeOptions, MaxLength, Progress, Request};
use isogloss_kernels::Reference;

use super::{EOS, Setup, requests};

#[test]
fn nothing_in_nothing_out_in_order_with_progress() {
    let setup = Setup::new(Reference::<f32>::new(), false);
    let mut all = requests();
    all[1].source_ids.clear();
    let mut seen = Vec::<Progress>::new();
    let translator = setup.translator().with_batch_tokens(1);
    let found = translator
        .translate_ids(&all, &DecodeOptions::default(), &mut |p| seen.push(p))
        .unwrap();
    assert!(found[1].is_empty());
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(i, f)| i == 1 || f.len() == 1)
    );
    assert_eq!(seen.len(), 4);
    let last = seen[3];
    assert_eq!((last.sentences, last.of_sentences), (5, 5));
    assert_eq!((last.tokens, last.of_tokens), (27, 27));
    let none = translator.translate_ids(&[], &DecodeOptions::default(), &mut |_| ());
    assert!(none.unwrap().is_empty());
}

#[test]
fn the_longest_source_and_translation_fit() {
    let setup = Setup::new(Reference::<f32>::new(), false);
    let mut request = requests().remove(0);
    request.source_ids = vec![7; 64];
    let options = DecodeOptions {
        beam: 2,
        min_length: 1000,
        max_length: MaxLength::Relative {
            factor: f32::MAX,
            extra: usize::MAX,
        },
        ..DecodeOptions::default()
    };
    let found = setup.translate(&[request.clone()], &options);
    assert_eq!((found[0][0].ids.len(), found[0][0].ended), (63, false));
    request.source_ids.push(7);
    let error = setup
        .translator()
        .translate_ids(&[request], &options, &mut |_| ());
    assert!(matches!(
        error,
        Err(DecodeError::TooLong {
            sentence: 1,
            tokens: 65,
            positions: 64
        })
    ));
}

#[test]
fn the_longest_length_wins_over_the_least() {
    let setup = Setup::new(Reference::<f32>::new(), false);
    let request = requests().remove(0);
    let tokens = request.source_ids.len();
    let lengths = |max_length| {
        let options = DecodeOptions {
            beam: 3,
            n_best: 3,
            min_length: tokens + 5,
            max_length,
            ..DecodeOptions::default()
        };
        let found = setup.translate(std::slice::from_ref(&request), &options);
        let all = found[0].iter().map(|h| (h.ids.len(), h.ended));
        all.collect::<Vec<_>>()
    };
    let relative = |extra| MaxLength::Relative { factor: 1.0, extra };
    assert_eq!(lengths(relative(2)), [(tokens + 2, false); 3]);
    // Where both can hold, both do; `</s>` counts.
    for (pieces, ended) in lengths(relative(9)) {
        let pieces = pieces + usize::from(ended);
        assert!((tokens + 5..=tokens + 9).contains(&pieces), "{pieces}");
    }
    let fixed = DecodeOptions {
        min_length: 9,
        max_length: MaxLength::Pieces(8),
        ..DecodeOptions::default()
    };
    let error = fixed.validate().unwrap_err().to_string();
    assert!(error.contains("max length is 8: it must be 9"), "{error}");
}

#[test]
fn wrong_input_is_an_error() {
    let setup = Setup::new(Reference::<f32>::new(), false);
    let fails = |change: &dyn Fn(&mut Vec<Request>, &mut DecodeOptions)| {
        let (mut all, mut options) = (requests(), DecodeOptions::default());
        change(&mut all, &mut options);
        let result = setup
            .translator()
            .translate_ids(&all, &options, &mut |_| ());
        result.unwrap_err().to_string()
    };
    let text = fails(&|all, _| all[2].source_ids[1] = 200);
    assert!(
        text.contains("sentence 3") && text.contains("200"),
        "{text}"
    );
    assert!(fails(&|all, _| all[0].target_tag = EOS).contains("no language tag"));
    assert!(fails(&|_, o| o.beam = 0).contains("beam is 0"));
    assert!(fails(&|_, o| o.n_best = 6).contains("from 1 to the beam, 5"));
    assert!(fails(&|_, o| o.length_penalty = f32::NAN).contains("finite"));
    assert!(fails(&|_, o| o.max_length = MaxLength::Pieces(0)).contains("1 or more"));
}

#[test]
fn broken_updates_are_an_error_that_names_the_sentence() {
    let mut setup = Setup::new(Reference::<f32>::new(), true);
    let second = setup.store.groups()[1].range.clone();
    setup.store.values_mut()[second].fill(f32::NAN);
    // The third sentence of the fixtures has nothing to do with the second language, the others have.
    let (sound, broken) = (requests().remove(2), requests().remove(3));
    let all = [sound.clone(), sound.clone(), broken, sound.clone()];
    let options = DecodeOptions::default();
    let result = setup
        .translator()
        .translate_ids(&all, &options, &mut |_| ());
    assert!(matches!(
        result,
        Err(DecodeError::NotFinite {
            sentence: 3,
            piece: 1
        })
    ));
    assert_eq!(setup.translate(&[sound], &options)[0].len(), 1);
}
