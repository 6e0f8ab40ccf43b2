//! There may be no capacity, or none that may be asked for now.

use std::time::{Duration, Instant};

use bellhop_domain::build::BuildState;
use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use jiff::Timestamp;

use crate::words::{MINUTE, NO_CAPACITY, SECOND, attempts, cause};

/// The time before which a queued build is not launched.
async fn not_before(world: &World) -> Timestamp {
    match world.build("test").await.state {
        BuildState::Queued { not_before } => not_before,
        other => panic!("the build is not queued: {other:?}"),
    }
}

#[tokio::test]
async fn without_spot_capacity_the_same_attempt_goes_to_on_demand_at_once() {
    let world = World::new().await;
    world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::NoCapacity).capacity("FARGATE_SPOT"));

    world.start().await;

    let tasks = world.tasks();
    assert_eq!(tasks.len(), 1);
    assert_eq!((tasks[0].capacity.as_str(), tasks[0].cluster.as_str()), ("FARGATE", "ci-main"));
    assert_eq!(tasks[0].environment["BELLHOP_ATTEMPT"], "1");
    assert_eq!(tasks[0].environment["BELLHOP_CAPACITY"], "on-demand");
    let build = world.build("test").await;
    assert_eq!(attempts(&build), ["1 on-demand launching"]);
    assert_eq!(build.retries, [0, 0]);
    let launches = world.journal().of("ecs", "RunTask");
    let tokens: Vec<_> = launches
        .iter()
        .map(|launch| &launch.request.as_ref().unwrap()["clientToken"])
        .collect();
    assert_ne!(tokens[0], tokens[1]);
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn spot_capacity_that_is_missed_after_the_launch_leads_to_on_demand_at_once_too() {
    let world = World::new().await;
    world.start().await;

    let events = world.ecs().fail_to_start(&world.task(0), NO_CAPACITY).unwrap();
    world.task_events(&events).await;

    let tasks = world.tasks();
    assert_eq!(tasks.len(), 2);
    assert_eq!(tasks[1].capacity, "FARGATE");
    assert_eq!(tasks[1].started_by, tasks[0].started_by);
    assert_eq!(attempts(&world.build("test").await), ["1 on-demand launching"]);

    world.runs(&world.task(1)).await;
    world.exits(&world.task(1), 0).await;
    assert_eq!(attempts(&world.build("test").await), ["1 on-demand succeeded"]);
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);
}

