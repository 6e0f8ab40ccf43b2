//! Two suites in one account and region, which get the same events and start agents on the same cluster.

use std::sync::atomic::Ordering;

use bellhop_domain::executor::observation::AgentStatus;
use bellhop_domain::ids::AgentId;
use bellhop_domain::outcome::Outcome;
use bellhop_engine::{BackupService, Handled};
use jiff::Timestamp;

use crate::world::{RUNNING, World, exited, job, push, taken_back};

fn stops(world: &World) -> Vec<AgentId> {
    world.agents.stops.lock().unwrap().clone()
}

#[tokio::test]
async fn one_push_is_a_run_and_an_agent_in_each() {
    let ours = World::new();
    let theirs = ours.other_suite("ci-next");
    let (our_run, their_run) = (ours.started("push").await, theirs.started("push").await);
    assert_ne!(our_run, their_run);
    let (our_build, their_build) = (job(&our_run, "test"), job(&their_run, "test"));
    let agent = async |world: &World, id| world.build(id).await.attempts[0].agent.clone().unwrap();
    let (our_agent, their_agent) = (agent(&ours, &our_build).await, agent(&theirs, &their_build).await);
    // An agent's name here is its token.
    assert_ne!(our_agent, their_agent);
    assert_eq!(ours.agents.live().len(), 2);

    // Both suites hear of both agents.
    ours.seen(&our_build, RUNNING).await.unwrap();
    theirs.seen(&their_build, RUNNING).await.unwrap();
    let foreign = theirs.seen_of(&our_build, 1, our_agent, RUNNING).await.unwrap();
    assert_eq!(foreign, Handled::Unknown);
    ours.sweep().await.unwrap();
    theirs.sweep().await.unwrap();
    assert_eq!(stops(&ours), []);

    // The end of one, and the loss of the other, are one's own.
    ours.exits(&our_build, 0).await;
    ours.sweep().await.unwrap();
    theirs.sweep().await.unwrap();
    assert_eq!(ours.build(&our_build).await.outcome(), Some(Outcome::Succeeded));
    assert_eq!(theirs.build(&their_build).await.outcome(), None);
    theirs.seen(&their_build, AgentStatus::Stopped(taken_back())).await.unwrap();
    assert_eq!(ours.agents.live(), ["test/2 on on-demand"]);
    theirs.seen(&their_build, AgentStatus::Stopped(exited(0))).await.unwrap();
    assert_eq!(theirs.build(&their_build).await.outcome(), Some(Outcome::Succeeded));
    assert_eq!(stops(&ours), []);
}

#[tokio::test]
async fn an_agent_whose_launch_had_no_reply_is_found_by_its_own_suite() {
    let ours = World::new();
    let theirs = ours.other_suite("ci-next");
    let their_build = job(&theirs.started("push").await, "test");
    ours.agents.lost_replies.store(1, Ordering::SeqCst);
    // The sweep goes on with what the push could not finish.
    ours.starter().push(&push("push")).await.unwrap_err();
    ours.sweep().await.unwrap();
    let our_build = job(&ours.engine().run_id("push", &push("push").reference), "test");
    let ours_has = ours.build(&our_build).await.attempts[0].agent.clone();
    let theirs_has = theirs.build(&their_build).await.attempts[0].agent.clone();
    assert!(ours_has.is_some() && theirs_has.is_some() && ours_has != theirs_has);
    assert_eq!(ours.agents.live().len(), 2);
    assert_eq!(stops(&ours), []);
}

#[tokio::test]
async fn a_backup_of_one_name_at_one_time_is_a_job_of_each() {
    const BACKUPS: &str = "
backups:
  home: { resource: 'arn:aws:elasticfilesystem:eu-west-1:1:file-system/fs-1', vault: ci, role: 'arn:aws:iam::1:role/b' }
";
    let ours = World::new();
    let theirs = ours.other_suite("ci-next");
    for world in [&ours, &theirs] {
        world.configure_with(BACKUPS);
        let backup_service = BackupService {
            engine: world.engine(),
            table: None,
        };
        backup_service
            .start(None, Some(Timestamp::from_second(1_790_000_040).unwrap()), "schedule")
            .await
            .unwrap();
    }
    let calls = ours.backups.calls.lock().unwrap().clone();
    let tokens: Vec<_> = calls
        .iter()
        .filter_map(|call| call.split_once(" under "))
        .map(|(_, token)| token)
        .collect();
    assert!(tokens.len() == 2 && tokens[0] != tokens[1], "{calls:?}");
}
