//! Any text in place of a name: what is taken reads back as itself.
#![no_main]

use bellhop_domain::ids::{AttemptId, BuildId, JobName, Reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.full(), text);
    }
    if let Ok(job) = text.parse::<JobName>() {
        assert_eq!(job.as_str(), text);
    }
    if let Ok(build) = text.parse::<BuildId>() {
        assert_eq!(build.to_string(), text);
    }
    if let Some(attempt) = AttemptId::from_started_by(text) {
        assert_eq!(AttemptId::from_started_by(&attempt.started_by()), Some(attempt));
    }
});
