//! The meter, with everything that was counted.

use std::sync::Mutex;

use bellhop_domain::ids::RepositoryName;
use bellhop_domain::measure::Measure;
use bellhop_engine::ports::Meter;

/// What was counted.
#[derive(Default)]
pub(crate) struct Counted(pub(crate) Mutex<Vec<Measure>>);

impl Meter for Counted {
    fn count(&self, _: Option<&RepositoryName>, measures: &[Measure]) {
        self.0.lock().unwrap().extend(measures);
    }
}
