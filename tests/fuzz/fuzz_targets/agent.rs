//! Anything that the agent reads: its environment, patterns, the list of artifacts to fetch, output of Git, `/proc`, the note of a failed
//! command. It is read without a panic, a line of the log is one line, a text of the report has an end, and a path stays in the checkout.
#![no_main]

use bellhop_agent::artifacts::{key, pattern};
use bellhop_agent::aws::codecommit::{self, Question};
use bellhop_agent::checkout::lfs;
use bellhop_agent::fetch::list::{self, Artifact};
use bellhop_agent::log;
use bellhop_agent::processes::Process;
use bellhop_agent::report::{self, Failure};
use bellhop_agent::settings::{Settings, Variables};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let variables: Variables = text.lines().filter_map(|line| line.split_once('=')).collect();
    let settings = Settings::read(&variables);
    for line in settings.remarks.iter().map(String::as_str).chain([&*text]) {
        let line = log::line(line);
        assert!(line.len() <= log::LONGEST && line.matches('\n').count() == 1);
    }
    for pattern in &settings.artifacts {
        for part in pattern::parts(pattern).unwrap_or_default() {
            part.matches(&text.chars().take(40).collect::<String>());
        }
    }
    if let Some(key) = key::of_path("runs/", bytes) {
        assert!(key.len() <= 1024 && !key.contains('\n'));
    }
    let artifact = |path: &str| Artifact {
        from: "package".to_owned(),
        path: path.to_owned(),
        key: String::new(),
        object_version: None,
        sha256: String::new(),
        size: 0,
    };
    let artifacts: Vec<Artifact> = text.lines().map(artifact).collect();
    for artifact in artifacts.iter().filter(|_| list::check(&artifacts).is_ok()) {
        assert!(!artifact.path.starts_with('/') && artifact.path.split('/').all(|part| !matches!(part, "" | "." | "..")));
    }
    let _ = list::parse(bytes);
    if let Some(text) = report::text(bytes) {
        assert!(text.len() <= report::LONGEST_TEXT);
    }
    let question = Question::parse(&text);
    if let Ok(Some(_)) = codecommit::target(&question, None, false) {
        assert!(question.host.is_some_and(|host| host.contains("git-codecommit")));
    }
    let _ = Failure::parse(bytes);
    let _ = Process::parse(bytes);
    let _ = lfs::status(bytes);
});
