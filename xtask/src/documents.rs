//! The documents name commands of this program: each is one that it takes.

use clap::Parser as _;
use clap::error::ErrorKind;
use xtask::workspace::{git, root};

use crate::{Arguments, Command};

/// How a command of this program begins.
const BEGIN: &str = "cargo xtask";
/// What ends a command in a line of a shell's.
const ENDS: [&str; 6] = [" #", "&&", ";", "|", ">", ")"];

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a block of commands: as it is given.
    Block,
    /// In a sentence, which may leave the value of its last option open.
    Prose,
}

/// What is wrong with a command, without its beginning.
fn wrong(arguments: &str, place: Place) -> Option<String> {
    // `[STORY]`: what may be left out is left out.
    let words = arguments
        .split_whitespace()
        .filter(|word| place == Place::Block || !word.starts_with('['));
    match Arguments::try_parse_from(std::iter::once(BEGIN).chain(words)) {
        Ok(Arguments {
            command: Command::Test(options),
        }) => options.unknown().map(|step| format!("there is no step {step}")),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => None,
        Err(_) if place == Place::Prose && arguments.is_empty() => None,
        Err(error) => {
            let said = error.to_string();
            let is_open = place == Place::Prose && said.contains("a value is required");
            (!is_open).then_some(said)
        }
    }
}

/// The commands of a document, without their beginnings.
fn commands(document: &str) -> Vec<(Place, String)> {
    let (mut found, mut prose, mut fence) = (Vec::new(), String::new(), None);
    for line in document.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = fence.xor(Some(language.to_owned()));
        } else if fence.is_none() {
            prose.push_str(line);
            prose.push('\n');
        } else if fence.as_deref() == Some("sh")
            && let Some((before, arguments)) = line.split_once(BEGIN)
            && !before.contains('#')
        {
            let end = ENDS.iter().filter_map(|end| arguments.find(end)).min();
            found.push((
                Place::Block,
                arguments.get(..end.unwrap_or(arguments.len())).unwrap_or_default().to_owned(),
            ));
        }
    }
    let code = prose.split('`').skip(1).step_by(2);
    found.extend(code.filter_map(|code| Some((Place::Prose, code.strip_prefix(BEGIN)?.to_owned()))));
    found
}

/// What is wrong with the commands of a document.
fn faults(document: &str) -> Vec<String> {
    let found = commands(document).into_iter();
    found
        .filter_map(|(place, arguments)| Some(format!("{BEGIN}{arguments}: {}", wrong(&arguments, place)?)))
        .collect()
}

#[test]
fn every_command_of_the_documents_is_taken() {
    let listed = git(&root(), ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .as_std_mut()
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for name in listed.lines() {
        // What is removed and not yet committed is still listed.
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        count += commands(&text).len();
        wrong.extend(faults(&text).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    assert!(count > 10, "only {count} commands in:\n{listed}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_that_is_not_taken_is_found() {
    for right in [
        "`cargo xtask` and `cargo xtask bench --before`, `cargo xtask demo [STORY]`, `cargo xtask\ntest --only rust`",
        "```sh\n# in this repository\ncargo xtask test --only lints,rust   # some\n(A=1 cargo xtask demo pipeline) && echo\ncargo xtask test --help\n```",
        "```text\ncargo xtask nothing\n```\n`cargo nothing`",
        "```sh\n# cargo xtask nothing\ncargo xtask simulate --seeds 3 | less\n```",
    ] {
        assert_eq!(faults(right), Vec::<String>::new(), "{right}");
    }
    for (wrong, part) in [
        ("`cargo xtask tests`", "unrecognized subcommand"),
        ("`cargo xtask demo spots --keep`", "invalid value"),
        ("`cargo xtask\ntest --onlly rust`", "unexpected argument"),
        ("`cargo xtask test --only lints,rusty`", "there is no step rusty"),
        ("- a\n\n  ```sh\n  cargo xtask demo --kept\n  ```\n", "unexpected argument"),
        ("```sh\nA=1 cargo xtask bench --before\n```", "a value is required"),
        ("```sh\ncargo xtask && a\n```", "Usage: cargo xtask"),
        ("```sh\ncargo xtask test --only rust --quick # slow\n```", "cannot be used with"),
    ] {
        let found = faults(wrong);
        assert!(
            found.len() == 1 && found.iter().all(|fault| fault.contains(part)),
            "{wrong}: {found:?}"
        );
    }
}
