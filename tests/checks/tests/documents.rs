//! The files in the documents are read by the functions' own parsers: whole files, which begin with `version: 1`, parts, whose first line names their
//! file, and pipeline files that commands write.
#![expect(clippy::unwrap_used, reason = "a check may stop at what should not be")]

use std::path::{Path, PathBuf};
use std::process::Command;

use bellhop_domain::config::{Job, PipelineFile, SuiteConfig, Work};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const VERSION: &str = "version: 1";
/// The first lines of parts.
const OF_A_PIPELINE_FILE: &str = "# part of .bellhop.yaml";
const OF_A_SUITE_CONFIGURATION: &str = "# part of config/bellhop.yaml";
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
            Self::PipelineFile | Self::PartOfPipelineFile => match PipelineFile::parse(&whole) {
                Ok(file) => file.jobs().iter().find_map(ships_from_a_branch),
                Err(error) => Some(error.to_string()),
            },
            Self::SuiteConfiguration | Self::PartOfSuiteConfiguration => SuiteConfig::parse(&whole).err().map(|error| error.to_string()),
        }
    }
}

/// What is wrong with a job that publishes or deploys what is pushed to any branch.
fn ships_from_a_branch(job: &Job) -> Option<String> {
    let script = match &job.work {
        Work::Run(script) => script.as_str(),
        Work::Buildspec(_) => "",
    };
    let ships = [job.name.as_str(), script].iter().any(|text| {
        ["publish", "deploy", "docker push", "s3 sync", "twine upload"]
            .iter()
            .any(|word| text.contains(word))
    });
    let feature = "refs/heads/feature".parse().unwrap();
    (ships && job.wanted_by(&feature, None)).then(|| format!("the job `{}` publishes or deploys from every branch", job.name))
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    line: usize,
    language: String,
    text: String,
}

