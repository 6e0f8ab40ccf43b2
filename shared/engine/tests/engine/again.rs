//! Builds that somebody asks for once more: planned anew, by what holds now.

use std::sync::atomic::Ordering;

use bellhop_domain::caller::Caller;
use bellhop_domain::executor::{Executor, Script};
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::request::{PipelineAsks, PipelineJob, PipelineStart, PipelineWork, RetryWhat, Start, StartWhat};
use bellhop_engine::{Refused, Started};

use crate::world::{World, job};

const AGENTS: &str = "version: 1\nagents:\n  big: { ecs: { cluster: ci, task-definition: agent-big, subnets: [subnet-0a] } }\n";

const HELP: &str = "A retry uses the current suite configuration: fix it, or start another commit";

/// A run of one job, which failed.
async fn failed(world: &World, started: Started, name: &str) -> BuildId {
    let Started::Run { id, .. } = started else { panic!("{started:?}") };
    let id = job(&id, name);
    world.exits(&id, 1).await;
    id
}

async fn failed_push(world: &World) -> BuildId {
    let id = job(&world.started("one").await, "test");
    world.exits(&id, 1).await;
    id
}

async fn failed_job_of_the_suite(world: &World) -> BuildId {
    world.configure_with("jobs:\n  clean: { agent: small, repository: shop, branch: main, run: ./clean.sh }");
    let start = Start {
        what: StartWhat::Suite("clean".parse().unwrap()),
        id: None,
    };
    let started = world
        .starter()
        .request(&start, "control/one", &Caller::Unverified)
        .await
        .unwrap()
        .unwrap();
    failed(world, started, "clean").await
}

async fn failed_script_of_an_action(world: &World) -> BuildId {
    let start = PipelineStart {
        repository: "shop".parse().unwrap(),
        branch: None,
        commit: None,
        work: PipelineWork::Script {
            run: "make release".to_owned(),
            agent: "small".parse().unwrap(),
        },
    };
    let action = PipelineJob {
        id: "a1000000-0000-4000-8000-000000000000".parse().unwrap(),
        asks: PipelineAsks::Start(start),
    };
    let started = world.starter().pipeline(&action).await.unwrap().unwrap();
    failed(world, started, "script").await
}

async fn again(world: &World, build: &BuildId, trigger: &str) -> RunId {
    match world
        .starter()
        .retry(&RetryWhat::Build(build.clone()), trigger, &Caller::Unverified)
        .await
        .unwrap()
        .unwrap()
        .started
    {
        Started::Run { id, builds: 1 } => id,
        other => panic!("{other:?}"),
    }
}

async fn refused(world: &World, build: &BuildId) -> String {
    let Err(Refused(why)) = world
        .starter()
        .retry(&RetryWhat::Build(build.clone()), "refused", &Caller::Unverified)
        .await
        .unwrap()
    else {
        panic!("it was not refused")
    };
    let before = format!("build {build} cannot be retried: ");
    why.strip_prefix(&before).unwrap_or_else(|| panic!("{why}")).to_owned()
}

#[tokio::test]
async fn a_build_is_repeated_with_the_agent_template_of_today() {
    let world = World::new();
    let id = failed_push(&world).await;
    world.configure(
        "version: 1\nagents:\n  small: { max-concurrent: 3, ecs: { cluster: ci, task-definition: agent-small-2, subnets: [subnet-0b] } }\n",
    );
    let again = job(&again(&world, &id, "again").await, "test");
    let spec = world.build(&again).await.spec;
    let Executor::Ecs(ecs) = &spec.executor else { panic!("{spec:?}") };
    assert_eq!((ecs.task_definition.as_str(), spec.limit), ("agent-small-2", Some(3)));
    assert_eq!(
        (spec.script, spec.commit),
        (Script::Inline("make test".to_owned()), world.build(&id).await.spec.commit)
    );
}

