//! Sources that go through the encoder once for all their targets, as far as the target doesn't matter.

use isogloss_kernels::{Backend, Buffer};

use crate::batch::Packed;
use crate::decode::Request;
use crate::decode::generate::Run;
use crate::decode::pool::Waiting;

/// Sentences that a worker has taken, with their sources' states below the first encoder layer that depends on the target. Those
/// with the same source lie beside each other, and share them.
pub(super) struct Sources<'a, B: Backend> {
    /// Those that haven't entered yet.
    waiting: &'a [Waiting<'a>],
    /// Encoder layers that the states went through.
    layers: usize,
    /// A row each token `(N, D)`.
    states: Buffer<B::Real>,
    /// The first row of each sentence that waits.
    starts: std::vec::IntoIter<usize>,
}

impl<'a, B: Backend> Sources<'a, B> {
    /// No sentences.
    pub fn none() -> Self {
        Sources {
            waiting: &[],
            layers: 0,
            states: Buffer::default(),
            starts: Vec::new().into_iter(),
        }
    }

    /// Sentences, of which each distinct source goes through the lowest layers.
    pub fn new(run: &Run<'a, B>, waiting: &'a [Waiting<'a>]) -> Self {
        let Run { model, cx, .. } = run;
        let layers = cx
            .adapters
            .encoder_layers_by_source(model.config().encoder_layers);
        // In the order of the languages, so that the rows of an update lie together.
        let mut order: Vec<usize> = (0..waiting.len()).collect();
        order.sort_by_key(|&i| waiting[i].request.source_language);
        let mut rows = Packed::default();
        let mut starts = vec![0; waiting.len()];
        let mut last: Option<(&Request, usize)> = None;
        for i in order {
            let request = waiting[i].request;
            starts[i] = match last {
                Some((before, start)) if request.has_source_of(before) => start,
                _ => {
                    let start = rows.len();
                    push(&mut rows, run, request);
                    start
                }
            };
            last = Some((request, starts[i]));
        }
        Sources {
            waiting,
            layers,
            states: model.encode_below(cx, &rows, layers),
            starts: starts.into_iter(),
        }
    }

    /// Those that haven't entered yet.
    pub fn waiting(&self) -> &'a [Waiting<'a>] {
        self.waiting
    }

