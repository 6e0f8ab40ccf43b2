//! A stand-in with more of everything than fits on a page, for clients that AWS wrote.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use bellhop_domain::alarm::AlarmState;
use bellhop_stand_in::{Agents, AlarmType, Change, Options, ProcessOptions, Project, StandIn, Timing, code_sha256};
use jiff::Timestamp;
use tokio::process::Command;
use xtask::workspace::{git, run_openly, run_silently};

use crate::bare::PROJECT;

/// How many there are of each thing.
const MANY: usize = 25;
/// The cluster with the instances, tasks and services.
const CLUSTER: &str = "ci-main";
/// The repository.
const REPOSITORY: &str = "shop";
/// The vault with the recovery points.
const VAULT: &str = "ci";
/// The vault with one recovery point, which is deleted.
const OTHER_VAULT: &str = "other";
/// The function with the versions.
const FUNCTION: &str = "shop";
/// What is backed up.
const TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders";

/// Runs a program with the stand-in's address as `AWS_ENDPOINT_URL` in its environment, and the two commits between which many files differ in
/// `BELLHOP_COMMITS`. Tasks are processes that wait until they are stopped, and builds stay in their queue.
///
/// # Errors
/// Something could not be set up, or the program failed.
pub(crate) async fn run(program: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = program.split_first().context("no program")?;
    let folder = tempfile::Builder::new().prefix("bellhop-pages-").tempdir()?;
    let at = folder.path();
    let entry_point = at.join("wait");
    std::fs::write(&entry_point, "trap 'exit 0' TERM\nsleep 600 &\nwait\n")?;
    let stand_in = StandIn::start(Options {
        timing: Timing::quick(),
        agents: Agents::Processes(ProcessOptions {
            entry_point,
            environment: BTreeMap::new(),
            work: at.join("work"),
            logs: at.join("logs"),
        }),
        ..Options::new(at.join("repositories"))
    })
    .await?;
    let commits = fill(&stand_in, at).await?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("AWS_ENDPOINT_URL", stand_in.endpoint())
        .env("BELLHOP_COMMITS", commits.join(" "));
    let done = run_openly(&program.to_string_lossy(), &mut command).await;
    stand_in.stop().await;
    done
}

/// A function with many versions and an alias, and one without.
fn fill_functions(stand_in: &StandIn) -> anyhow::Result<()> {
    let functions = stand_in.lambda();
    functions.create_function("oven", b"first");
    functions.create_function(FUNCTION, b"first");
    for number in 0..MANY {
        let sha256 = code_sha256(&number.to_le_bytes());
        let takes = Duration::ZERO;
        functions.change(FUNCTION, Change::Code { sha256, takes })?;
        functions.change(FUNCTION, Change::Publish)?;
    }
    let alias = Change::Alias {
        name: "live".to_owned(),
        version: "1".to_owned(),
        weights: BTreeMap::new(),
    };
    functions.change(FUNCTION, alias)
}

/// Puts everything there that cannot be asked for, and gives the two commits.
async fn fill(stand_in: &StandIn, folder: &Path) -> anyhow::Result<[String; 2]> {
    let clusters: Vec<String> = (0..MANY).map(|number| format!("other-{number}")).collect();
    stand_in.ecs().set_clusters(clusters.iter().map(String::as_str).chain([CLUSTER]));
    for _ in 0..MANY {
        stand_in.ecs().add_instance(CLUSTER, "instances");
        stand_in.backup().add_point(TABLE, VAULT, Duration::from_secs(60));
    }
    stand_in.backup().add_point(TABLE, OTHER_VAULT, Duration::from_secs(60));
    for service in ["jenkins", "controller", "retired"] {
        stand_in.ecs().add_service(CLUSTER, service, Timestamp::now());
    }
    stand_in.ecs().delete_service(CLUSTER, "retired");
    for project in [PROJECT, "ci-other"] {
        stand_in.codebuild().create_project(Project::new(project))?;
    }
    stand_in.step_functions().create_state_machine("release");
    fill_functions(stand_in)?;
    for number in 0..MANY {
        let name = format!("alarm-{number:02}");
        stand_in.cloudwatch().set_alarm(AlarmType::Metric, &name, AlarmState::Ok);
    }
    for (looks_at, name) in [(AlarmType::Composite, "whole"), (AlarmType::Log, "logs")] {
        stand_in.cloudwatch().set_alarm(looks_at, name, AlarmState::Ok);
    }

    stand_in.codecommit().create(REPOSITORY).await?;
    let clone = folder.join("clone");
    let url = stand_in.codecommit().clone_url(REPOSITORY);
    run_silently("git", &mut git(folder, ["clone", "--quiet", &url, "clone"]), |_| {}).await?;
    let mut commits = [const { String::new() }; 2];
    for (number, commit) in commits.iter_mut().enumerate() {
        for file in 0..MANY {
            std::fs::write(clone.join(format!("file-{file}")), number.to_string())?;
        }
        for arguments in [&["add", "."][..], &["commit", "--quiet", "--message", "All"], &["push", "--quiet"]] {
            run_silently("git", &mut git(&clone, arguments), |_| {}).await?;
        }
        let head = run_silently("git", &mut git(&clone, ["rev-parse", "HEAD"]), |_| {}).await?;
        head.trim().clone_into(commit);
    }
    Ok(commits)
}
