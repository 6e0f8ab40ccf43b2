//! Any text in place of a JUnit report: what is counted adds up, and a refusal is one line.
#![no_main]

use bellhop_domain::found::MOST_FAILED;
use bellhop_domain::junit;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match junit::count(text) {
    Ok(tests) => {
        assert!(tests.failed + tests.skipped <= tests.run);
        assert!(tests.failures.len() <= MOST_FAILED);
        let mut twice = tests.clone();
        twice.add(tests.clone());
        assert_eq!(twice.run, 2 * tests.run);
    }
    Err(error) => assert!(!error.to_string().contains('\n')),
});
