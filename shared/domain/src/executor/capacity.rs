//! The capacity of an agent.

use serde::{Serialize, Serializer};

/// The capacity on which an attempt is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capacity {
    /// Cheap; AWS may reclaim it with two minutes' notice.
    Spot,
    /// Kept until the build has finished.
    OnDemand,
    /// The own machines of an executor, by its name; never reclaimed.
    Own(&'static str),
}

impl Capacity {
    /// `spot`, `on-demand` or the executor's name, as in `BELLHOP_CAPACITY`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
            Self::Own(executor) => executor,
        }
    }
}

impl std::fmt::Display for Capacity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Capacity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
