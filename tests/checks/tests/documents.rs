//! The YAML of the documents is read by the functions' own parsers: whole files, which begin with `version: 1`, and parts, whose first line names their file.
#![expect(clippy::unwrap_used, reason = "a check may stop at what should not be")]

use std::path::{Path, PathBuf};
use std::process::Command;

use bellhop_domain::config::{PipelineFile, SuiteConfig};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const VERSION: &str = "version: 1";
/// The first lines of parts.
const OF_A_PIPELINE_FILE: &str = "# .bellhop.yaml";
const OF_A_SUITE_CONFIGURATION: &str = "# config/bellhop.yaml";
/// The agents that a part of a suite configuration may name where it has none itself: those of the stack.
const AGENTS: &str = include_str!("../suite-configuration/default.yaml");

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    PipelineFile,
    PartOfPipelineFile,
    SuiteConfiguration,
    PartOfSuiteConfiguration,
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::PipelineFile,
        Self::PartOfPipelineFile,
        Self::SuiteConfiguration,
        Self::PartOfSuiteConfiguration,
    ];

    /// `None` for what is of another file.
    fn of(block: &str) -> Option<Self> {
        let has = |key: &str| block.lines().any(|line| line.starts_with(key));
        match block.lines().next()? {
            first if has(VERSION) && first.trim_end() == OF_A_SUITE_CONFIGURATION => Some(Self::SuiteConfiguration),
            _ if has(VERSION) && has("agents:") => Some(Self::SuiteConfiguration),
            _ if has(VERSION) => Some(Self::PipelineFile),
            OF_A_PIPELINE_FILE => Some(Self::PartOfPipelineFile),
            OF_A_SUITE_CONFIGURATION => Some(Self::PartOfSuiteConfiguration),
            _ => None,
        }
    }

    /// What the parser has against a block, of which what a part lacks is added.
    fn fault(self, block: &str) -> Option<String> {
        let has_agents = block.lines().any(|line| line.starts_with("agents:"));
        let whole = match self {
            Self::PartOfSuiteConfiguration if !has_agents => format!("{AGENTS}\n{block}"),
            Self::PartOfPipelineFile | Self::PartOfSuiteConfiguration => format!("{block}\n{VERSION}\n"),
            Self::PipelineFile | Self::SuiteConfiguration => block.to_owned(),
        };
        match self {
            Self::PipelineFile | Self::PartOfPipelineFile => PipelineFile::parse(&whole).err(),
            Self::SuiteConfiguration | Self::PartOfSuiteConfiguration => SuiteConfig::parse(&whole).err(),
        }
        .map(|error| error.to_string())
    }
}

/// The YAML blocks of a document, with the lines that they begin on.
fn blocks(document: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    // How far the block is indented that the line is in, and whether it is YAML.
    let mut within: Option<(usize, bool)> = None;
    for (number, line) in document.lines().enumerate() {
        let text = line.trim_start();
        match (within, text.strip_prefix("```")) {
            (None, Some(language)) => {
                let is_yaml = language.trim() == "yaml";
                within = Some((line.len() - text.len(), is_yaml));
                if is_yaml {
                    found.push((number + 1, String::new()));
                }
            }
            (Some(_), Some(_)) => within = None,
            (Some((indent, true)), None) => {
                let (_, block) = found.last_mut().unwrap();
                block.push_str(line.get(indent..).unwrap_or(text));
                block.push('\n');
            }
            _ => {}
        }
    }
    found
}

/// What is wrong with the blocks of a document.
fn faults(document: &str) -> Vec<String> {
    let blocks = blocks(document).into_iter();
    blocks
        .filter_map(|(line, block)| Some(format!("line {line}: {}", Kind::of(&block)?.fault(&block)?)))
        .collect()
}

/// The documents that Git knows, or would take.
fn documents() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(ROOT)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]);
    let listed = String::from_utf8(git.output().unwrap().stdout).unwrap();
    listed
        .lines()
        .map(PathBuf::from)
        .filter(|path| Path::new(ROOT).join(path).exists())
        .collect()
}

#[test]
fn the_parsers_take_the_yaml_of_the_documents() {
    let (mut wrong, mut kinds) = (Vec::new(), Vec::new());
    for path in documents() {
        let text = std::fs::read_to_string(Path::new(ROOT).join(&path)).unwrap();
        kinds.extend(blocks(&text).iter().filter_map(|(_, block)| Kind::of(block)));
        wrong.extend(faults(&text).into_iter().map(|fault| format!("{}, {fault}", path.display())));
    }
    for kind in Kind::ALL {
        assert!(kinds.contains(&kind), "no document has a {kind:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_parsers_refuse_is_found() {
    let fence = |block: &str| format!("# A page\n\n```yaml\n{block}\n```\n");
    for right in [
        "version: 1\njobs: { test: { agent: small, run: 'true' } }",
        "# .bellhop.yaml\njobs: { test: { agent: small, run: 'true' } }",
        "# config/bellhop.yaml\nrepositories: { shop: { agents: [small, docker] } }",
        "# config/bellhop.yaml\nagents: { own: { codebuild: { project: ci-own } } }\nrepositories: { shop: { agents: [own] } }",
        "# Of a suite.\nversion: 1\nagents: { own: { codebuild: { project: ci-own } } }",
        "# buildspec.yml\nversion: 0.2",
        "# CloudFormation\njobs: 3",
    ] {
        assert_eq!(faults(&fence(right)), Vec::<String>::new(), "{right}");
    }
    for wrong in [
        "version: 1\njobs: { test: { agent: small, runs: 'true' } }",
        "# .bellhop.yaml\njobs: { test: { agent: small } }",
        "# config/bellhop.yaml\nrepositories: { shop: { agents: [gpu] } }",
        "# config/bellhop.yaml\nagents: { own: { codebuild: { projects: ci-own } } }",
        "version: 1\nagents: { own: { codebuild: { project: ci-own } } }\njobs: []",
    ] {
        let found = faults(&fence(wrong));
        assert!(
            found.len() == 1 && found.iter().all(|fault| fault.starts_with("line 3: ")),
            "{wrong}: {found:?}"
        );
    }
    let indented = "- a\n\n  ```yaml\n  version: 1\n  jobs:\n    test: {}\n  ```\n\n```text\n```\n";
    assert_eq!(blocks(indented), [(3, "version: 1\njobs:\n  test: {}\n".to_owned())]);
    assert_eq!(faults(indented).len(), 1);
}
