//! An agent template with `max-concurrent` has so many agents at a time and no more.

use std::collections::BTreeSet;
use std::time::Duration;

use bellhop_domain::build::Slot;
use bellhop_domain::ids::BuildId;
use bellhop_domain::outbox::PERFORM_WITHIN;
use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::Pool;
use bellhop_engine::records::read;
use bellhop_scenarios::World;
use bellhop_stand_in::request_units::Table;
use bellhop_stand_in::{Entry, Fault, Rule, Times};
use futures::future::join_all;
use futures::stream::{self, StreamExt};

use crate::words::{MINUTE, SECOND};

/// How many pushes come at once.
const PUSHES: usize = 40;
/// How many requests can be the last one of an invocation that dies.
const DEATHS: usize = 60;

fn file(agent: &str, jobs: usize) -> String {
    let mut file = "version: 1\njobs:\n".to_owned();
    for number in 0..jobs {
        file.push_str(&format!("  job-{number:03}: {{ agent: {agent}, run: make }}\n"));
    }
    file
}

/// A suite in which so many agents of each kind may run at a time.
async fn limited(file: &str, limit: u32) -> World {
    let world = World::with_both_agents(file).await;
    world.limit_agents(Some(limit), Some(limit)).await;
    world.ecs().set_run_at_once(true);
    world
}

async fn pool(world: &World, agent: &str) -> Option<Pool> {
    let pool = world.engine().ledger.load::<Pool>(&agent.parse().unwrap()).await.unwrap();
    pool.map(|pool| pool.record)
}

/// The builds in line, in the order in which those of one repository get places.
async fn line(world: &World, agent: &str) -> Vec<BuildId> {
    let partition = format!("WAITING#{agent}");
    let found = world
        .engine()
        .ledger
        .next_in_partition(&partition, "WAITING#", 3_000)
        .await
        .unwrap();
    found.iter().map(|text| read::<Waiting>(text).unwrap().record.build).collect()
}

/// The tasks that are not over.
fn live(world: &World) -> Vec<String> {
    let tasks = world.tasks().into_iter().filter(|task| task.last_status != "STOPPED");
    tasks.map(|task| task.arn).collect()
}

/// A task ends, and only the last event of it arrives.
async fn ends(world: &World, task: &str) -> Result<serde_json::Value, bellhop_engine::Fault> {
    let event = world.ecs().exit(task, 0).unwrap().pop().unwrap();
    world.task_event(&event).await
}

#[tokio::test]
async fn two_hundred_builds_share_twenty_places_while_launches_are_refused() {
    let world = limited(&file("small", 200), 20).await;
    world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::Throttle).times(Times::Every(3)));
    let no_capacity = world
        .faults()
        .inject(Rule::new("ecs", "RunTask", Fault::NoCapacity).times(Times::Always));
    world.start().await;
    for _ in 0..2 {
        world.sweep_after(MINUTE).await.unwrap();
    }
    let mut in_line = line(&world, "small").await;
    assert_eq!((pool(&world, "small").await.unwrap().holders.len(), in_line.len()), (20, 180));
    let mut held: BTreeSet<BuildId> = pool(&world, "small").await.unwrap().holders.into_keys().collect();
    let mut rounds = 0;
    while world.run().await.status() == "open" {
        rounds += 1;
        assert!(rounds < 60, "{:?}", pool(&world, "small").await);
        if rounds == 3 {
            world.faults().remove(no_capacity);
        }
        let ending = stream::iter(live(&world)).map(|task| {
            let world = &world;
            async move {
                ends(world, &task).await.unwrap();
                assert!(live(world).len() <= 20);
            }
        });
        ending.buffer_unordered(4).collect::<Vec<()>>().await;
        world.sweep_after(MINUTE).await.unwrap();
        assert!(live(&world).len() <= 20);
        let pool = pool(&world, "small").await.unwrap();
        assert!(pool.holders.len() <= 20);
        // First come, first served: whoever is not in the line any more stood before everybody who still is.
        let waiting = line(&world, "small").await;
        let served = in_line.len() - waiting.len();
        assert_eq!(in_line.split_off(served), waiting);
        held.extend(in_line);
        in_line = waiting;
    }
    assert_eq!(world.run().await.status(), "succeeded");
    assert_eq!(held.len(), 200);
    let tasks: BTreeSet<_> = world
        .tasks()
        .into_iter()
        .map(|task| task.environment["BELLHOP_JOB"].clone())
        .collect();
    assert_eq!((tasks.len(), world.tasks().len()), (200, 200));
    let pool = pool(&world, "small").await.unwrap();
    assert!(
        pool.holders.is_empty() && !pool.queued && pool.outbox.pending().is_empty(),
        "{pool:?}"
    );
}

