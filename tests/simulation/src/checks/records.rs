//! Records: what is stored reads as what was to be stored, and versions grow.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::world::{Subject, World};

pub(crate) fn version_written(world: &mut World, about: &Subject, stored: u64, next: u64) {
    check!(
        world,
        about.clone(),
        "versions-grow",
        next == stored + 1,
        "version {stored} is overwritten by version {next}"
    );
}

/// What is stored reads as what was to be stored.
pub(super) fn reads_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(world: &mut World, about: impl Into<Subject>, next: &T) {
    let text = serde_json::to_string(next).unwrap_or_default();
    let back = serde_json::from_str::<T>(&text);
    check!(
        world,
        about,
        "records-read-back",
        back.as_ref().is_ok_and(|back| back == next),
        "{back:?} from {text}"
    );
}
