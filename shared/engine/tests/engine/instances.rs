//! Instances that are taken away under several builds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::decision::Ignored;
use bellhop_domain::executor::observation::Observation;
use bellhop_domain::ids::{BuildId, InstanceId};
use bellhop_domain::instance::{Action, Ec2Notice, ForeignTask, Notice};
use bellhop_engine::ports::{Clock, InstanceTask};
use bellhop_engine::{Fault, Handled};
use futures::future::join_all;

use crate::world::{RUNNING, World, calls, job};

const WARNING: Ec2Notice = Ec2Notice::Interruption(Action::Terminate);

fn instance() -> InstanceId {
    "i-0123456789abcdef0".parse().unwrap()
}

async fn told(world: &World, what: Ec2Notice) -> Result<Handled, Fault> {
    let clusters = ["other".to_owned(), "ci".to_owned()];
    let notice = Notice {
        what,
        at: world.clock.now(),
        account: None,
    };
    world.engine().instance(&instance(), notice, &clusters).await
}

/// Builds whose agents run on the instance, with one task of somebody else's.
async fn world(builds: usize) -> (World, Vec<BuildId>) {
    let world = World::new();
    let (mut ids, mut tasks) = (Vec::new(), Vec::new());
    for number in 0..builds {
        let id = job(&world.started(&format!("trigger {number}")).await, "test");
        world.seen(&id, RUNNING).await.unwrap();
        let build = world.build(&id).await;
        let observation = Observation {
            agent: build.attempts[0].agent.clone().unwrap(),
            version: Some(7),
            capacity: None,
            status: RUNNING,
        };
        tasks.push(InstanceTask::Agent(build.attempt_id(1), observation));
        ids.push(id);
    }
    tasks.push(InstanceTask::Foreign(ForeignTask {
        arn: "arn:aws:ecs:us-east-1:123456789012:task/ci/1".to_owned(),
        belongs_to: "service:web".to_owned(),
        started_by: None,
    }));
    world.instances.tasks.lock().unwrap().insert(instance(), tasks);
    (world, ids)
}

fn replacements(world: &World) -> usize {
    calls(world).iter().filter(|call| call.ends_with("on on-demand")).count()
}

#[tokio::test]
async fn every_build_on_it_is_replaced_once_however_often_it_is_told() {
    let (world, ids) = world(3).await;
    let answers = join_all((0..5).map(|_| told(&world, WARNING))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(replacements(&world), 3);
    assert_eq!(world.told("build"), ["retrying"; 3]);
    assert_eq!(world.told("suite"), ["instance-interrupted"]);
    let asked = world.instances.taken();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("drain")).count(), 1, "{asked:?}");
    assert_eq!(told(&world, WARNING).await.unwrap(), Handled::Ignored(Ignored::NothingNew));
    for id in &ids {
        assert_eq!(world.build(id).await.attempts.len(), 2);
    }
}

#[tokio::test]
async fn an_instance_of_no_cluster_leaves_nothing_behind() {
    let world = World::new();
    assert_eq!(told(&world, WARNING).await.unwrap(), Handled::Unknown);
    assert_eq!(world.instances.taken().len(), 1);
    assert_eq!(world.sweep().await.unwrap().due, 0);
}

#[tokio::test]
async fn what_got_no_answer_is_done_by_the_sweep() {
    let (world, _) = world(2).await;
    world.instances.silent.store(1, Ordering::SeqCst);
    assert!(told(&world, WARNING).await.is_err(), "the instance is not found");
    assert!(told(&world, WARNING).await.is_ok());
    assert_eq!(replacements(&world), 2);

    let (world, ids) = self::world(2).await;
    *world.ledger.unreadable.lock().unwrap() = Some(ids[0].clone());
    assert!(told(&world, WARNING).await.is_err());
    assert_eq!(
        (replacements(&world), world.told("suite").len()),
        (1, 0),
        "the other build is told all the same"
    );
    *world.ledger.unreadable.lock().unwrap() = None;
    world.clock.pass(Duration::from_secs(60));
    world.sweep().await.unwrap();
    assert_eq!((replacements(&world), world.told("suite").len()), (2, 1));
    assert_eq!(world.sweep().await.unwrap().faults, 0);
}

#[tokio::test]
async fn an_instance_that_was_only_advised_takes_tasks_again_once_it_is_empty() {
    let (world, _) = world(0).await;
    told(&world, Ec2Notice::Rebalance).await.unwrap();
    assert!(world.instances.draining.lock().unwrap().contains(instance().as_str()));
    world.clock.pass(Duration::from_secs(3600));
    world.sweep().await.unwrap();
    assert!(
        world.instances.draining.lock().unwrap().contains(instance().as_str()),
        "somebody's task is on it"
    );
    world.instances.tasks.lock().unwrap().insert(instance(), Vec::new());
    world.clock.pass(Duration::from_secs(3600));
    world.sweep().await.unwrap();
    assert!(world.instances.draining.lock().unwrap().is_empty());
    assert_eq!(world.told("suite"), ["instance-reopened"]);
    assert_eq!(
        told(&world, Ec2Notice::Rebalance).await.unwrap(),
        Handled::Ignored(Ignored::NothingNew)
    );
}

#[tokio::test]
async fn an_instance_that_somebody_else_has_drained_stays_theirs() {
    let (world, _) = world(0).await;
    world.instances.tasks.lock().unwrap().insert(instance(), Vec::new());
    world.instances.draining.lock().unwrap().insert(instance().to_string());
    told(&world, Ec2Notice::Rebalance).await.unwrap();
    world.clock.pass(Duration::from_secs(7200));
    world.sweep().await.unwrap();
    assert!(world.instances.draining.lock().unwrap().contains(instance().as_str()));
    assert_eq!(world.told("suite"), [""; 0]);
}