/// The fenced blocks of a document.
fn blocks(document: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    // How far the block is indented that the line is in.
    let mut within: Option<usize> = None;
    for (number, line) in document.lines().enumerate() {
        let text = line.trim_start();
        match (within, text.strip_prefix("```")) {
            (None, Some(language)) => {
                within = Some(line.len() - text.len());
                found.push(Block {
                    line: number + 1,
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => within = None,
            (Some(indent), None) => {
                let block = &mut found.last_mut().unwrap().text;
                block.push_str(line.get(indent..).unwrap_or(text));
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// The pipeline files that the commands of a document write and add to, as they are after each of these commands.
fn written(blocks: &[Block]) -> Vec<(usize, String)> {
    let (mut found, mut file) = (Vec::new(), String::new());
    for block in blocks.iter().filter(|block| block.language == "sh") {
        let mut lines = block.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some((command, end)) = line.split_once("<<") else { continue };
            if !command.trim_end().ends_with("/.bellhop.yaml") {
                continue;
            }
            if !command.contains(">>") {
                file.clear();
            }
            for (_, line) in lines.by_ref().take_while(|(_, line)| *line != end.trim().trim_matches('\'')) {
                file.push_str(line);
                file.push('\n');
            }
            found.push((block.line + 1 + number, file.clone()));
        }
    }
    found
}

/// The files and parts of files in a document, with their kinds and the lines that they begin on.
fn files(document: &str) -> Vec<(usize, Kind, String)> {
    let blocks = blocks(document);
    let written = written(&blocks).into_iter().map(|(line, text)| (line, Kind::PipelineFile, text));
    let shown = blocks.into_iter().filter(|block| block.language == "yaml");
    let shown = shown.filter_map(|block| Some((block.line, Kind::of(&block.text)?, block.text)));
    shown.chain(written).collect()
}

/// What is wrong with the files of a document.
fn faults(document: &str) -> Vec<String> {
    let files = files(document).into_iter();
    files
        .filter_map(|(line, kind, text)| Some(format!("line {line}: {}", kind.fault(&text)?)))
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
        kinds.extend(files(&text).into_iter().map(|(_, kind, _)| kind));
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
        "# part of .bellhop.yaml\njobs: { test: { agent: small, run: 'true' } }",
        "# part of .bellhop.yaml\njobs: { publish: { agent: small, run: make, on: { push: { branches: main } } }, deploy: { agent: small, run: make, on: manual } }",
        "# part of config/bellhop.yaml\nrepositories: { shop: { agents: [small, docker] } }",
        "# part of config/bellhop.yaml\nagents: { own: { codebuild: { project: ci-own } } }\nrepositories: { shop: { agents: [own] } }",
        "# Of a suite.\nversion: 1\nagents: { own: { codebuild: { project: ci-own } } }",
        "# buildspec.yml\nversion: 0.2",
        "# CloudFormation\njobs: 3",
    ] {
        assert_eq!(faults(&fence(right)), Vec::<String>::new(), "{right}");
    }
    for wrong in [
        "version: 1\njobs: { test: { agent: small, runs: 'true' } }",
        "# part of .bellhop.yaml\njobs: { test: { agent: small } }",
        "# part of .bellhop.yaml\njobs: { publish: { agent: small, run: make } }",
        "# part of .bellhop.yaml\njobs: { last: { agent: small, run: ./deploy.sh, on: { push: { branches: '!main' } } } }",
        "# part of config/bellhop.yaml\nrepositories: { shop: { agents: [gpu] } }",
        "# part of config/bellhop.yaml\nagents: { own: { codebuild: { projects: ci-own } } }",
        "version: 1\nagents: { own: { codebuild: { project: ci-own } } }\njobs: []",
    ] {
        let found = faults(&fence(wrong));
        assert!(
            found.len() == 1 && found.iter().all(|fault| fault.starts_with("line 3: ")),
            "{wrong}: {found:?}"
        );
    }
}

#[test]
fn blocks_in_lists_and_files_that_commands_write_are_found() {
    let list = "- a\n\n  ```yaml\n  version: 1\n  jobs:\n    test: {}\n  ```\n\n```text\n```\n";
    let text = "version: 1\njobs:\n  test: {}\n";
    assert_eq!(files(list), [(3, Kind::PipelineFile, text.to_owned())]);
    assert_eq!(faults(list).len(), 1);

    let whole = "```sh\n# on AWS, or the local AWS\ncat > ../shop/.bellhop.yaml <<'END'\nversion: 1\njobs:\n  a: { agent: small, run: 'true' }\nEND\n```\n";
    let added = "```sh\ncat >> ../shop/.bellhop.yaml <<'END'\n  b: { agent: small, needs: [c], run: 'true' }\nEND\n```\n";
    let text = "version: 1\njobs:\n  a: { agent: small, run: 'true' }\n";
    assert_eq!(files(whole), [(3, Kind::PipelineFile, text.to_owned())]);
    assert_eq!(faults(whole), Vec::<String>::new());
    let [fault] = faults(&format!("{whole}{added}")).try_into().unwrap();
    assert!(fault.starts_with("line 10: "), "{fault}");
}

/// What is wrong with the requests to `control` in a document: JSON with one of its verbs, of which `RUN` and `JOB` stand for a run and a job.
fn wrong_requests(document: &str) -> Vec<String> {
    let json = blocks(document).into_iter().filter(|block| block.language == "json");
    let values = json.flat_map(|block| {
        let lines = block.text.lines().map(str::to_owned).collect::<Vec<_>>();
        let texts = if serde_json::from_str::<Value>(&block.text).is_ok() {
            vec![block.text]
        } else {
            lines
        };
        texts.into_iter().map(move |text| (block.line, text))
    });
    values
        .filter_map(|(line, text)| {
            let value: Value = serde_json::from_str(&text.replace("RUN", "aaaaaaaaaa").replace("JOB", "test")).ok()?;
            let verb = value.as_object().filter(|object| object.len() == 1)?.keys().next()?.clone();
            // Answers and messages have more keys, and errors are about these.
            (!["error", "rejected"].contains(&verb.as_str())).then_some(())?;
            let refused = bellhop_events::control::submitted(&value).err()?;
            Some(format!("line {line}: {refused}"))
        })
        .collect()
}

#[test]
fn the_requests_of_the_documents_are_taken() {
    let asked = [
        "docs/reference/requests.md",
        "docs/how-to/start-a-run.md",
        "docs/how-to/debug-a-red-build.md",
    ];
    for page in asked {
        let text = std::fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
        let of_control = text.split("## `backup`").next().unwrap();
        assert_eq!(wrong_requests(of_control), Vec::<String>::new(), "{page}");
    }
    let misspelt = "```json\n{\"start\": {\"brunch\": \"main\"}}\n{\"shwo\": {\"run\": \"RUN\"}}\n```\n";
    assert_eq!(wrong_requests(misspelt).len(), 2);
}