/// Each in an invocation of its own, all at the same time, so that they write the same pool against each other.
#[tokio::test]
async fn the_builds_of_many_pushes_at_once_share_places_and_none_is_lost() {
    let world = limited(&file("small", 1), 5).await;
    let pushes: Vec<_> = (0..PUSHES)
        .map(|number| {
            let mut push = world.push_event();
            push["id"] = format!("00000000-0000-4000-8000-{number:012}").into();
            push
        })
        .collect();
    for (push, answer) in pushes.iter().zip(join_all(pushes.iter().map(|push| world.push(push))).await) {
        if answer.is_err() {
            // Too many wrote the pool before it: Lambda tries the push again, and the sweep asks for the place.
            world.push(push).await.unwrap();
        }
    }
    assert!(live(&world).len() <= 5);
    let mut rounds = 0;
    while world.tasks().len() < PUSHES || !live(&world).is_empty() {
        rounds += 1;
        assert!(rounds < 4 * PUSHES, "{:?}", pool(&world, "small").await);
        let ending = live(&world).into_iter().map(|task| {
            let world = &world;
            async move { ends(world, &task).await.unwrap() }
        });
        join_all(ending).await;
        assert!(live(&world).len() <= 5);
        world.sweep_after(MINUTE).await.unwrap();
        assert!(live(&world).len() <= 5);
    }
    assert_eq!(world.tasks().len(), PUSHES);
    assert_eq!(world.run_ids().await.len(), PUSHES);
    let pool = pool(&world, "small").await.unwrap();
    assert!(pool.holders.is_empty() && !pool.queued, "{pool:?}");
    assert_eq!(line(&world, "small").await, []);
}

#[tokio::test]
async fn builds_of_codebuild_share_places_too_and_each_template_has_its_own() {
    let file = "version: 1\njobs:\n  a: { agent: docker, run: x }\n  b: { agent: docker, run: x }\n  c: { agent: small, run: x }\n";
    let world = limited(file, 1).await;
    world.start().await;
    assert_eq!((world.builds().len(), world.tasks().len()), (1, 1));
    world.build_exits(&world.agent_build(0), 1).await;
    assert_eq!(world.builds().len(), 2);
    world.build_exits(&world.agent_build(1), 0).await;
    ends(&world, &world.task(0)).await.unwrap();
    assert_eq!(world.run().await.status(), "failed");
}

#[tokio::test]
async fn an_agent_that_is_being_stopped_holds_its_place_until_it_is_gone() {
    let world = limited(&file("small", 2), 1).await;
    let run = world.start().await;
    let task = world.task(0);
    let job = world.tasks()[0].environment["BELLHOP_JOB"].clone();
    let request = serde_json::json!({ "cancel": { "build": format!("{run}/{job}") } });
    world.control(&request).await.unwrap();
    assert_eq!(world.journal().of("ecs", "StopTask").len(), 1);
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(world.tasks().len(), 1);

    world.task_events(&world.ecs().settle_stop(&task, 143).unwrap()).await;
    assert_eq!(world.tasks().len(), 2);
}

#[tokio::test]
async fn a_retry_keeps_its_place() {
    let world = limited(&file("small", 2), 1).await;
    world.start().await;
    let events = world.ecs().interrupt(&world.task(0), None).unwrap();
    world.task_events(&events).await;
    world.sweep_after(MINUTE).await.unwrap();
    let jobs: Vec<_> = world.tasks().iter().map(|task| task.environment["BELLHOP_JOB"].clone()).collect();
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0], jobs[1]);
}

#[tokio::test]
async fn a_build_that_waits_for_a_place_is_no_longer_than_its_queue_timeout_in_line() {
    let file = "version: 1\njobs:\n  a: { agent: small, run: x, timeout: 5h }\n  b: { agent: small, run: x, queue-timeout: 10m }\n";
    let world = limited(file, 1).await;
    world.start().await;
    let first = world.tasks()[0].environment["BELLHOP_JOB"].clone();
    if first == "b" {
        // The one that runs is not the one whose patience is short.
        return assert_eq!(world.build("a").await.status(), "waiting");
    }
    world.sweep_after(11 * MINUTE).await.unwrap();
    assert_eq!(world.build("b").await.status(), "timed-out");
    assert_eq!(line(&world, "small").await, []);
}

/// Lets an invocation die once AWS has answered it so often. Gives whether it did.
async fn dies<T>(world: &World, answers: usize, invocation: impl Future<Output = T>) -> bool {
    let mut answered = world.journal().subscribe();
    let death = async {
        for _ in 0..answers {
            answered.recv().await.unwrap();
        }
    };
    tokio::select! {
        biased;
        () = death => true,
        _ = invocation => false,
    }
}

