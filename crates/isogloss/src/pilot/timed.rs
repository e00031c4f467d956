//! A watcher that ends what takes too long.

use std::cell::Cell;

use crate::compare::Watcher;
use crate::corpus::FilterReport;
use crate::evaluate::Progress;
use crate::pilot::Clock;
use crate::train::{Estimate, Event, Observer};

/// Passes everything on, and looks at the clock.
pub(super) struct Timed<'a> {
    pub inner: &'a mut dyn Watcher,
    pub now: &'a Clock<'a>,
    /// Second at which training ends by itself.
    pub training_ends: f64,
    /// Second at which translating stops.
    pub scoring_ends: f64,
    /// Whether training is under way.
    pub training: bool,
    /// Whether its time ended it.
    pub cut: Cell<bool>,
}

impl Observer for Timed<'_> {
    fn cleaned(&mut self, report: &FilterReport) {
        self.inner.cleaned(report);
    }

    fn planned(&mut self, estimate: &Estimate) {
        self.inner.planned(estimate);
    }

    fn event(&mut self, event: &Event) {
        self.inner.event(event);
    }

    fn stop(&self) -> bool {
        self.inner.stop() || (!self.training && (self.now)() >= self.scoring_ends)
    }

    fn enough(&self) -> bool {
        if self.training && (self.now)() >= self.training_ends {
            self.cut.set(true);
        }
        self.cut.get()
    }
}

impl Watcher for Timed<'_> {
    fn stage(&mut self, name: &str) {
        self.inner.stage(name);
    }

    fn translating(&mut self, progress: Progress) {
        self.inner.translating(progress);
    }
}
