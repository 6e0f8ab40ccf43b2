//! Actions of CodePipeline that wait for a run.

use bellhop_domain::request::{PipelineAsks, PipelineJob, PipelineStart, PipelineWork};
use bellhop_engine::Started;

use crate::world::{RUNNING, World, calls, job};

fn asks(digits: &str, asks: PipelineAsks) -> PipelineJob {
    PipelineJob {
        id: format!("{digits}000000-0000-4000-8000-000000000000").parse().unwrap(),
        asks,
    }
}

fn wants(work: PipelineWork) -> PipelineAsks {
    PipelineAsks::Start(PipelineStart {
        repository: "shop".parse().unwrap(),
        branch: None,
        commit: None,
        work,
    })
}

fn test() -> PipelineAsks {
    wants(PipelineWork::Job("test".parse().unwrap()))
}

fn answers(world: &World) -> Vec<String> {
    world.pipelines.answers.lock().unwrap().clone()
}

#[tokio::test]
async fn an_action_is_answered_when_its_run_is_over_however_often_it_asks() {
    let world = World::new();
    for _ in 0..3 {
        world.starter().pipeline(&asks("a1", test())).await.unwrap().unwrap();
    }
    let Ok(Started::Again(run)) = world.starter().pipeline(&asks("a1", test())).await.unwrap() else {
        panic!("not started")
    };
    assert_eq!(answers(&world), [""; 0]);
    world.exits(&job(&run, "test"), 0).await;
    assert_eq!(answers(&world), ["a1 success of test in 1"]);
    assert_eq!(calls(&world).len(), 1);
}

#[tokio::test]
async fn a_long_build_is_kept_alive_and_answered_on_the_newest_job() {
    let world = World::new();
    let Ok(Started::Run { id: run, .. }) = world.starter().pipeline(&asks("a1", test())).await.unwrap() else {
        panic!("not started")
    };
    world.seen(&job(&run, "test"), RUNNING).await.unwrap();
    for (minute, next) in ["b2", "c3", "d4"].into_iter().enumerate() {
        world.clock.pass(bellhop_domain::run::pipeline::CONTINUE_AFTER);
        world.sweep().await.unwrap();
        assert_eq!(answers(&world).len(), minute + 1);
        let back = asks(next, PipelineAsks::Continue(run.clone()));
        world.starter().pipeline(&back).await.unwrap().unwrap();
        world.starter().pipeline(&back).await.unwrap().unwrap();
    }
    world.exits(&job(&run, "test"), 3).await;
    assert_eq!(
        answers(&world),
        [
            "a1 continue".to_owned(),
            "b2 continue".to_owned(),
            "c3 continue".to_owned(),
            format!("d4 JobFailed: run {run} failed: test: the script ended with exit code 3"),
        ]
    );
}

#[tokio::test]
async fn a_pipeline_that_does_not_come_back_cancels_its_run() {
    let world = World::new();
    let Ok(Started::Run { id: run, .. }) = world.starter().pipeline(&asks("a1", test())).await.unwrap() else {
        panic!("not started")
    };
    world.seen(&job(&run, "test"), RUNNING).await.unwrap();
    world.clock.pass(bellhop_domain::run::pipeline::CONTINUE_AFTER);
    world.sweep().await.unwrap();
    world.clock.pass(bellhop_domain::run::pipeline::GONE_AFTER);
    world.sweep().await.unwrap();
    assert_eq!(world.run(&run).await.status(), "cancelled");
    assert_eq!(world.agents.stops.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_action_that_asks_for_the_impossible_is_told_at_once() {
    let world = World::new();
    let wrong = asks("a1", PipelineAsks::Wrong("UserParameters: expected JSON".to_owned()));
    assert!(world.starter().pipeline(&wrong).await.unwrap().is_err());
    let unknown = asks("b2", PipelineAsks::Continue("zzzzzzzzzz".parse().unwrap()));
    assert!(world.starter().pipeline(&unknown).await.unwrap().is_err());
    let no_agent = wants(PipelineWork::Script {
        run: "make".to_owned(),
        agent: "smal".parse().unwrap(),
    });
    world.starter().pipeline(&asks("c3", no_agent)).await.unwrap().unwrap();
    assert_eq!(
        answers(&world),
        [
            "a1 Configuration: UserParameters: expected JSON",
            "b2 Configuration: the ledger has no run zzzzzzzzzz to continue",
            "c3 Configuration: UserParameters, agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small)",
        ]
    );
}