/// Refuses every launch in this way, and follows the build until it is launched all the same.
async fn a_refused_launch_waits(fault: Fault, capacity: &str, words: &str) {
    let world = World::new().await;
    let rule = world.faults().inject(Rule::new("ecs", "RunTask", fault).times(Times::Always));

    world.start().await;

    let build = world.build("test").await;
    assert_eq!(build.status(), "queued");
    assert_eq!(attempts(&build), [format!("1 {capacity} waiting")]);
    let refusal = build.attempts[0].last_refusal.as_ref().unwrap();
    assert!(refusal.contains(words), "{refusal}");

    let mut waits = Vec::new();
    for _ in 0..3 {
        let now = world.engine().clock.now();
        let wait = not_before(&world).await.duration_since(now);
        waits.push(wait.as_secs_f64());
        let asked = world.faults().fired(rule);
        world.sweep().await.unwrap();
        assert_eq!(world.faults().fired(rule), asked, "it was too early");
        world.sweep_after(wait.unsigned_abs() + SECOND).await.unwrap();
        assert!(world.faults().fired(rule) > asked, "it was due");
    }
    assert!(waits[0] > 8.0 && waits[1] > waits[0] && waits[2] > waits[1], "{waits:?}");
    assert_eq!(world.build("test").await.attempts.len(), 1);

    world.faults().clear();
    world.sweep_after(5 * MINUTE).await.unwrap();
    assert_eq!(attempts(&world.build("test").await), [format!("1 {capacity} launching")]);
    assert_eq!(world.tasks().len(), 1);
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn without_any_capacity_a_build_waits() {
    a_refused_launch_waits(Fault::NoCapacity, "on-demand", "Capacity").await;
}

/// Throttles a launch in this way, and the next one. The SDK tries neither again.
async fn a_throttled_launch_waits_for_its_turn(fault: Fault) {
    let world = World::new().await;
    let rule = world.faults().inject(Rule::new("ecs", "RunTask", fault).times(Times::Next(2)));

    world.start().await;

    let build = world.build("test").await;
    assert_eq!((build.status(), attempts(&build)), ("queued", vec!["1 spot waiting".to_owned()]));
    assert_eq!(world.faults().fired(rule), 1);
    let refusal = build.attempts[0].last_refusal.as_ref().unwrap();
    assert!(refusal.contains("Rate exceeded"), "{refusal}");
    assert_eq!(build.next_try(), None);

    // The launcher was woken, and goes on until it is through.
    let begun = Instant::now();
    let answer = loop {
        if let Some(answer) = world.timed().await {
            break answer;
        }
        assert!(begun.elapsed() < MINUTE, "the launcher was not woken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    answer.unwrap();
    assert!(begun.elapsed() < 5 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(world.faults().fired(rule), 2);
    assert_eq!(attempts(&world.build("test").await), ["1 spot launching"]);
    assert_eq!(world.tasks().len(), 1);
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_throttled_launch_waits_in_the_launch_queue() {
    a_throttled_launch_waits_for_its_turn(Fault::Throttle).await;
}

#[tokio::test]
async fn a_launch_whose_throttle_looks_like_a_bad_request_waits_in_the_launch_queue() {
    a_throttled_launch_waits_for_its_turn(Fault::DisguisedThrottle).await;
}

#[tokio::test]
async fn a_launch_beyond_the_accounts_limit_waits() {
    a_refused_launch_waits(Fault::AccountLimit, "spot", "reached the limit").await;
}

#[tokio::test]
async fn on_demand_capacity_that_is_missed_after_the_launch_costs_no_retry() {
    let world = World::with_pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, critical: true }\n").await;
    world.start().await;

    let events = world.ecs().fail_to_start(&world.task(0), NO_CAPACITY).unwrap();
    world.task_events(&events).await;

    let build = world.build("test").await;
    assert_eq!(build.status(), "queued");
    assert_eq!(build.retries, [0, 0]);
    assert!(world.told().await.is_empty());
    world.sweep_after(MINUTE).await.unwrap();
    assert_eq!(
        attempts(&world.build("test").await),
        ["1 on-demand infrastructure-failed", "2 on-demand launching"]
    );
}

#[tokio::test]
async fn a_build_waits_no_longer_than_its_queue_timeout() {
    let world = World::with_pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, queue-timeout: 10m }\n").await;
    let rule = Rule::new("ecs", "RunTask", Fault::AccountLimit).times(Times::Always);
    world.faults().inject(rule);
    world.start().await;

    world.sweep_after(9 * MINUTE).await.unwrap();
    assert_eq!(world.build("test").await.status(), "queued");
    world.sweep_after(MINUTE).await.unwrap();

    let build = world.build("test").await;
    assert_eq!(build.status(), "timed-out");
    let cause = cause(&build).unwrap();
    assert!(
        cause.starts_with("no agent within its queue-timeout of 10m: ")
            && cause.ends_with("You've reached the limit on the number of tasks you can run concurrently"),
        "{cause}"
    );
    let messages = world.messages().await;
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message.document["status"] == "timed-out"));
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_launch_that_can_never_succeed_ends_the_build() {
    let world = World::new().await;
    world.ecs().deny_task_definition("bellhop-agent-small");

    world.start().await;

    let build = world.build("test").await;
    assert_eq!(build.status(), "infrastructure-failed");
    assert_eq!(
        cause(&build).unwrap(),
        "the agent cannot be launched: ClientException: TaskDefinition not found."
    );
    assert_eq!(
        world.told().await,
        ["build test infrastructure-failed", "run infrastructure-failed"]
    );
}
