//! Every check and test there is.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use crate::demo;
use crate::functions;
use crate::python::Venv;
use crate::stack::{Stack, free_port};
use crate::workspace::{cargo, root, run_openly, run_silently, target};

/// How long `cargo lambda` may take for a function's first answer; it has cargo look at everything first.
const FIRST_ANSWER: Duration = Duration::from_secs(300);

/// Runs everything, cheapest first, up to the first failure.
///
/// # Errors
/// Something failed; its own output says what.
pub(crate) async fn run() -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut steps = Steps::default();
    steps.cargo("Format", &["fmt", "--all", "--check"], &[]).await?;
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
    steps.cargo("Lints", &lints, &[]).await?;

    let venv = Venv::local_aws().await?;
    let cargo_lambda = Venv::cargo_lambda().await?;
    let scripts = root().join("tests/local");
    let mut template = python(&venv, &scripts);
    template.arg("check_template.py").arg(root().join("infra/template.yaml"));
    steps.run("Template: samtranslator, cfn-lint", &mut template).await?;
    for suite in ["test_rules", "test_entrypoint"] {
        let mut tests = python(&venv, &scripts);
        tests.args(["-m", "unittest", suite]);
        steps.run(&format!("Python: {suite}"), &mut tests).await?;
    }

    let binaries = functions::build().await?;
    let stack = Stack::start(&venv).await?;
    let environment = [
        ("BELLHOP_LOCAL_AWS", stack.ministack_url().to_owned()),
        ("BELLHOP_TABLE", stack.output("TableName")?.to_owned()),
        ("BELLHOP_BINARIES", binaries.display().to_string()),
    ];
    let tests = ["test", "--quiet", "--workspace", "--all-features", "--no-fail-fast"];
    steps.cargo("Rust", &tests, &environment).await?;
    steps.note("cargo lambda watch and invoke", cargo_lambda_answers(&stack, &cargo_lambda).await?);
    drop(stack);

    let demo = Instant::now();
    demo::run(false).await?;
    steps.note("Demo", demo.elapsed());

    println!("\nAll checks and tests passed:");
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
        println!("\n== {what}");
        let begun = Instant::now();
        run_openly(what, command).await?;
        self.note(what, begun.elapsed());
        Ok(())
    }

    async fn cargo(&mut self, what: &str, arguments: &[&str], environment: &[(&str, String)]) -> anyhow::Result<()> {
        let mut command = cargo();
        command.args(arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        self.run(what, &mut command).await
    }

    fn note(&mut self, what: &str, took: Duration) {
        self.done.push((what.to_owned(), took));
    }
}

fn python(venv: &Venv, folder: &Path) -> Command {
    let mut command = Command::new(venv.program("python"));
    command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// README's way of calling the functions by hand, tried: each answers a sample event as it should. Gives how long that took.
async fn cargo_lambda_answers(stack: &Stack, venv: &Venv) -> anyhow::Result<Duration> {
    println!("\n== cargo lambda watch and invoke");
    let begun = Instant::now();
    let port = free_port()?.to_string();
    let log = std::fs::File::create(target().join("cargo-lambda-watch.log"))?;
    let environment = stack.environment()?;
    let mut watch = Command::new(venv.program("cargo-lambda"));
    watch
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
    Ok(begun.elapsed())
}

async fn ask_all(venv: &Venv, port: &str) -> anyhow::Result<()> {
    let expected = [
        ("push", "codecommit/push.json", "no .bellhop.yaml at the commit"),
        ("push", "codecommit/trigger-test.json", "skipped"),
        ("task-state", "ecs/spot-warning.json", "no such build"),
        ("task-state", "ecs/foreign-service.json", "skipped"),
        ("sweep", "schedule/sweep.json", "\"due\""),
    ];
    for (function, event, expected) in expected {
        let begun = Instant::now();
        let answer = loop {
            let mut invoke = Command::new(venv.program("cargo-lambda"));
            invoke.current_dir(root().join("events"));
            invoke.args(["lambda", "invoke", function, "--invoke-port", port, "--data-file", event]);
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
