//! Any JSON given to a function: it is taken apart without a panic, and what is skipped is told in one line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(input) = serde_json::from_str(text) {
        let parsed = bellhop_events::parse(&input);
        for skipped in parsed.skipped {
            assert!(!skipped.to_string().contains('\n'));
        }
    }
});