/// The pool is as the builds are.
async fn assert_right(world: &World, limit: usize, after: &str) {
    let pool = pool(world, "small").await.unwrap();
    let builds = world.engine().ledger.builds_of(&world.newest_run()).await.unwrap();
    let unfinished = builds.iter().filter(|build| build.record.outcome().is_none());
    let (held, waiting): (Vec<_>, Vec<_>) = unfinished.partition(|build| build.record.slot == Slot::Held);
    let ids = |builds: &[&bellhop_engine::records::Versioned<bellhop_domain::build::Build>]| -> BTreeSet<BuildId> {
        builds.iter().map(|build| build.record.spec.id.clone()).collect()
    };
    let holders: BTreeSet<BuildId> = pool.holders.keys().cloned().collect();
    let in_line = BTreeSet::from_iter(line(world, "small").await);
    assert_eq!(holders, ids(&held), "{after}: {pool:?}");
    assert_eq!(in_line, ids(&waiting), "{after}: {pool:?}");
    assert_eq!(holders.len(), limit.min(held.len() + waiting.len()), "{after}: {pool:?}");
    let jobs: BTreeSet<String> = holders.iter().map(|build| build.job.to_string()).collect();
    let live: BTreeSet<String> = world
        .tasks()
        .into_iter()
        .filter(|task| task.last_status != "STOPPED")
        .map(|task| task.environment["BELLHOP_JOB"].clone())
        .collect();
    assert_eq!(live, jobs, "{after}");
}

#[tokio::test]
async fn whenever_the_start_of_a_run_dies_its_places_are_right_after_one_sweep() {
    for answers in 1..DEATHS {
        let world = limited(&file("small", 4), 2).await;
        let push = world.push_event();
        if !dies(&world, answers, world.push(&push)).await {
            assert!(answers > 10, "{answers}");
            return;
        }
        world.push(&push).await.unwrap();
        world.sweep_after(PERFORM_WITHIN + SECOND).await.unwrap();
        assert_right(&world, 2, &format!("dead after {answers} answers")).await;
    }
    panic!("it never got through");
}

#[tokio::test]
async fn whenever_the_end_of_a_build_dies_the_places_are_right_after_one_sweep() {
    for answers in 1..DEATHS {
        let world = limited(&file("small", 4), 2).await;
        world.start().await;
        let event = world.ecs().exit(&world.task(0), 0).unwrap().pop().unwrap();
        if !dies(&world, answers, world.task_event(&event)).await {
            assert!(answers > 10, "{answers}");
            return;
        }
        let job = world.tasks()[0].environment["BELLHOP_JOB"].clone();
        if world.build(&job).await.outcome().is_none() {
            // Nothing was committed: Lambda tries the event again.
            world.task_event(&event).await.unwrap();
        }
        world.sweep_after(PERFORM_WITHIN + SECOND).await.unwrap();
        assert_right(&world, 2, &format!("dead after {answers} answers")).await;
    }
    panic!("it never got through");
}

/// DynamoDB's write units of one build after the other that starts and ends while twenty others hold places, and so many wait.
async fn units_of_a_build(waiting: usize) -> f64 {
    const HOLDERS: usize = 20;
    const MEASURED: usize = 10;
    // Without others in line, there is one place more.
    let limit = u32::try_from(if waiting == 0 { HOLDERS + 1 } else { HOLDERS }).unwrap();
    let world = limited(&file("small", 1), limit).await;
    let start = |number: usize| {
        let mut push = world.push_event();
        push["id"] = format!("00000000-0000-4000-8000-{number:012}").into();
        let world = &world;
        async move { drop(world.push(&push).await.unwrap()) }
    };
    for number in 0..HOLDERS {
        start(number).await;
    }
    // They are behind every build that is measured.
    let ledger = &world.engine().ledger;
    let mut pool = ledger.load::<Pool>(&"small".parse().unwrap()).await.unwrap().unwrap();
    let others = (0..waiting).map(|number| Waiting {
        pool: "small".parse().unwrap(),
        repository: pool.record.last.clone().unwrap(),
        since: pool.record.audited + Duration::from_secs(86_400),
        build: format!("abcdefghij/job-{number}").parse().unwrap(),
        turn: 0,
    });
    let stored = stream::iter(others).map(|waiting| async move { ledger.store(0, &waiting).await.unwrap() });
    stored.buffer_unordered(16).collect::<Vec<_>>().await;
    if waiting > 0 {
        pool.record.queued = true;
        ledger.store(pool.version, &pool.record).await.unwrap();
    }
    let mut table = Table::default();
    let mut units = |entries: Vec<Entry>| -> f64 { entries.iter().map(|entry| table.take(entry).unwrap().write).sum() };
    units(world.journal().entries());
    let mark = world.journal().mark();
    for number in 0..MEASURED {
        start(HOLDERS + number).await;
        ends(&world, &live(&world)[0]).await.unwrap();
        assert_eq!(live(&world).len(), HOLDERS);
    }
    assert_eq!(line(&world, "small").await.len(), waiting);
    units(world.journal().since(mark)) / f64::from(u32::try_from(MEASURED).unwrap())
}

#[tokio::test]
async fn a_build_costs_about_the_same_with_two_thousand_others_in_line() {
    let (none, many) = (units_of_a_build(0).await, units_of_a_build(2_000).await);
    assert!(many <= 1.5 * none, "{none} write units with none, {many} with two thousand");
}
