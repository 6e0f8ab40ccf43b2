//! Every command that the local AWS prints for people, run as they would; and every function called by hand with its sample events.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::Entry;
use tokio::process::Command;
use xtask::workspace::{Group, root, run_silently, target, without_package};

use crate::bare::free_port;
use crate::local::{self, Line, SCHEDULE, SET_ALARM, SOURCE, WATCH};
use crate::shop::Shop;
use crate::stack::Stack;

/// How long `cargo lambda` may take for a function's first answer; it has cargo look at everything first.
const FIRST_ANSWER: Duration = Duration::from_secs(300);
/// How long what a deployed function does may take: the shop's pushed commit until its run is logged, an alarm until people are told, a schedule until it has come.
const DONE: Duration = Duration::from_secs(30);

/// What functions answer to samples: the function, the sample, a part of the answer. Every sample in a printed command must be here. The stack
/// may know an event from the line before: nothing here asks for more than an answer that is right both times.
const ANSWERS: &[(&str, &str, &str)] = &[
    ("push", "target/push.json", "\"builds\":1"),
    ("push", "events/codecommit/push.json", "the repository has no such commit"),
    ("push", "events/codecommit/trigger-test.json", "skipped"),
    ("task-state", "events/ecs/spot-warning.json", "no such build"),
    ("task-state", "events/ecs/foreign-service.json", "skipped"),
    ("build-state", "events/codebuild/succeeded.json", "no such build"),
    ("build-state", "events/codebuild/foreign.json", "skipped"),
    (
        "spot-interruption",
        "events/ec2/spot-warning.json",
        "in none of the suite's clusters",
    ),
    (
        "spot-interruption",
        "events/ec2/spot-warning-stop.json",
        "in none of the suite's clusters",
    ),
    (
        "spot-interruption",
        "events/ec2/spot-warning-hibernate.json",
        "in none of the suite's clusters",
    ),
    ("spot-interruption", "events/ec2/rebalance.json", "in none of the suite's clusters"),
    ("alarm", "events/alarm/alarm.json", "\"state\":\"ALARM\""),
    ("alarm", "events/alarm/in-sns.json", "ignored: a duplicate"),
    ("alarm", "events/alarm/contributor.json", "\"alarm\":\"dead-letters\""),
    ("pipeline", "events/codepipeline/misspelt.json", "refused"),
    ("pipeline", "events/codepipeline/state-change.json", "skipped"),
    ("control", "events/control/list.json", "\"runs\""),
    ("control", "events/control/misspelt.json", "did you mean repository?"),
    ("backup", "events/backup/check.json", "backups"),
    ("backup", "events/backup/completed.json", "this suite did not start the job"),
    ("backup", "events/backup/misspelt.json", "did you mean time?"),
    ("backup", "events/schedule/backups.json", "backups"),
    ("sweep", "events/schedule/sweep.json", "\"due\""),
];

/// Parts of what other commands print.
const PRINTED: &[(&str, &str)] = &[
    ("aws dynamodb scan", "\"Items\""),
    ("aws logs", "run started"),
    ("tail -n 20", ""),
    ("curl -fsS $AWS_ENDPOINT_URL/_stand-in/tasks", "\"taskDefinition\""),
    ("curl -fsS -X POST", "\"reclaimed\""),
    (
        "curl -fsS $AWS_ENDPOINT_URL/_stand-in/faults",
        "\"fault\":\"no-capacity\",\"fired\":0",
    ),
    ("curl -fsS -X DELETE", "\"requests\":[]"),
    ("aws scheduler", "\"ScheduleArn\""),
];

/// Folders of samples of which each is given to a function, whatever it answers.
const SAMPLES: [(&str, &str); 3] = [("spot-interruption", "ec2"), ("alarm", "alarm"), ("backup", "backup")];

