//! The ledger in its table.

use bellhop_engine::conformance::{self, CASES, Case, THOUGH_REPLIES_ARE_LOST};
use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::Value;

use crate::words::MINUTE;

#[tokio::test]
async fn the_table_keeps_what_every_ledger_has_to_keep() {
    let world = World::new().await;
    let outcome = conformance::all_but(world.engine().ledger.as_ref(), &[]).await;
    assert_eq!(outcome.wrong, Vec::<String>::new());
    assert_eq!(outcome.passed, CASES.len());
}

#[tokio::test]
async fn lost_replies_change_nothing_for_who_writes() {
    let world = World::new().await;
    let rule = Rule::new("dynamodb", "*", Fault::LoseReply).times(Times::Every(3));
    let rule = world.faults().inject(rule);
    for name in THOUGH_REPLIES_ARE_LOST {
        let held = Case::named(name).unwrap().check(world.engine().ledger.as_ref()).await;
        assert_eq!(held, Ok(()), "{name}");
    }
    assert!(world.faults().fired(rule) > 20);
}

/// The items of the world's table that have this sort key's beginning.
async fn items(world: &World, beginning: &str) -> Vec<Value> {
    let items = world.items().await;
    let fits = |item: &Value| item["sk"]["S"].as_str().is_some_and(|key| key.starts_with(beginning));
    items.into_iter().filter(fits).collect()
}

#[tokio::test]
async fn what_is_over_expires_after_90_days_and_is_due_no_more() {
    let world = World::new().await;
    world.start().await;
    for item in world.items().await {
        assert_eq!(item["expires"], Value::Null);
    }
    assert!(items(&world, "BUILD#").await[0]["due_shard"]["S"].is_string());
    assert_eq!(
        items(&world, "RUN").await[0]["due_shard"],
        Value::Null,
        "the run itself waits for nothing"
    );

    world.runs(&world.task(0)).await;
    world.exits(&world.task(0), 0).await;

    let end = world.engine().clock.now().as_second();
    for item in items(&world, "RUN").await.into_iter().chain(items(&world, "BUILD#").await) {
        let expires: i64 = item["expires"]["N"].as_str().unwrap().parse().unwrap();
        let days = (expires - end + 60) / (24 * 3600);
        assert_eq!(days, 90);
        assert_eq!((&item["due_shard"], &item["due_at"]), (&Value::Null, &Value::Null));
        assert_eq!(item["status"]["S"], "succeeded");
    }
}

#[tokio::test]
async fn a_blocked_build_expires_unless_something_comes_to_it() {
    let file = "version: 1\njobs:\n  a: { agent: small, run: x }\n  b: { agent: small, run: x, needs: [a] }\n";
    let world = World::with_pipeline(file).await;
    world.start().await;
    let now = world.engine().clock.now().as_second();
    let b = || async { items(&world, "BUILD#b").await.remove(0) };
    let expires: i64 = b().await["expires"]["N"].as_str().unwrap().parse().unwrap();
    assert_eq!((expires - now + 60) / (24 * 3600), 400);

    world.runs(&world.task(0)).await;
    world.exits(&world.task(0), 0).await;
    let released = b().await;
    assert_eq!(
        (&released["status"]["S"], &released["expires"]),
        (&"launching".into(), &Value::Null)
    );
}

#[tokio::test]
async fn a_repositorys_newest_runs_come_first() {
    let world = World::new().await;
    let mut runs = vec![world.start().await];
    for number in 1..4 {
        world.clock.advance(MINUTE);
        let push = world.commit(&[("number", &number.to_string())], "More").await;
        runs.push(world.start_by(&push).await);
    }
    let listed = world.engine().ledger.runs_of(&"shop".parse().unwrap(), None, 3).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|run| run.run).collect();
    runs.reverse();
    assert_eq!(listed, runs[..3]);
}
