//! Every check and test there is.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use crate::acknowledged;
use crate::alarms;
use crate::backups;
use crate::demo;
use crate::dependencies;
use crate::functions;
use crate::kill;
use crate::pipeline;
use crate::python::Venv;
use crate::spot;
use crate::stack::{Stack, free_port};
use crate::workspace::{cargo, root, run_openly, run_silently, target, without_package};

/// How many builds there are when functions are killed, and how many kills: enough for each kind of death, in two minutes.
const KILL_BUILDS: usize = 10;
const KILLS: u32 = 30;

/// How long `cargo lambda` may take for a function's first answer; it has cargo look at everything first.
const FIRST_ANSWER: Duration = Duration::from_secs(300);

/// The steps, cheapest first.
const STEPS: [&str; 14] = [
    "format",
    "lints",
    "dependencies",
    "template",
    "rules",
    "infra",
    "deployed",
    "security",
    "entrypoint",
    "environment",
    "rust",
    "acknowledged",
    "cargo-lambda",
    "kill",
];

/// Runs every step, or only the named ones, up to the first failure; and then, if all are to be run, the demos.
///
/// # Errors
/// Something failed; its own output says what.
pub(crate) async fn run(only: &[String]) -> anyhow::Result<()> {
    for name in only {
        ensure!(
            STEPS.contains(&name.as_str()),
            "there is no step {name}; there are {}",
            STEPS.join(", ")
        );
    }
    let wants = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    let begun = Instant::now();
    let mut steps = Steps::default();
    if wants("format") {
        steps.cargo("format", &["fmt", "--all", "--check"], &[]).await?;
    }
    if wants("lints") {
        let lints = [
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "--deny",
            "warnings",
        ];
        steps.cargo("lints", &lints, &[]).await?;
    }
    if wants("dependencies") {
        steps.own("dependencies", dependencies::check()).await?;
    }

    let venv = Venv::local_aws().await?;
    let scripts = root().join("tests/local");
    if wants("template") {
        let mut template = python(&venv, &scripts);
        template.arg("check_template.py");
        steps.run("template", &mut template).await?;
    }
    for suite in ["rules", "infra", "deployed"] {
        if wants(suite) {
            steps.run(suite, &mut suite_of(&venv, &scripts, suite)).await?;
        }
    }
    if wants("security") {
        let checkov = Venv::checkov().await?;
        let mut scan = python(&venv, &scripts);
        scan.arg("check_security.py").arg(checkov.program("checkov"));
        steps.run("security", &mut scan).await?;
    }
    if wants("entrypoint") {
        steps.run("entrypoint", &mut suite_of(&venv, &scripts, "entrypoint")).await?;
    }

    let functions = functions::build().await?;
    if wants("environment") {
        let mut tests = suite_of(&venv, &scripts, "environment");
        steps.run("environment", tests.env("BELLHOP_BINARIES", &functions.binaries)).await?;
    }
    if ["rust", "acknowledged", "cargo-lambda"].into_iter().any(wants) {
        let stack = Stack::start(&venv, &functions, "TRACE").await?;
        if wants("rust") {
            let environment = [
                ("BELLHOP_LOCAL_AWS", stack.ministack_url().to_owned()),
                ("BELLHOP_TABLE", stack.output("TableName")?.to_owned()),
                ("BELLHOP_BINARIES", functions.binaries.display().to_string()),
            ];
            let tests = ["test", "--quiet", "--workspace", "--all-features", "--no-fail-fast"];
            steps.cargo("rust", &tests, &environment).await?;
        }
        if wants("acknowledged") {
            steps.own("acknowledged", acknowledged::run(&stack)).await?;
        }
        if wants("cargo-lambda") {
            let cargo_lambda = Venv::cargo_lambda().await?;
            steps.own("cargo-lambda", cargo_lambda_answers(&stack, &cargo_lambda)).await?;
        }
    }
    if wants("kill") {
        steps.own("kill", kill::run(KILL_BUILDS, KILLS)).await?;
    }
    if only.is_empty() {
        steps.own("demo", demo::run(false)).await?;
        steps.own("demo pipeline", pipeline::run(false)).await?;
        steps.own("demo alarm", alarms::run(false)).await?;
        steps.own("demo spot", spot::run(false)).await?;
        steps.own("demo backup", backups::run(false)).await?;
    }

    println!("\nAll passed:");
    for (what, took) in &steps.done {
        println!("{:>8.1} s  {what}", took.as_secs_f64());
    }
    println!("{:>8.1} s  in all", begun.elapsed().as_secs_f64());
    Ok(())
}

#[derive(Default)]
struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    async fn run(&mut self, what: &str, command: &mut Command) -> anyhow::Result<()> {
        self.own(what, run_openly(what, command)).await
    }

    async fn cargo(&mut self, what: &str, arguments: &[&str], environment: &[(&str, String)]) -> anyhow::Result<()> {
        let mut command = cargo();
        command.args(arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        self.run(what, &mut command).await
    }

    /// Runs a step of this program's own.
    async fn own(&mut self, what: &str, step: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        println!("\n== {what}");
        let begun = Instant::now();
        step.await.with_context(|| format!("the step {what} failed"))?;
        self.done.push((what.to_owned(), begun.elapsed()));
        Ok(())
    }
}

