//! Stored records.

use super::*;

/// This version reads the seeds of the fuzzing: a record that it could not read would be a build lost at an update.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test may read what it is about")]
fn the_seeds_of_the_fuzzing_are_records() {
    let mut builds = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/record")).unwrap() {
        let path = file.unwrap().path();
        let (text, name) = (std::fs::read_to_string(&path).unwrap(), path.file_name().unwrap().to_string_lossy());
        match name.split(['-', '.']).next().unwrap() {
            "build" => {
                let build: Build = serde_json::from_str(&text).unwrap();
                properties::check(&build);
                builds += 1;
            }
            "run" => assert!(serde_json::from_str::<crate::run::Run>(&text).is_ok(), "{name}"),
            "report" => assert!(serde_json::from_str::<Report>(&text).is_ok(), "{name}"),
            _ => panic!("{name} is of no kind"),
        }
    }
    assert_eq!(builds, 5);
}

/// Records of earlier versions have this name.
#[test]
fn a_suspected_orphan_keeps_its_stored_name() {
    let story = Story::new(spec()).refused(1, SPOT, no_capacity());
    let stored = serde_json::to_value(&story.build.attempts[0]).unwrap();
    assert_eq!(stored["fell_back"], true);
}
