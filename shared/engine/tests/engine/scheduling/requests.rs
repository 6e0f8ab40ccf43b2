//! Starts, cancellations and retries by hand.

use std::sync::atomic::Ordering;

use bellhop_domain::caller::Caller;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::request::{At, RetryWhat, Start, StartWhat};
use bellhop_domain::run::RunEvent;
use bellhop_engine::{Refused, Started};

use crate::world::{RUNNING, World, calls, job, push};

fn start(job: Option<&str>, at: At) -> Start {
    Start {
        what: StartWhat::Pipeline {
            repository: "shop".parse().unwrap(),
            at,
            job: job.map(|job| job.parse().unwrap()),
        },
        id: None,
    }
}

#[tokio::test]
async fn a_job_is_started_by_hand_once_for_any_commit_message() {
    let world = World::new();
    "[skip ci]".clone_into(&mut world.repository.message.lock().unwrap());
    let wanted = start(Some("test"), At::Branch("main".to_owned()));
    let Ok(Started::Run { id, builds: 1 }) = world.starter().request(&wanted, "by hand", &Caller::Unverified).await.unwrap() else {
        panic!("not started")
    };
    assert_eq!(
        world.starter().request(&wanted, "by hand", &Caller::Unverified).await.unwrap(),
        Ok(Started::Again(id))
    );
    assert_eq!(calls(&world), ["test/1 on spot"]);
}

#[tokio::test]
async fn a_large_run_of_a_tip_that_got_no_further_than_its_builds_stays_at_their_commit() {
    let world = World::new();
    world.ledger.torn.store(1, Ordering::SeqCst);
    let wanted = start(None, At::Default);
    assert!(world.starter().request(&wanted, "by hand", &Caller::Unverified).await.is_err());
    // The branch moves before Lambda tries again.
    *world.repository.tip.lock().unwrap() = Some("f".repeat(40).parse().unwrap());
    let Ok(Started::Run { id, .. }) = world.starter().request(&wanted, "by hand", &Caller::Unverified).await.unwrap() else {
        panic!("not started")
    };
    assert_eq!(world.run(&id).await.commit, push("any").commit);
    let Ok(Started::Run { id, .. }) = world.starter().request(&wanted, "another", &Caller::Unverified).await.unwrap() else {
        panic!("not started")
    };
    assert_eq!(world.run(&id).await.commit.short(), "fffffff");
}

