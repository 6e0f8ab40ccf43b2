//! Any text in place of a record of the ledger or an agent's report: it is read or refused, and what was read can be decided upon.
#![no_main]

use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::observation::Report;
use bellhop_domain::run::Run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = serde_json::from_str::<Run>(text);
    let _ = serde_json::from_str::<Report>(text);
    if let Ok(build) = serde_json::from_str::<Build>(text) {
        let now = "2026-11-22T08:00:00Z".parse().expect("a fixed time");
        build.due();
        build.decide(&BuildEvent::Tick { looked: now }, now);
        build.decide(&BuildEvent::Released, now);
    }
});
