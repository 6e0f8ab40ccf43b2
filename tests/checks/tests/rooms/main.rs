//! The rooms of the shared crates: no circles between them, and no file too large to read.
//!
//! A room is a top-level module of a crate: a file of its `src`, or a file with its folder. An arrow leads from a room to each room of which it names
//! something; tests do not count. To see all of it:
//!
//! ```text
//! cargo test -p bellhop-checks --test rooms -- --nocapture the_picture
//! ```
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check may stop at what should not be")]

mod crate_map;
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate_map::{Arrows, CrateMap, circles, in_circles, lines};
use source::Source;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The crates with rooms.
const CRATES: [&str; 4] = ["domain", "engine", "events", "aws"];

/// The most lines of a source file.
const MOST_LINES: usize = 600;

fn crate_map(name: &str) -> CrateMap {
    CrateMap::read(&Path::new(ROOT).join("shared").join(name).join("src"))
}

#[test]
fn neither_rooms_nor_files_of_the_domain_have_circles() {
    let domain = crate_map("domain");
    for (what, arrows) in [("rooms", domain.arrows_between_rooms()), ("files", domain.arrows())] {
        let found = in_circles(&arrows);
        assert!(found.is_empty(), "these arrows close a circle between {what}: {found:?}");
    }
}

#[test]
fn files_are_small() {
    let files = source_files();
    assert!(files.len() > 100, "{}", files.len());
    let sizes = files.into_iter().map(|path| (lines(&Path::new(ROOT).join(&path)), path));
    let large: Vec<(usize, PathBuf)> = sizes.filter(|(lines, _)| *lines > MOST_LINES).collect();
    assert!(large.is_empty(), "these files have more than {MOST_LINES} lines: {large:?}");
}

/// The source files that Git knows, or would take. Templates are none.
fn source_files() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(ROOT)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs", "*.py", "*.sh"]);
    let listed = String::from_utf8(git.output().unwrap().stdout).unwrap();
    let files = listed.lines().map(PathBuf::from);
    files.filter(|path| Path::new(ROOT).join(path).exists()).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "a picture for people")]
fn the_picture_can_be_drawn() {
    for name in CRATES {
        let picture = crate_map(name).to_string();
        assert!(picture.contains("the largest files:"), "{name}: {picture}");
        println!("shared/{name}\n{picture}");
    }
}

#[test]
fn paths_of_a_file_are_read() {
    let source = Source::read(
        "//! crate::comment::No\nuse crate::{a::{B, c as D}, e::*};\nmod child;\nmod inner {\n use super::F;\n}\n#[serde(with = \"crate::s\")]\n\
         fn f() { let text = \"crate::text::No\"; crate::g::h::<u8>(child::i, ':', r#\"crate::raw::No\"#); std::crate_of::no() }\npub(in crate::visible) fn no() {}\n\
         #[cfg(test)]\n#[expect(clippy::x)]\nmod tests {\n use crate::in_tests::No;\n}\n",
    );
    let paths: Vec<String> = source.paths.iter().map(|named| named.segments.join("::")).collect();
    assert_eq!(
        paths,
        [
            "crate::a::B",
            "crate::a::c",
            "crate::e::*",
            "super::F",
            "crate::s",
            "crate::g::h",
            "child::i"
        ]
    );
    assert_eq!(source.paths[1].imported_as.as_deref(), Some("D"));
    assert_eq!(source.paths[3].within, ["inner"]);
    assert_eq!((source.modules, source.test_lines), (vec!["child".to_owned()], 5));
}

#[test]
fn circles_are_found() {
    let arrow = |from: &str, to: &str| ((from.to_owned(), to.to_owned()), 1);
    let arrows = Arrows::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d"), arrow("e", "a")]);
    assert_eq!(circles(&arrows), [["a", "b", "c"]]);
    assert_eq!(in_circles(&arrows).len(), 3);
}