/// The tests of a file of `tests/local`.
fn suite_of(venv: &Venv, folder: &Path, name: &str) -> Command {
    let mut tests = python(venv, folder);
    tests.args(["-m", "unittest", &format!("test_{name}")]);
    tests
}

fn python(venv: &Venv, folder: &Path) -> Command {
    let mut command = Command::new(venv.program("python"));
    command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// README's way of calling the functions by hand, tried: each answers a sample event as it should.
async fn cargo_lambda_answers(stack: &Stack, venv: &Venv) -> anyhow::Result<()> {
    let port = free_port()?.to_string();
    let log = std::fs::File::create(target().join("cargo-lambda-watch.log"))?;
    let environment = stack.environment()?;
    let mut watch = Command::new(venv.program("cargo-lambda"));
    without_package(&mut watch)
        .current_dir(root())
        .args(["lambda", "watch", "--ignore-changes", "--invoke-port", &port])
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    let mut watch = watch.spawn().context("cannot start cargo lambda watch")?;
    let group = watch.id();
    let answers = ask_all(venv, &port).await;
    // cargo-lambda, the cargos that it started, and the functions that those run.
    if let Some(group) = group.and_then(|id| i32::try_from(id).ok()) {
        nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGTERM)?;
    }
    watch.wait().await?;
    if let Err(error) = answers {
        let log = std::fs::read_to_string(target().join("cargo-lambda-watch.log")).unwrap_or_default();
        bail!("{error:#}\n{log}");
    }
    Ok(())
}

/// The samples of a folder of `events/`, by their paths in there.
fn samples(folder: &str) -> anyhow::Result<Vec<String>> {
    let at = root().join("events").join(folder);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&at).with_context(|| format!("cannot read {}", at.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    Ok(names)
}

async fn ask_all(venv: &Venv, port: &str) -> anyhow::Result<()> {
    // The stack may have been told of these before, by another step: nothing here may ask for more than an answer that is right both times.
    let expected = [
        ("push", "codecommit/push.json", "no .bellhop.yaml at the commit"),
        ("push", "codecommit/trigger-test.json", "skipped"),
        ("task-state", "ecs/spot-warning.json", "no such build"),
        ("task-state", "ecs/foreign-service.json", "skipped"),
        ("build-state", "codebuild/succeeded.json", "no such build"),
        ("build-state", "codebuild/foreign.json", "skipped"),
        ("spot-interruption", "ec2/spot-warning.json", "in none of the suite's clusters"),
        ("spot-interruption", "ec2/spot-warning-stop.json", "in none of the suite's clusters"),
        (
            "spot-interruption",
            "ec2/spot-warning-hibernate.json",
            "in none of the suite's clusters",
        ),
        ("spot-interruption", "ec2/rebalance.json", "in none of the suite's clusters"),
        ("alarm", "alarm/alarm.json", "\"state\":\"ALARM\""),
        ("alarm", "alarm/in-sns.json", "ignored: seen before"),
        ("alarm", "alarm/contributor.json", "\"alarm\":\"dead-letters\""),
        ("pipeline", "codepipeline/misspelt.json", "refused"),
        ("pipeline", "codepipeline/state-change.json", "skipped"),
        ("control", "control/list.json", "\"runs\""),
        ("control", "control/misspelt.json", "did you mean repository?"),
        ("backup", "backup/completed.json", "no backup of this suite has started it"),
        ("backup", "backup/misspelt.json", "did you mean time?"),
        ("backup", "schedule/backups.json", "backups"),
        ("sweep", "schedule/sweep.json", "\"due\""),
    ];
    let mut all: Vec<(&str, String, &str)> = expected.map(|(function, event, part)| (function, event.to_owned(), part)).to_vec();
    for (function, folder) in [("spot-interruption", "ec2"), ("alarm", "alarm"), ("backup", "backup")] {
        for sample in samples(folder)? {
            if !all.iter().any(|(_, event, _)| *event == sample) {
                // Whatever it comes to, it is answered.
                all.push((function, sample, ""));
            }
        }
    }
    for (function, event, expected) in all {
        let begun = Instant::now();
        let answer = loop {
            let mut invoke = Command::new(venv.program("cargo-lambda"));
            invoke.current_dir(root().join("events"));
            invoke.args(["lambda", "invoke", function, "--invoke-port", port, "--data-file", &event]);
            match run_silently("cargo lambda invoke", &mut invoke, |_| {}).await {
                Ok(answer) => break answer,
                // The server needs a moment before it listens.
                Err(error) if begun.elapsed() > FIRST_ANSWER || !error.to_string().contains("Connection refused") => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        ensure!(answer.contains(expected), "{function} answered events/{event} with {answer}");
        println!("{function} {event}: {}", answer.trim());
    }
    Ok(())
}