/// Runs every command.
///
/// # Errors
/// One failed, or was answered with something else than it should be.
pub(crate) async fn run() -> anyhow::Result<()> {
    let stack = Stack::start("INFO").await?;
    let shop = Shop::create(&stack).await?;
    shop.push().await?;
    let lines = local::lines(&stack, &shop).await?;
    let port = free_port()?;
    let log = target().join("cargo-lambda-watch.log");
    let output = std::fs::File::create(&log)?;
    let watch = shell(WATCH, port)
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .context("cannot start bash")?;
    // With cargo-lambda end the cargos that it started, and the functions that those run.
    let watch = Group(watch);
    let done = all(&stack, &lines, port).await;
    drop(watch);
    if let Err(error) = done {
        bail!("{error:#}\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }
    Ok(())
}

async fn all(stack: &Stack, lines: &[Line], port: u16) -> anyhow::Result<()> {
    for Line { command, .. } in lines {
        // The two that every other needs, and the one that does not end.
        if command == SOURCE || command == WATCH {
            continue;
        }
        let expected = match command.strip_prefix("cargo lambda invoke ") {
            Some(arguments) => answer_to(arguments)?,
            None => PRINTED
                .iter()
                .find(|(begin, _)| command.starts_with(begin))
                .map_or("", |(_, part)| part),
        };
        let answer = answered(command, port).await?;
        ensure!(answer.contains(expected), "`{command}` returned {answer}");
        println!("{command}: {}", answer.lines().next().unwrap_or("done"));
        // The functions behind the stack's rules and schedules, not those of `cargo lambda watch`, take these.
        if command.starts_with("git ") {
            let message = "the pushed commit started no run";
            until(message, async || Ok(logged(stack, "push", "run started").await? >= 2)).await?;
        }
        if command == SET_ALARM {
            until("no message about the alarm was published", async || Ok(is_told_of_alarm(stack))).await?;
        }
        if command == SCHEDULE {
            comes_twice(stack, port).await?;
        }
    }
    for (function, sample, expected) in more()? {
        let command = format!("cargo lambda invoke {function} --data-file {sample}");
        let answer = answered(&command, port).await?;
        ensure!(answer.contains(expected), "{function} returned {answer} for {sample}");
        println!("{function} {sample}: {}", answer.trim());
    }
    Ok(())
}

/// What `FUNCTION --data-file SAMPLE` is answered with.
fn answer_to(arguments: &str) -> anyhow::Result<&'static str> {
    let known = ANSWERS
        .iter()
        .find(|(function, sample, _)| arguments == format!("{function} --data-file {sample}"));
    let (.., expected) = known.with_context(|| format!("there is no expected answer for `{arguments}`"))?;
    Ok(expected)
}

/// The samples that are in no printed command, and those that are, once more.
fn more() -> anyhow::Result<Vec<(&'static str, String, &'static str)>> {
    let mut all: Vec<(&str, String, &str)> = ANSWERS
        .iter()
        .map(|(function, sample, part)| (*function, (*sample).to_owned(), *part))
        .collect();
    for (function, folder) in SAMPLES {
        let at = root().join("events").join(folder);
        for entry in std::fs::read_dir(&at).with_context(|| format!("cannot read {}", at.display()))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let sample = format!("events/{folder}/{name}");
            if name.ends_with(".json") && !all.iter().any(|(_, known, _)| *known == sample) {
                all.push((function, sample, ""));
            }
        }
    }
    // Pushed once, above: a second run of the same commit is none.
    all.retain(|(_, sample, _)| sample != "target/push.json");
    all.sort();
    Ok(all)
}

/// A command as a person gives it to a shell. Only cargo-lambda's port is another one: the usual one may be taken here.
fn shell(command: &str, port: u16) -> Command {
    let mut command = command.to_owned();
    if command.starts_with("cargo lambda ") {
        command.push_str(&format!(" --invoke-port {port}"));
    }
    let mut bash = Command::new("bash");
    without_package(&mut bash)
        .current_dir(root())
        .args(["-o", "errexit", "-o", "pipefail", "-c"])
        .arg(format!("{SOURCE}\n{command}"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    bash
}

/// What a command prints.
async fn answered(command: &str, port: u16) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        match run_silently(command, &mut shell(command, port), |_| {}).await {
            // cargo-lambda's server needs a moment before it listens.
            Err(error) if begun.elapsed() < FIRST_ANSWER && error.to_string().contains("Connection refused") => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            answer => return answer,
        }
    }
}

/// Waits until something is so.
async fn until(message: &str, is_so: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        ensure!(begun.elapsed() < DONE, "{message} within {} s", DONE.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// How many lines with a text a deployed function has logged.
async fn logged(stack: &Stack, function: &str, text: &str) -> anyhow::Result<usize> {
    let lines = stack.aws.log_lines(&format!("/aws/lambda/bellhop-{function}"), 0).await?;
    Ok(lines.iter().filter(|(_, line)| line.contains(text)).count())
}

/// Whether the deployed function has told people of the alarm whose state the command has set.
fn is_told_of_alarm(stack: &Stack) -> bool {
    let published = stack.stand_in.journal().of("sns", "Publish");
    let of_alarm =
        |entry: &&Entry| entry.caller.as_deref() == Some("bellhop-alarm") && entry.summary.starts_with("controller-disk-full is in ALARM");
    published.iter().any(|entry| of_alarm(&entry))
}

/// Has the schedule, which has been made once, come a second time, and waits for two runs: the same id would have started one.
async fn comes_twice(stack: &Stack, port: u16) -> anyhow::Result<()> {
    until("the schedule was not delivered", async || {
        Ok(logged(stack, "control", "agent launched").await? >= 1)
    })
    .await?;
    answered(SCHEDULE, port).await?;
    let message = "a schedule that was delivered twice did not start two runs";
    until(message, async || Ok(logged(stack, "control", "agent launched").await? >= 2)).await
}
