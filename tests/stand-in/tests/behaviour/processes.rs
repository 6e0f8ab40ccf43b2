//! Tasks that are real processes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bellhop_stand_in::{Agents, ProcessOptions, TaskView, Timing};
use serde_json::{Value, json};

use crate::support::{SOON, Setup, on_spot, stages, start_with};

/// An entry point that runs its arguments as a script, as the tests below give it.
const ENTRY_POINT: &str = "eval \"$*\"\n";

async fn start(timing: Timing) -> Setup {
    start_with(|options, folder| {
        let entry_point = folder.path().join("entry-point.sh");
        std::fs::write(&entry_point, ENTRY_POINT).unwrap();
        let environment = BTreeMap::from([("OF_THE_HOST".to_owned(), "yes".to_owned())]);
        options.timing = timing;
        options.agents = Agents::Processes(ProcessOptions {
            entry_point,
            environment,
            work: folder.path().join("work"),
            logs: folder.path().join("logs"),
        });
    })
    .await
}

async fn launch(setup: &Setup, script: &str) -> String {
    let mut request = on_spot("token");
    request["overrides"]["containerOverrides"][0]["command"] = json!([script]);
    setup.launch(&request).await
}

/// Launches a script that says `ready` when it has set its traps, and waits for that.
async fn launch_ready(setup: &Setup, script: &str) -> String {
    let task = launch(setup, script).await;
    let ready = async {
        while !setup.ecs().stdout(&task).is_ok_and(|output| output.contains("ready")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, ready).await.unwrap();
    task
}

async fn stopped(setup: &Setup, task: &str) -> TaskView {
    setup.ecs().wait_for_status(task, "STOPPED", SOON).await.unwrap()
}

fn is_alive(process: &str) -> bool {
    // A killed process is a zombie until whoever inherited it has waited for it.
    let state = std::fs::read_to_string(Path::new("/proc").join(process.trim()).join("stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

/// Waits until a killed process is gone: a kill takes effect a little after it was sent.
async fn gone(process: &str) {
    let gone = async {
        while is_alive(process) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
}

#[tokio::test]
async fn the_exit_code_is_the_process_s() {
    let setup = start(Timing::quick()).await;
    let task = launch(&setup, "echo $PWD $HOME; env | sort; exit 7").await;

    let view = stopped(&setup, &task).await;

    assert_eq!(view.exit_code, Some(7));
    assert_eq!(view.stop_code.as_deref(), Some("EssentialContainerExited"));
    let stages = stages(&setup.ecs().events_of(&task));
    assert_eq!(stages[3], "RUNNING RUNNING");
    assert_eq!(stages.len(), 8);
    let output = setup.ecs().stdout(&task).unwrap();
    let folder = setup.folder.path().join("work").join(&view.id);
    let folder = folder.display();
    assert!(output.starts_with(&format!("{folder} {folder}\n")), "{output}");
    let variables: Vec<_> = output
        .lines()
        .skip(1)
        .filter_map(|line| line.split('=').next())
        .filter(|name| !matches!(*name, "_" | "SHLVL" | "PWD" | "OLDPWD"))
        .collect();
    assert_eq!(
        variables,
        ["AWS_ACCESS_KEY_ID", "BELLHOP_ATTEMPT", "HOME", "LANG", "OF_THE_HOST", "PATH"]
    );
    setup.stop().await;
}

#[tokio::test]
async fn the_task_definition_gives_command_and_environment_too() {
    let setup = start(Timing::quick()).await;
    let definition = json!({
        "family": "agent-small",
        "containerDefinitions": [{
            "name": "agent",
            "image": "agent:1",
            "command": ["echo $DEFINED $BELLHOP_ATTEMPT"],
            "environment": [
                { "name": "DEFINED", "value": "defined" },
                { "name": "BELLHOP_ATTEMPT", "value": "overridden" },
            ],
        }],
    });
    setup.ecs_call("RegisterTaskDefinition", &definition).await;
    let mut request = on_spot("token");
    request["overrides"]["containerOverrides"][0]["command"] = Value::Null;
    let task = setup.launch(&request).await;

    let view = stopped(&setup, &task).await;

    assert_eq!(view.exit_code, Some(0));
    assert_eq!(setup.ecs().stdout(&task).unwrap(), "defined 1\n");
    setup.stop().await;
}

#[tokio::test]
async fn stop_task_terminates() {
    let setup = start(Timing::quick()).await;
    let script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let task = launch_ready(&setup, script).await;

    let request = json!({ "cluster": "ci-spot", "task": task, "reason": "Cancelled" });
    setup.ecs_call("StopTask", &request).await;

    let view = stopped(&setup, &task).await;
    assert_eq!(view.exit_code, Some(5));
    assert_eq!(view.stop_code.as_deref(), Some("UserInitiated"));
    assert_eq!(view.stopped_reason.as_deref(), Some("Cancelled"));
    assert!(setup.ecs().stdout(&task).unwrap().ends_with("bye\n"));
    setup.stop().await;
}

#[tokio::test]
async fn who_does_not_stop_in_time_is_killed_with_all_its_children() {
    let mut timing = Timing::quick();
    timing.stop_timeout = Duration::from_millis(100);
    let setup = start(timing).await;
    let script = "trap '' TERM; sleep 300 & echo $! > child; echo ready; wait; sleep 300";
    let task = launch_ready(&setup, script).await;

    setup.ecs_call("StopTask", &json!({ "cluster": "ci-spot", "task": task })).await;

    let view = stopped(&setup, &task).await;
    assert_eq!(view.exit_code, Some(137));
    let child = setup.folder.path().join("work").join(&view.id).join("child");
    gone(&std::fs::read_to_string(child).unwrap()).await;
    setup.stop().await;
}

#[tokio::test]
async fn a_task_is_stopped_before_it_runs() {
    let mut timing = Timing::quick();
    timing.provisioning = SOON;
    let setup = start(timing).await;
    let task = launch(&setup, "true").await;

    setup.ecs_call("StopTask", &json!({ "cluster": "ci-spot", "task": task })).await;

    let view = stopped(&setup, &task).await;
    assert_eq!((view.exit_code, view.started_at), (None, None));
    assert_eq!(view.stop_code.as_deref(), Some("UserInitiated"));
    setup.stop().await;
}

#[tokio::test]
async fn spot_warns_with_a_signal_and_then_kills() {
    let mut timing = Timing::quick();
    timing.spot_warning = Duration::from_secs(1);
    let setup = start(timing).await;
    let script = "trap 'echo warned' TERM; echo ready; while :; do sleep 0.01; done";
    let task = launch_ready(&setup, script).await;
    assert!(setup.ecs().warn(&task).is_err(), "processes are not scripted");

    let url = format!("{}/_stand-in/reclaim-spot", setup.endpoint());
    let answer = setup.client.post(url).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["reclaimed"], json!([task]));

    let view = stopped(&setup, &task).await;
    assert_eq!(view.exit_code, Some(137));
    assert_eq!(view.stop_code.as_deref(), Some("SpotInterruption"));
    assert!(setup.ecs().stdout(&task).unwrap().contains("warned"));
    let stages = stages(&setup.ecs().events_of(&task));
    assert_eq!(stages[4], "RUNNING STOPPED SpotInterruption");
    assert_eq!(stages[8], "STOPPED STOPPED SpotInterruption");
    setup.stop().await;
}

#[tokio::test]
async fn an_interrupted_task_that_finishes_in_time_is_still_interrupted() {
    let setup = start(Timing::quick()).await;
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let task = launch_ready(&setup, script).await;

    setup.ecs().reclaim_spot(&task).unwrap();

    let view = stopped(&setup, &task).await;
    assert_eq!(view.exit_code, Some(0));
    assert_eq!(view.stop_code.as_deref(), Some("SpotInterruption"));
    setup.stop().await;
}

#[tokio::test]
async fn an_entry_point_that_is_not_there_fails_to_start() {
    let setup = start(Timing::quick()).await;
    std::fs::remove_file(setup.folder.path().join("entry-point.sh")).unwrap();
    let task = launch(&setup, "true").await;

    let view = stopped(&setup, &task).await;

    assert_eq!(view.stop_code.as_deref(), Some("TaskFailedToStart"));
    let reason = view.stopped_reason.unwrap();
    assert!(reason.starts_with("CannotStartContainerError"), "{reason}");
    setup.stop().await;
}

#[tokio::test]
async fn no_process_outlives_the_stand_in() {
    let setup = start(Timing::quick()).await;
    let task = launch_ready(&setup, "echo $$ > leader; echo ready; sleep 300; true").await;
    let id = setup.ecs().task(&task).unwrap().id;
    let leader = setup.folder.path().join("work").join(id).join("leader");
    let leader = std::fs::read_to_string(leader).unwrap();
    assert!(is_alive(&leader));

    setup.stop().await;

    gone(&leader).await;
    assert_eq!(setup.ecs().task(&task).unwrap().last_status, "RUNNING");
}

#[test]
fn no_process_outlives_a_test_that_does_not_stop_its_stand_in() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap()
    };
    let forgetful = runtime();
    let (setup, leader) = forgetful.block_on(async {
        let setup = start(Timing::quick()).await;
        let task = launch_ready(&setup, "echo $$ > leader; echo ready; sleep 300; true").await;
        let id = setup.ecs().task(&task).unwrap().id;
        let leader = setup.folder.path().join("work").join(id).join("leader");
        (setup, std::fs::read_to_string(leader).unwrap())
    });
    assert!(is_alive(&leader));

    drop(forgetful);

    runtime().block_on(gone(&leader));
    drop(setup);
}
