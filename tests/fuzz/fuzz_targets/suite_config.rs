//! Any `config/bellhop.yaml`: it is read or refused, and a refusal is one line.
#![no_main]

use bellhop_domain::config::SuiteConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = SuiteConfig::parse(text) {
        assert!(!error.to_string().contains('\n'));
    }
});
