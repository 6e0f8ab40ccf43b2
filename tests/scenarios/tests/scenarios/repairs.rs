//! What the sweep finds and mends.

use bellhop_domain::run::Run;
use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::json;

use crate::words::{MINUTE, attempts};

/// As often as the SDK tries a request.
const ALL_TRIES: Times = Times::Next(3);

#[tokio::test]
async fn a_launch_that_was_committed_and_not_performed_is_performed_later() {
    let world = World::new().await;
    world.faults().inject(Rule::new("ecs", "RunTask", Fault::Refuse).times(ALL_TRIES));
    world.push(&world.push_event()).await.unwrap_err();
    assert!(world.tasks().is_empty());

    assert_eq!(world.sweep().await.unwrap(), json!({ "due": 0, "advanced": 0, "left": 0 }));
    assert!(world.tasks().is_empty());
    assert_eq!(
        world.sweep_after(2 * MINUTE).await.unwrap(),
        json!({ "due": 1, "advanced": 1, "left": 0 })
    );

    assert_eq!(world.tasks().len(), 1);
    assert_eq!(attempts(&world.build("test").await), ["1 spot launching"]);
}

#[tokio::test]
async fn a_replacement_that_was_committed_and_not_launched_is_launched_by_whatever_comes_next() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    let warning = world.ecs().warn(&first).unwrap().remove(0);
    world.faults().inject(Rule::new("ecs", "RunTask", Fault::Refuse).times(ALL_TRIES));
    world.task_event(&warning).await.unwrap_err();
    assert_eq!(world.tasks().len(), 1);

    world.clock.advance(2 * MINUTE);
    world.task_event(&warning).await.unwrap();

    assert_eq!(world.tasks().len(), 2);
    assert_eq!(world.told().await, ["build test retrying"]);
}

#[tokio::test]
async fn what_could_not_be_told_is_told_later() {
    let world = World::new().await;
    world.start().await;
    world.runs(&world.task(0)).await;
    let events = world.ecs().exit(&world.task(0), 1).unwrap();
    world
        .faults()
        .inject(Rule::new("sns", "Publish", Fault::ServerError).times(Times::Always));

    world.task_event(events.last().unwrap()).await.unwrap_err();
    assert_eq!(world.build("test").await.status(), "failed");
    assert!(world.told().await.is_empty());

    world.faults().clear();
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(world.told().await, ["build test failed", "run failed"]);
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_report_that_could_not_be_written_is_written_later() {
    let world = World::new().await;
    world.start().await;
    world.runs(&world.task(0)).await;
    let events = world.ecs().exit(&world.task(0), 0).unwrap();
    world
        .faults()
        .inject(Rule::new("s3", "PutObject", Fault::ServerError).times(ALL_TRIES));
    world.task_event(events.last().unwrap()).await.unwrap_err();

    world.sweep_after(2 * MINUTE).await.unwrap();

    assert_eq!(world.report().await["status"], "succeeded");
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);
}

#[tokio::test]
async fn a_build_whose_every_event_is_lost_is_finished_by_the_sweep() {
    let world = World::new().await;
    world.start().await;
    let task = world.task(0);

    world.ecs().run(&task).unwrap();
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(world.build("test").await.status(), "running");

    world.ecs().exit(&task, 0).unwrap();
    world.sweep_after(6 * MINUTE).await.unwrap();
    assert_eq!(world.build("test").await.status(), "succeeded");
    assert_eq!(world.run().await.status(), "succeeded");
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);

    world.task_events(&world.ecs().events_of(&task)).await;
    assert_eq!(attempts(&world.build("test").await), ["1 spot succeeded"]);
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn an_interruption_whose_events_are_lost_is_found_by_the_sweep() {
    let world = World::new().await;
    world.start().await;
    let task = world.task(0);
    world.runs(&task).await;
    world.ecs().warn(&task).unwrap();
    world.ecs().interrupt(&task, 143).unwrap();

    world.sweep_after(6 * MINUTE).await.unwrap();

    assert_eq!(
        attempts(&world.build("test").await),
        ["1 spot interrupted", "2 on-demand launching"]
    );
}

#[tokio::test]
async fn a_stop_that_failed_is_repeated() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    world.is_warned(&first).await;
    let second = world.task(1);
    world.runs(&second).await;
    let events = world.ecs().exit(&second, 0).unwrap();
    world
        .faults()
        .inject(Rule::new("ecs", "StopTask", Fault::ServerError).times(ALL_TRIES));
    world.task_event(events.last().unwrap()).await.unwrap_err();
    let told = ["build test retrying", "build test succeeded", "run succeeded"];
    assert_eq!(world.told().await, told, "one failed effect does not hold up the others");

    world.sweep_after(2 * MINUTE).await.unwrap();

    assert_eq!(world.journal().of("ecs", "StopTask").last().unwrap().status, Some(200));
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_second_run_that_cannot_be_launched_does_not_hold_up_the_first() {
    let world = World::new().await;
    world.start().await;
    let first = world.newest_run();
    let task = world.task(0);
    world.ecs().run(&task).unwrap();
    world.ecs().exit(&task, 0).unwrap();
    let rule = Rule::new("ecs", "RunTask", Fault::ServerError).times(Times::Always);
    world.faults().inject(rule);
    let push = world.commit(&[("more", "1")], "More").await;
    world.push(&push).await.unwrap_err();

    world.sweep_after(6 * MINUTE).await.unwrap_err();

    let first = world.engine().ledger.load::<Run>(&first).await.unwrap().unwrap();
    assert_eq!(first.record.status(), "succeeded");
    assert_eq!(world.run().await.status(), "open");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_hold_up_the_others() {
    let world = World::new().await;
    let run = world.start().await;
    let task = world.task(0);
    world.ecs().run(&task).unwrap();
    world.ecs().exit(&task, 0).unwrap();
    let items = world.items().await;
    let mut broken = items.into_iter().find(|item| item["sk"]["S"] == "BUILD#test").unwrap();
    broken["sk"]["S"] = "BUILD#broken".into();
    broken["doc"]["S"] = "{".into();
    broken["due_at"]["N"] = "1".into();
    world.put_item(&broken).await;

    let fault = world.sweep_after(6 * MINUTE).await.unwrap_err();

    assert!(fault.what.contains(&format!("RUN#{run} BUILD#broken")), "{fault}");
    assert_eq!(world.build("test").await.status(), "succeeded");
}

#[tokio::test]
async fn a_sweep_without_time_leaves_its_work_to_the_next_one() {
    let world = World::new().await;
    world.start().await;
    world.ecs().run(&world.task(0)).unwrap();
    world.clock.advance(2 * MINUTE);
    let engine = world.engine();

    let answer = bellhop_sweep::handle(&engine, &json!({}), engine.clock.now()).await.unwrap();

    assert_eq!(answer, json!({ "due": 1, "advanced": 0, "left": 1 }));
    assert_eq!(world.sweep().await.unwrap(), json!({ "due": 1, "advanced": 1, "left": 0 }));
}