#[tokio::test]
async fn an_agent_that_is_not_to_be_had_any_more_is_refused() {
    let world = World::new();
    let id = failed_push(&world).await;
    world.configure(AGENTS);
    let gone = format!(
        ".bellhop.yaml, line 4, jobs.test.agent: there is no agent `small` in config/bellhop.yaml (known: big); the line is `test: …`. {HELP}"
    );
    assert_eq!(refused(&world, &id).await, gone);
    world.configure(&format!("{AGENTS}repositories:\n  shop: {{ agents: [big] }}\n"));
    assert!(refused(&world, &id).await.contains("there is no agent `small`"));
    world.configure_with("repositories:\n  shop: { agents: [] }");
    let taken = refused(&world, &id).await;
    assert!(
        taken.contains("does not let `shop` use the agent `small`") && taken.ends_with(HELP),
        "{taken}"
    );
    world.configure_with("    restricted: true");
    let restricted = refused(&world, &id).await;
    assert!(
        restricted.contains("the agent `small` is restricted") && restricted.ends_with(HELP),
        "{restricted}"
    );
    assert_eq!(world.agents.calls.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_script_that_is_kept_in_the_bucket_is_kept_for_the_repetition() {
    let world = World::new();
    let script = "x".repeat(9000);
    world.pipeline(&format!("version: 1\njobs:\n  test: {{ agent: small, run: {script} }}\n"));
    let id = failed_push(&world).await;
    world.bucket.objects.lock().unwrap().clear();
    let again = job(&again(&world, &id, "again").await, "test");
    let Script::Stored(key) = world.build(&again).await.spec.script else {
        panic!("the script is not in the bucket")
    };
    assert_eq!(world.bucket.object(&key).unwrap().trim_end(), script);
}

#[tokio::test]
async fn without_the_repository_or_its_commit_nothing_is_repeated() {
    let world = World::new();
    let id = failed_push(&world).await;
    *world.repository.pipeline.lock().unwrap() = None;
    assert_eq!(
        refused(&world, &id).await,
        "there is no .bellhop.yaml at commit 0123456 of shop: start another commit"
    );
    world.repository.gone.store(true, Ordering::SeqCst);
    assert_eq!(refused(&world, &id).await, "repository shop no longer exists, or is empty");
    let of_suite = World::new();
    let id = failed_job_of_the_suite(&of_suite).await;
    of_suite.repository.gone.store(true, Ordering::SeqCst);
    assert!(refused(&of_suite, &id).await.starts_with("repository shop no longer exists"));
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_before_whatever_holds_now() {
    let world = World::new();
    let id = failed_push(&world).await;
    let run = again(&world, &id, "again").await;
    world.configure(AGENTS);
    world.repository.gone.store(true, Ordering::SeqCst);
    let repeated = world
        .starter()
        .retry(&RetryWhat::Build(id.clone()), "again", &Caller::Unverified)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(repeated.started, Started::Again(run));
}

#[tokio::test]
async fn a_job_of_the_suites_own_is_repeated_as_it_is_now() {
    let world = World::new();
    let id = failed_job_of_the_suite(&world).await;
    world.configure_with("jobs:\n  clean: { agent: small, repository: shop, branch: main, run: ./clean.sh --all }");
    let second = job(&again(&world, &id, "again").await, "clean");
    assert_eq!(
        world.build(&second).await.spec.script,
        Script::Inline("./clean.sh --all".to_owned())
    );
    // What is repeated comes from there as well.
    world.exits(&second, 1).await;
    world.configure_with("jobs:\n  clean: { agent: small, repository: shop, branch: main, run: ./clean.sh --more }");
    let third = job(&again(&world, &second, "more").await, "clean");
    assert_eq!(
        world.build(&third).await.spec.script,
        Script::Inline("./clean.sh --more".to_owned())
    );

    world.configure_with("jobs:\n  clean: { agent: small, repository: shop, branch: next, run: ./clean.sh }");
    assert_eq!(
        refused(&world, &id).await,
        "job clean now belongs to branch next of repository shop: start it instead of retrying"
    );
    world.configure_with("jobs:\n  cleaner: { agent: small, repository: shop, branch: main, run: ./clean.sh }");
    assert_eq!(
        refused(&world, &id).await,
        "config/bellhop.yaml, jobs: there is no job `clean`; did you mean `cleaner`? (known: cleaner): ask the suite's administrators to restore it"
    );
}

#[tokio::test]
async fn an_actions_script_is_repeated_while_its_repository_may_use_the_agent() {
    let world = World::new();
    let id = failed_script_of_an_action(&world).await;
    let second = job(&again(&world, &id, "again").await, "script");
    let spec = world.build(&second).await.spec;
    assert_eq!(
        (spec.script, spec.agent.as_str()),
        (Script::Inline("make release".to_owned()), "small")
    );
    world.exits(&second, 1).await;
    again(&world, &second, "more").await;
    world.configure_with("    restricted: true");
    let why = refused(&world, &second).await;
    assert!(why.starts_with("UserParameters, agent: the agent `small` is restricted"), "{why}");
}
