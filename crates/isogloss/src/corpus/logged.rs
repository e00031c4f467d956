//! What is written to the log while a function runs, for tests.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};

/// What a function returns, and what it logs on its own thread: levels, and fields as `name=value `.
pub(super) fn logged<T>(run: impl FnOnce() -> T) -> (T, Vec<(Level, String)>) {
    let log = Log::default();
    // While there is only one subscriber, a message that another test's thread comes to first is switched off for all
    // threads if that one has none; with two, both are asked.
    let _second = Dispatch::new(Log::default());
    let result = tracing::dispatcher::with_default(&Dispatch::new(log.clone()), run);
    let messages = std::mem::take(&mut *log.0.lock().unwrap());
    (result, messages)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let message = (*event.metadata().level(), fields.0);
        self.0.lock().unwrap().push(message);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