#[tokio::test]
async fn misuse_is_told() {
    let world = World::new();
    let refusal = async |start: Start| match world.starter().request(&start, "x", &Caller::Unverified).await.unwrap() {
        Err(Refused(text)) => text,
        Ok(Started::Rejected { message, .. }) => message,
        Ok(other) => panic!("{other:?}"),
    };
    let mut elsewhere = start(None, At::Default);
    elsewhere.what = StartWhat::Pipeline {
        repository: "shopp".parse().unwrap(),
        at: At::Default,
        job: None,
    };
    assert_eq!(
        refusal(elsewhere).await,
        "there is no repository shopp, or nothing has been pushed to it"
    );
    assert_eq!(
        refusal(start(None, At::Branch("next".to_owned()))).await,
        "repository shop has no branch next, or does not exist"
    );
    assert_eq!(
        refusal(start(None, At::Branch("a b".to_owned()))).await,
        "\"a b\" is not a valid branch name"
    );
    let message = refusal(start(Some("tset"), At::Default)).await;
    assert!(message.contains("there is no job `tset`; did you mean `test`?"), "{message}");
    let suite = Start {
        what: StartWhat::Suite("clean".parse().unwrap()),
        id: None,
    };
    let message = refusal(suite).await;
    assert!(
        message.starts_with("config/bellhop.yaml, jobs: there is no job `clean`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_job_of_the_suites_own_runs_its_script() {
    let world = World::new();
    world.configure_with("jobs:\n  clean: { agent: small, repository: shop, branch: main, run: ./clean.sh }");
    let wanted = Start {
        what: StartWhat::Suite("clean".parse().unwrap()),
        id: None,
    };
    let Ok(Started::Run { id, builds: 1 }) = world.starter().request(&wanted, "nightly", &Caller::Unverified).await.unwrap() else {
        panic!("not started")
    };
    let build = world.build(&job(&id, "clean")).await;
    assert_eq!(build.spec.script, bellhop_domain::executor::Script::Inline("./clean.sh".to_owned()));
}

#[tokio::test]
async fn a_cancelled_run_stops_and_ends_cancelled() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  a: { agent: small, run: x }\n  b: { agent: small, run: x, needs: [a] }\n");
    let run = world.started("one").await;
    world.seen(&job(&run, "a"), RUNNING).await.unwrap();
    let cancel = RunEvent::Cancel {
        job: None,
        outcome: Outcome::Cancelled,
        cause: "cancelled by hand".to_owned(),
    };
    world.engine().run(&run, cancel).await.unwrap();
    assert_eq!(world.run(&run).await.status(), "cancelled");
    assert_eq!(world.agents.stops.lock().unwrap().len(), 1);
    assert_eq!(world.told("build"), ["cancelled"]);
    assert_eq!(world.told("run"), ["cancelled"]);
}

#[tokio::test]
async fn a_retry_runs_what_failed_and_what_was_skipped_for_it() {
    let world = World::new();
    world.pipeline(
        "version: 1\njobs:\n  a: { agent: small, run: x }\n  b: { agent: small, run: x, needs: [a] }\n  \
             c: { agent: small, run: x, needs: [b] }\n  d: { agent: small, run: x, needs: [a] }\n",
    );
    let run = world.started("one").await;
    world.exits(&job(&run, "a"), 0).await;
    world.exits(&job(&run, "d"), 0).await;
    let again = world
        .starter()
        .retry(&RetryWhat::Build(job(&run, "b")), "again", &Caller::Unverified)
        .await
        .unwrap();
    assert_eq!(again, Err(Refused(format!("build {run}/b has not finished: cancel it first"))));
    world.exits(&job(&run, "b"), 1).await;
    let retry = async || {
        world
            .starter()
            .retry(&RetryWhat::Build(job(&run, "b")), "again", &Caller::Unverified)
            .await
            .unwrap()
            .unwrap()
    };
    let Started::Run { id, builds: 2 } = retry().await.started else {
        panic!("not started")
    };
    assert_eq!(retry().await.started, Started::Again(id.clone()));
    world.exits(&job(&id, "b"), 0).await;
    world.exits(&job(&id, "c"), 0).await;
    assert_eq!(world.run(&id).await.status(), "succeeded");
    assert_eq!(world.run(&run).await.status(), "failed");
}

#[tokio::test]
async fn a_run_keeps_who_started_it_first() {
    let world = World::new();
    let caller = |name: &str| Caller::Principal(format!("arn:aws:iam::123456789012:user/{name}").parse().unwrap());
    let (anna, ben) = (caller("anna"), caller("ben"));
    let wanted = start(Some("test"), At::Branch("main".to_owned()));
    let Ok(Started::Run { id, .. }) = world.starter().request(&wanted, "one", &anna).await.unwrap() else {
        panic!("not started")
    };
    assert_eq!(
        world.starter().request(&wanted, "one", &ben).await.unwrap(),
        Ok(Started::Again(id.clone()))
    );
    let run = world.run(&id).await;
    assert_eq!((run.started_by, run.by), (Some(anna.clone()), None));
    let listed = world.engine().ledger.runs_of(&run.repository, None, 1).await.unwrap();
    assert_eq!(listed[0].shown.started_by, Some(anna));

    world.exits(&job(&id, "test"), 1).await;
    let retried = world.starter().retry(&RetryWhat::Failed(id), "two", &ben).await.unwrap().unwrap();
    let Started::Run { id, .. } = retried.started else {
        panic!("not retried")
    };
    assert_eq!(world.run(&id).await.started_by, Some(ben));
    let pushed = world.started("three").await;
    assert_eq!(world.run(&pushed).await.started_by, None);
}
