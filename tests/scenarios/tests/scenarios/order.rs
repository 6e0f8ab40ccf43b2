//! Events come in any order.

use std::fmt::Write as _;
use std::time::Duration;

use bellhop_domain::build::Build;
use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, TaskView};
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::words::attempts;

/// How many builds are told of at the same time.
const SIDE_BY_SIDE: usize = 4;

/// All orders of four things.
fn orders() -> Vec<[usize; 4]> {
    let mut orders = Vec::new();
    for first in 0..4 {
        for second in (0..4).filter(|place| *place != first) {
            for third in (0..4).filter(|place| ![first, second].contains(place)) {
                let fourth = 6 - first - second - third;
                orders.push([first, second, third, fourth]);
            }
        }
    }
    orders
}

fn job(place: usize) -> String {
    format!("job-{place:02}")
}

/// A run with a job for each order.
async fn world() -> World {
    let mut pipeline = "version: 1\njobs:\n".to_owned();
    for place in 0..orders().len() {
        writeln!(pipeline, "  {}: {{ agent: small, run: make test }}", job(place)).unwrap();
    }
    let world = World::with_pipeline(&pipeline).await;
    world.start().await;
    world
}

/// The newest task of a job.
fn task(world: &World, job: &str) -> String {
    let tasks = world.tasks();
    let of_job = tasks.iter().rev().find(|task| task.environment["BELLHOP_JOB"] == job);
    of_job.unwrap().arn.clone()
}

/// An event of a task by its stage, and by whether the task was to be stopped then.
fn event(events: &[Value], last_status: &str, desired_status: &str) -> Value {
    let fits = |event: &&Value| event["detail"]["lastStatus"] == last_status && event["detail"]["desiredStatus"] == desired_status;
    events.iter().find(fits).unwrap().clone()
}

/// Lets every job's task live the same life, tells the four events of it to each in another order, and gives what became of the builds.
async fn in_every_order(world: &World, live: impl Fn(&str), stages: [(&str, &str); 4]) -> Vec<Build> {
    let stories = orders().into_iter().enumerate().map(|(place, order)| {
        let task = task(world, &job(place));
        live(&task);
        let all = world.ecs().events_of(&task);
        let events: Vec<Value> = order.iter().map(|place| event(&all, stages[*place].0, stages[*place].1)).collect();
        async move { world.task_events(&events).await }
    });
    stream::iter(stories).buffer_unordered(SIDE_BY_SIDE).collect::<Vec<()>>().await;
    let mut builds = Vec::new();
    for place in 0..orders().len() {
        builds.push(world.build(&job(place)).await);
    }
    builds
}

/// One line for each job, and the run's.
fn told(status: &str, of_run: Option<&str>) -> Vec<String> {
    let lines = (0..orders().len()).map(|place| format!("build {} {status}", job(place)));
    lines.chain(of_run.map(str::to_owned)).collect()
}

const TO_THE_END: [(&str, &str); 4] = [
    ("PROVISIONING", "RUNNING"),
    ("RUNNING", "RUNNING"),
    ("STOPPING", "STOPPED"),
    ("STOPPED", "STOPPED"),
];

#[tokio::test]
async fn a_success_is_one_in_whatever_order_it_is_told() {
    let world = world().await;
    let live = |task: &str| {
        world.ecs().run(task).unwrap();
        world.ecs().exit(task, 0).unwrap();
    };
    for build in in_every_order(&world, live, TO_THE_END).await {
        assert_eq!(build.status(), "succeeded");
        assert_eq!(attempts(&build), ["1 spot succeeded"]);
        assert!(build.strays.is_empty() && build.due().is_none());
    }
    assert_eq!(world.run().await.status(), "succeeded");
    assert_eq!(world.told().await, told("succeeded", Some("run succeeded")));
    assert_eq!(world.tasks().len(), orders().len());
}

#[tokio::test]
async fn a_failure_is_one_in_whatever_order_it_is_told() {
    let world = world().await;
    let live = |task: &str| {
        world.ecs().run(task).unwrap();
        world.ecs().exit(task, 3).unwrap();
    };
    for build in in_every_order(&world, live, TO_THE_END).await {
        assert_eq!(build.status(), "failed");
        assert_eq!(attempts(&build), ["1 spot failed"]);
        assert!(build.strays.is_empty() && build.due().is_none());
    }
    assert_eq!(world.run().await.status(), "failed");
    assert_eq!(world.told().await, told("failed", Some("run failed")));
    assert_eq!(world.tasks().len(), orders().len());
}

#[tokio::test]
async fn an_interruption_is_one_in_whatever_order_it_is_told() {
    let world = world().await;
    let live = |task: &str| {
        world.ecs().run(task).unwrap();
        world.ecs().warn(task).unwrap();
        world.ecs().interrupt(task, 143).unwrap();
    };
    let stages = [
        ("RUNNING", "RUNNING"),
        ("RUNNING", "STOPPED"),
        ("STOPPING", "STOPPED"),
        ("STOPPED", "STOPPED"),
    ];
    for build in in_every_order(&world, live, stages).await {
        assert_eq!(attempts(&build), ["1 spot interrupted", "2 on-demand launching"]);
        assert_eq!(build.retries, [1, 0]);
        assert!(build.strays.is_empty() && build.outbox.pending().is_empty());
    }
    assert_eq!(world.tasks().len(), 2 * orders().len());
    assert_eq!(world.told().await, told("retrying", None));

    let live = |task: &str| {
        world.ecs().run(task).unwrap();
        world.ecs().exit(task, 0).unwrap();
    };
    for build in in_every_order(&world, live, TO_THE_END).await {
        assert_eq!(build.status(), "succeeded");
        assert_eq!(attempts(&build), ["1 spot interrupted", "2 on-demand succeeded"]);
    }
    assert_eq!(world.run().await.status(), "succeeded");
    assert_eq!(world.told().await, told("succeeded", Some("run succeeded")));
}

#[tokio::test]
async fn events_may_overtake_the_reply_to_their_launch() {
    let world = World::new().await;
    world.ecs().set_run_at_once(true);
    // What is delayed is the commit of the reply.
    let delay = Fault::Delay(Duration::from_millis(400));
    world.faults().inject(Rule::new("dynamodb", "PutItem", delay));
    let push = world.push_event();

    let (answer, ()) = tokio::join!(world.push(&push), async {
        let is_up = |tasks: &[TaskView]| tasks.first().map(|task| task.arn.clone());
        let task = world.ecs().wait_for(Duration::from_secs(10), is_up).await.unwrap();
        while world.journal().of("dynamodb", "PutItem").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.ecs().exit(&task, 0).unwrap();
        world.task_events(&world.ecs().events_of(&task)).await;
    });

    assert_eq!(answer.unwrap()[0]["builds"], 1);
    let build = world.build("test").await;
    assert_eq!(attempts(&build), ["1 spot succeeded"]);
    assert!(build.outbox.pending().is_empty() && build.strays.is_empty());
    assert_eq!(world.tasks().len(), 1);
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);
}
