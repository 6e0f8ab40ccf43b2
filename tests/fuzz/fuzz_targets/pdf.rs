//! Any bytes in place of a PDF file: it is read or refused without a panic, and what is kept of it has an end and is one line.
#![no_main]

use bellhop_pdf_index::pdf::text::LONGEST;
use bellhop_pdf_index::pdf::{Reading, read};
use libfuzzer_sys::fuzz_target;

/// What a file with a predictor has, where the name is not written with codes. The parser takes as much memory as the predictor's columns ask for. The
/// function reads files in a process with a limit of memory; here the limit would end the fuzzing.
const PREDICTOR: [&[u8]; 2] = [b"/Predictor", b"#"];

fuzz_target!(|bytes: &[u8]| {
    if PREDICTOR.iter().any(|part| bytes.windows(part.len()).any(|window| window == *part)) {
        return;
    }
    match read(bytes.to_vec()) {
        Reading::Metadata(metadata) => {
            for (name, text) in metadata.texts() {
                assert!(
                    text.is_none_or(|text| text.chars().count() <= LONGEST && !text.contains(char::is_control)),
                    "{name}"
                );
            }
        }
        Reading::Unreadable { why } => assert!(!why.contains('\n')),
    }
});