    /// Takes the first `count`, ordered by their languages, with their rows and encoder states `(N, D)`.
    pub fn take(
        &mut self,
        run: &Run<'a, B>,
        count: usize,
    ) -> (Vec<Waiting<'a>>, Packed, Buffer<B::Real>) {
        let Run { model, cx, .. } = run;
        let (entering, rest) = self.waiting.split_at(count);
        self.waiting = rest;
        let starts = self.starts.by_ref();
        let mut entering: Vec<(Waiting<'a>, usize)> =
            entering.iter().copied().zip(starts).collect();
        entering.sort_by_key(|(w, _)| (w.request.source_language, w.request.target_language));
        let width = model.config().d_model;
        let mut rows = Packed::default();
        let tokens = entering.iter().map(|(w, _)| w.request.source_ids.len());
        let mut x = Buffer::unset(tokens.sum::<usize>() * width);
        for (Waiting { request, .. }, start) in &entering {
            let from = start * width;
            let to = rows.len() * width;
            let len = request.source_ids.len() * width;
            x[to..to + len].copy_from_slice(&self.states[from..from + len]);
            push(&mut rows, run, request);
        }
        let states = model.encode_above(cx, &rows, x, self.layers);
        let entering = entering.into_iter().map(|(waiting, _)| waiting).collect();
        (entering, rows, states)
    }
}

/// Appends the tokens of a source.
fn push<B: Backend>(rows: &mut Packed, run: &Run<'_, B>, request: &Request) {
    rows.push(
        request.source_ids.iter().copied(),
        run.model.layout().first_position,
        request.source_language,
        request.target_language,
        0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Adapters, Bank, LowRank, all_sites};
    use crate::batch::LanguageId;
    use crate::decode::DecodeOptions;
    use crate::graph::{ModelConfig, Projection, Site, Stack};
    use crate::language::LanguageSide;
    use crate::model::{Context, Model, initial_tensors};
    use crate::params::ParamStore;
    use isogloss_kernels::Reference;

    const WIDTH: usize = 8;

    fn config() -> ModelConfig {
        ModelConfig {
            d_model: WIDTH,
            encoder_layers: 3,
            decoder_layers: 1,
            encoder_attention_heads: 2,
            decoder_attention_heads: 2,
            encoder_ffn_dim: 16,
            decoder_ffn_dim: 16,
            max_position_embeddings: 16,
            dropout: 0.0,
            attention_dropout: 0.0,
            ..ModelConfig::published(32)
        }
    }

    /// An update of rank 1 for each of two languages on `fc1` of some encoder layers.
    fn adapters(sides: &[(usize, LanguageSide)], store: &mut ParamStore<f32>) -> Adapters {
        let mut adapters = Adapters::default();
        store.begin_group("updates");
        for &(layer, side) in sides {
            let mut update = |language: u16| {
                let values = |len: usize| -> Vec<f32> {
                    let place = |i: usize| (i + layer + usize::from(language) * 5) as f32;
                    (0..len).map(|i| place(i).sin()).collect()
                };
                let (a, b) = (values(WIDTH), values(16));
                LowRank {
                    a: store.push(format!("{layer}.a.{language}"), &[1, WIDTH], &a),
                    b: store.push(format!("{layer}.b.{language}"), &[16, 1], &b),
                    rank: 1,
                    scale: 1.0,
                    input: 0..WIDTH,
                    output: 0..16,
                }
            };
            let updates = vec![Some(update(0)), Some(update(1))];
            let site = all_sites(3, 1).into_iter().find(|site: &Site| {
                (site.stack, site.layer, site.projection)
                    == (Stack::Encoder, layer, Projection::Fc1)
            });
            adapters.banks.insert(site.unwrap(), Bank { side, updates });
        }
        adapters
    }

    fn request(words: &[u32], source: u16, target: u16) -> Request {
        Request {
            source_ids: words.iter().copied().chain([2]).collect(),
            source_language: LanguageId(source),
            target_language: LanguageId(target),
            target_tag: 30,
        }
    }

    /// Each distinct source goes once through the layers below the first that the target chooses the update of; what comes out is what
    /// each gets alone.
    #[test]
    fn a_source_is_encoded_once_for_all_its_targets() {
        use LanguageSide::{Source, Target};
        // The same words in another language are another source.
        let requests = [
            request(&[5, 6, 7], 0, 0),
            request(&[5, 6, 7], 0, 1),
            request(&[5, 6, 7], 0, 2),
            request(&[5, 6, 7], 1, 0),
            request(&[8, 9], 0, 1),
            request(&[8, 9], 0, 0),
        ];
        let waiting: Vec<Waiting<'_>> = (0..)
            .zip(&requests)
            .map(|(index, request)| Waiting {
                index,
                request,
                cost: request.cost(),
            })
            .collect();
        let backend = Reference::<f32>::new();
        let config = config();
        let model = Model::new(&config, initial_tensors(&config, 1), None).unwrap();
        for (sides, shared) in [
            (&[][..], 3),
            (&[(0, Source), (2, Source)], 3),
            (&[(0, Source), (1, Target), (2, Source)], 1),
            (&[(0, Target)], 0),
        ] {
            let mut store = ParamStore::new();
            let adapters = adapters(sides, &mut store);
            let run = Run {
                model: &model,
                cx: Context {
                    backend: &backend,
                    store: &store,
                    adapters: &adapters,
                    dropout: None,
                },
                options: &DecodeOptions::greedy(),
                heads: None,
            };
            let mut sources = Sources::new(&run, &waiting);
            assert_eq!(sources.layers, shared);
            assert_eq!(sources.states.len(), (4 + 4 + 3) * WIDTH);
            for count in [2, 3, 1] {
                let (entering, rows, states) = sources.take(&run, count);
                assert_eq!(entering.len(), count);
                for (waiting, span) in entering.iter().zip(&rows.spans) {
                    let mut alone = Packed::default();
                    push(&mut alone, &run, waiting.request);
                    let range = span.q_start * WIDTH..(span.q_start + span.q_len) * WIDTH;
                    let expected = model.encode(&run.cx, &alone);
                    assert_eq!(states[range], expected[..], "{sides:?}, {}", waiting.index);
                }
            }
            assert!(sources.waiting().is_empty());
        }
    }
}
