use crate::adapter::{PlaceWeights, PlacementSearch, Side};
use crate::language::LanguageSide;
use crate::model::Context;
use crate::params::ParamStore;
use crate::train::explore::{Explorer, Placed};
use crate::train::material::Material;
use crate::train::{Observer, Outcome, TrainError, Trained, Trainer};

impl Explorer<'_> {
    /// Trains updates of both sides with their weights, and takes a side for each place.
    pub(super) fn place(
        &self,
        observer: &mut dyn Observer,
    ) -> Result<Option<(Vec<Placed>, Trained)>, TrainError> {
        let part = self.parts.placement();
        let mut store = ParamStore::new();
        let updates = part.adapter.per_language(&self.opened.languages)?;
        let search = PlacementSearch::new(
            self.parts.explore.placement,
            &part.adapter,
            &self.shape,
            (&self.languages, &updates),
            part.seed,
            &mut store,
        )?;
        let material = self.material(&part)?;
        let mut run = self.open(&part)?;
        tracing::info!(epochs = part.training.epochs, "placement");
        let trainer = Trainer {
            validate_before: false,
            ..material.trainer(&self.backend, &self.model, &search.adapters, None)
        };
        let trained = trainer.train(&mut run, &mut store, observer)?;
        if trained.outcome == Outcome::Interrupted || observer.stop() {
            return Ok(None);
        }
        let weights = search.weights(&store).into_iter();
        let placed = weights.map(|weights| self.decide(weights, &search, &store, &material));
        Ok(Some((placed.collect(), trained)))
    }

    /// The heavier side; of two that weigh about the same, the one that is missed more.
    fn decide(
        &self,
        weights: PlaceWeights,
        search: &PlacementSearch,
        store: &ParamStore<f32>,
        material: &Material<'_>,
    ) -> Placed {
        let chosen = weights.heaviest();
        if chosen == Side::None || weights.margin() >= self.parts.explore.tie {
            return Placed {
                weights,
                chosen,
                loss_without: None,
            };
        }
        let loss = |side| {
            let adapters = search.without(weights.place, side);
            let cx = Context {
                backend: &self.backend,
                store,
                adapters: &adapters,
                dropout: None,
            };
            material.held_out().nll(&cx, &self.model)
        };
        let without = [loss(LanguageSide::Source), loss(LanguageSide::Target)];
        let chosen = match without[0] >= without[1] {
            true => Side::Source,
            false => Side::Target,
        };
        Placed {
            weights,
            chosen,
            loss_without: Some(without),
        }
    }
}
