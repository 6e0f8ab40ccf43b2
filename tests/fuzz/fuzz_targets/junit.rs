//! Any bytes in place of a JUnit report: what is counted adds up, and a refusal is one line.
#![no_main]

use bellhop_domain::results::found::MOST_FAILED;
use bellhop_domain::results::junit::{self, Counted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match junit::count(bytes) {
    Ok(Counted { tests, incomplete }) => {
        assert!(tests.failed + tests.skipped <= tests.run);
        assert!(tests.failures.len() <= MOST_FAILED);
        assert!(incomplete.is_none_or(|why| !why.to_string().contains('\n')));
        let mut twice = tests.clone();
        twice.add(tests.clone());
        assert_eq!(twice.run, 2 * tests.run);
    }
    Err(error) => assert!(!error.to_string().contains('\n')),
});
