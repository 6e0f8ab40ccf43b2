//! Any `.bellhop.yaml`: it is read or refused, and a refusal is one line.
#![no_main]

use bellhop_domain::config::PipelineFile;
use bellhop_domain::ids::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match PipelineFile::parse(text) {
        Ok(file) => {
            let changed = ["src/main.rs".to_owned(), "docs/a b.md".to_owned()];
            for reference in [Reference::Branch("main".to_owned()), Reference::Tag("v1".to_owned())] {
                for job in file.jobs() {
                    job.wanted_by(&reference, Some(&changed));
                    job.wanted_by(&reference, None);
                }
            }
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
