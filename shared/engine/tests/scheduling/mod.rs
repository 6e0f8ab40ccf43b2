//! Limits, superseding, requests by hand, pipelines that wait, and what builds leave behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::build::{BuildEvent, Refusal};
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::pool::AUDIT_EVERY;
use bellhop_domain::request::{At, PipelineAsks, PipelineJob, PipelineStart, PipelineWork, RetryWhat, Start, StartWhat};
use bellhop_domain::run::RunEvent;
use bellhop_engine::ports::Ledger;
use bellhop_engine::{Refused, Started};
use futures::future::join_all;
use jiff::Timestamp;

use super::{RUNNING, calls};
use crate::world::{SUITE, World, job, push};

fn live(world: &World) -> usize {
    world.agents.live().len()
}

mod limits {
    use super::*;

    fn world(most: u32) -> World {
        let world = World::new();
        world.configure_with(&format!("    max-concurrent: {most}"));
        world
    }

    async fn end(world: &World, id: &BuildId) {
        world.seen(id, RUNNING).await.unwrap();
        world.exits(id, 0).await;
    }

    #[tokio::test]
    async fn no_more_run_than_there_are_places_and_the_first_to_come_are_the_first_to_run() {
        let world = world(2);
        let mut runs = Vec::new();
        for trigger in ["a", "b", "c", "d", "e"] {
            runs.push(job(&world.started(trigger).await, "test"));
        }
        assert_eq!(live(&world), 2);
        let mut order: Vec<usize> = Vec::new();
        for _ in 0..5 {
            let mut running = None;
            for (index, id) in runs.iter().enumerate() {
                if world.build(id).await.status() == "launching" && running.is_none() {
                    running = Some(index);
                }
            }
            order.extend(running);
            end(&world, &runs[running.unwrap()]).await;
            assert!(live(&world) <= 2);
        }
        assert_eq!(order, [0, 1, 2, 3, 4]);
        let pool = world.ledger.pool(&"small".parse().unwrap()).await.unwrap().unwrap().record;
        assert_eq!((pool.holders.len(), pool.waiting.len(), pool.due()), (0, 0, None));
    }

    #[tokio::test]
    async fn many_at_once_share_the_places() {
        let world = world(3);
        let starter = world.starter();
        let pushes: Vec<_> = (0..20).map(|index| push(&format!("p{index}"))).collect();
        for started in join_all(pushes.iter().map(|push| starter.push(push))).await {
            // Whoever met too many others at the pool is helped by the sweep.
            assert!(started.is_ok() || started.is_err_and(|fault| fault.to_string().contains("in a row")));
        }
        let ids: Vec<BuildId> = pushes
            .iter()
            .map(|push| job(&RunId::derive(SUITE, &push.trigger, &push.reference), "test"))
            .collect();
        for _ in 0..60 {
            world.sweep().await.unwrap();
            assert!(live(&world) <= 3, "{:?}", world.agents.live());
            for id in &ids {
                if matches!(world.build(id).await.status(), "launching" | "running") {
                    end(&world, id).await;
                    break;
                }
            }
        }
        for id in &ids {
            assert_eq!(world.build(id).await.outcome(), Some(Outcome::Succeeded));
        }
    }

    #[tokio::test]
    async fn a_replacement_takes_over_its_builds_place() {
        let world = world(1);
        let first = job(&world.started("a").await, "test");
        let second = job(&world.started("b").await, "test");
        world.seen(&first, RUNNING).await.unwrap();
        world
            .seen(&first, bellhop_domain::observation::AgentStatus::Interrupted)
            .await
            .unwrap();
        assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
        assert_eq!(world.build(&second).await.status(), "queued");
    }

    #[tokio::test]
    async fn a_build_that_waits_too_long_for_a_place_says_so() {
        let world = world(1);
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, queue-timeout: 10m }\n");
        world.started("a").await;
        let second = job(&world.started("b").await, "test");
        world.clock.pass(Duration::from_secs(601));
        world.sweep().await.unwrap();
        let build = world.build(&second).await;
        assert_eq!(build.outcome(), Some(Outcome::TimedOut));
        let bellhop_domain::build::BuildState::Finished { cause: Some(cause), .. } = build.state else {
            panic!("not over")
        };
        assert_eq!(
            cause,
            "no agent within its queue-timeout of 10m: all 1 slots of the agent `small` were in use"
        );
        world.sweep().await.unwrap();
        let pool = world.ledger.pool(&"small".parse().unwrap()).await.unwrap().unwrap().record;
        assert_eq!((pool.holders.len(), pool.waiting.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_place_that_nobody_gave_back_is_found_by_the_audit() {
        let world = world(1);
        let ghost = "zzzzzzzzzz/test".parse().unwrap();
        let mut pool = bellhop_domain::pool::Pool::new("small".parse().unwrap(), Timestamp::from_second(1_790_000_000).unwrap());
        pool.limit = 1;
        pool.holders.insert(ghost, pool.audited);
        world.ledger.update_pool(0, &pool).await.unwrap();
        let waiting = job(&world.started("a").await, "test");
        assert_eq!(world.build(&waiting).await.status(), "queued");
        world.clock.pass(AUDIT_EVERY);
        world.sweep().await.unwrap();
        assert_eq!(world.build(&waiting).await.status(), "launching");
    }

    #[tokio::test]
    async fn a_queue_of_builds_that_cannot_be_launched_is_worked_off_without_end_of_stack() {
        let world = world(1);
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, retry: never }\n");
        // The one place is taken, so that the others queue up behind it.
        let first = job(&world.started("first").await, "test");
        let never = || Refusal::Invalid("no such cluster".to_owned());
        world
            .agents
            .refusals
            .lock()
            .unwrap()
            .extend(std::iter::repeat_with(never).take(400));
        let mut others = Vec::new();
        for index in 0..100 {
            others.push(job(&world.started(&format!("p{index}")).await, "test"));
        }
        end(&world, &first).await;
        for _ in 0..40 {
            world.sweep().await.unwrap();
        }
        for id in &others {
            assert_eq!(world.build(id).await.outcome(), Some(Outcome::InfrastructureFailed));
        }
    }
}

mod superseding {
    use super::*;

    const FILE: &str = "version: 1\njobs:\n  test: { agent: small, run: make }\n  deploy: { agent: small, run: make, needs: [test] }\n\
                        concurrency: { supersede: true, except: [release] }\n";

    async fn pushed(world: &World, trigger: &str, branch: &str, second: i64) -> RunId {
        let push = bellhop_domain::trigger::Push {
            reference: format!("refs/heads/{branch}").parse().unwrap(),
            at: Some(Timestamp::from_second(1_790_000_000 + second).unwrap()),
            ..push(trigger)
        };
        match world.starter().push(&push).await.unwrap() {
            Started::Run { id, .. } => id,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_newer_push_stops_what_runs_for_the_older_one() {
        let world = World::new();
        world.pipeline(FILE);
        let old = pushed(&world, "a", "main", 1).await;
        world.seen(&job(&old, "test"), RUNNING).await.unwrap();
        let new = pushed(&world, "b", "main", 2).await;
        assert_eq!(world.run(&old).await.status(), "superseded");
        for name in ["test", "deploy"] {
            assert_eq!(world.build(&job(&old, name)).await.outcome(), Some(Outcome::Superseded));
        }
        assert_eq!(world.agents.stops.lock().unwrap().len(), 1);
        // A late exit 0 of the stopped task does not revive it.
        world.exits(&job(&old, "test"), 0).await;
        assert_eq!(world.build(&job(&old, "test")).await.outcome(), Some(Outcome::Superseded));
        assert_eq!(world.run(&new).await.status(), "open");
        assert_eq!(live(&world), 1);
    }

    #[tokio::test]
    async fn an_older_push_that_comes_late_is_superseded_itself() {
        let world = World::new();
        world.pipeline(FILE);
        let new = pushed(&world, "b", "main", 2).await;
        let old = pushed(&world, "a", "main", 1).await;
        assert_eq!(world.run(&old).await.status(), "superseded");
        assert_eq!(world.run(&new).await.status(), "open");
    }

    #[tokio::test]
    async fn other_branches_and_those_excepted_go_on() {
        let world = World::new();
        world.pipeline(FILE);
        let runs = [
            pushed(&world, "a", "main", 1).await,
            pushed(&world, "b", "next", 2).await,
            pushed(&world, "c", "release", 3).await,
            pushed(&world, "d", "release", 4).await,
        ];
        for run in &runs {
            assert_eq!(world.run(run).await.status(), "open");
        }
    }
}

mod requests {
    use super::*;

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
    async fn a_job_is_started_by_hand_once_whatever_the_commit_says() {
        let world = World::new();
        "[skip ci]".clone_into(&mut world.repository.message.lock().unwrap());
        let wanted = start(Some("test"), At::Branch("main".to_owned()));
        let Ok(Started::Run { id, builds: 1 }) = world.starter().request(&wanted, "by hand").await.unwrap() else {
            panic!("not started")
        };
        assert_eq!(world.starter().request(&wanted, "by hand").await.unwrap(), Ok(Started::Again(id)));
        assert_eq!(calls(&world), ["test/1 on spot"]);
    }

    #[tokio::test]
    async fn a_large_run_of_a_tip_that_got_no_further_than_its_builds_stays_at_their_commit() {
        let world = World::new();
        world.ledger.torn.store(1, Ordering::SeqCst);
        let wanted = start(None, At::Default);
        assert!(world.starter().request(&wanted, "by hand").await.is_err());
        // The branch moves before Lambda tries again.
        *world.repository.tip.lock().unwrap() = Some("f".repeat(40).parse().unwrap());
        let Ok(Started::Run { id, .. }) = world.starter().request(&wanted, "by hand").await.unwrap() else {
            panic!("not started")
        };
        assert_eq!(world.run(&id).await.commit, push("any").commit);
        let Ok(Started::Run { id, .. }) = world.starter().request(&wanted, "another").await.unwrap() else {
            panic!("not started")
        };
        assert_eq!(world.run(&id).await.commit.short(), "fffffff");
    }

    #[tokio::test]
    async fn misuse_is_told() {
        let world = World::new();
        let refusal = async |start: Start| match world.starter().request(&start, "x").await.unwrap() {
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
        let Ok(Started::Run { id, builds: 1 }) = world.starter().request(&wanted, "nightly").await.unwrap() else {
            panic!("not started")
        };
        let build = world.build(&job(&id, "clean")).await;
        assert_eq!(build.spec.script, bellhop_domain::spec::Script::Inline("./clean.sh".to_owned()));
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
        let again = world.starter().retry(&RetryWhat::Build(job(&run, "b")), "again").await.unwrap();
        assert_eq!(again, Err(Refused(format!("build {run}/b has not finished: cancel it first"))));
        world.exits(&job(&run, "b"), 1).await;
        let retry = async || {
            world
                .starter()
                .retry(&RetryWhat::Build(job(&run, "b")), "again")
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
}

mod pipelines {
    use super::*;

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
            world.clock.pass(bellhop_domain::pipeline::CONTINUE_AFTER);
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
        world.clock.pass(bellhop_domain::pipeline::CONTINUE_AFTER);
        world.sweep().await.unwrap();
        world.clock.pass(bellhop_domain::pipeline::GONE_AFTER);
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
}

mod collecting {
    use super::*;
    use bellhop_domain::junit;

    const REPORT: &str = "<testsuite><testcase classname='shop' name='adds'/><testcase classname='shop' name='sells'>\
                          <failure/></testcase></testsuite>";

    fn world() -> World {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, artifacts: ['target/*'] }\n");
        let mut artifacts = world.bucket.artifacts.lock().unwrap();
        artifacts.insert("target/report.xml".to_owned(), REPORT.to_owned());
        artifacts.insert("target/shop.xml".to_owned(), "<project/>".to_owned());
        drop(artifacts);
        world
    }

    #[tokio::test]
    async fn what_a_build_leaves_is_in_its_message_and_the_runs() {
        let world = world();
        let run = world.started("one").await;
        world.exits(&job(&run, "test"), 1).await;
        let messages = world.inbox.messages.lock().unwrap().clone();
        let [build, run_message] = messages.as_slice() else {
            panic!("{messages:?}")
        };
        assert_eq!(build.document["tests"]["failures"], serde_json::json!(["shop.sells"]));
        assert_eq!(build.document["artifacts"]["count"], 2);
        assert!(
            run_message.email.contains("    2 tests, 1 failed\n    failed: shop.sells\n"),
            "{}",
            run_message.email
        );
        let report = world.bucket.object(&format!("runs/{run}/report.json")).unwrap();
        assert!(report.contains("target/shop.xml"));
    }

    #[tokio::test]
    async fn every_report_is_counted_or_named() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, artifacts: ['**'] }\n");
        let test = |name: String, inner: &str| format!("<testsuite><testcase name='{name}'>{inner}</testcase></testsuite>");
        let mut files: Vec<(String, String)> = (0..60)
            .map(|index| {
                let inner = if index >= 55 { "<failure/>" } else { "" };
                (format!("TEST-{index:02}.xml"), test(format!("t{index}"), inner))
            })
            .collect();
        let large = format!("<testsuite><testcase name='large'/>{}</testsuite>", " ".repeat(junit::LARGEST));
        files.extend([
            ("coverage.xml".to_owned(), "<coverage/>".to_owned()),
            ("empty.XML".to_owned(), String::new()),
            ("large.xml".to_owned(), large),
            ("nunit.xml".to_owned(), "<test-run/>".to_owned()),
        ]);
        world.bucket.artifacts.lock().unwrap().extend(files);
        let run = world.started("one").await;
        world.exits(&job(&run, "test"), 1).await;
        let tests = world.build(&job(&run, "test")).await.found.unwrap().tests.unwrap();
        assert_eq!((tests.run, tests.failed, tests.unread), (61, 5, 2));
        assert_eq!(tests.failures, ["t55", "t56", "t57", "t58", "t59"]);
        assert_eq!(
            tests.unread_because,
            [
                "empty.XML: it is not XML: it has no element",
                "large.xml: counted only in part: it is larger than 16 MiB"
            ]
        );
        let email = world.inbox.messages.lock().unwrap()[0].email.clone();
        assert!(
            email.contains("Tests:      61 tests, 5 failed; 2 reports were counted only in part\n"),
            "{email}"
        );
        assert!(email.contains("Failed test: t55\n"), "{email}");
        assert!(email.contains("Not counted: empty.XML: it is not XML"), "{email}");
    }

    #[tokio::test]
    async fn only_so_much_is_read_of_all_reports_together() {
        let world = world();
        let report = |index| {
            (
                format!("TEST-{index:02}.xml"),
                "<testsuite><testcase name='t'/></testsuite>".to_owned(),
            )
        };
        *world.bucket.artifacts.lock().unwrap() = (0..10).map(report).collect();
        *world.bucket.listed_size.lock().unwrap() = u64::try_from(junit::LARGEST).ok();
        let run = world.started("one").await;
        world.exits(&job(&run, "test"), 0).await;
        let tests = world.build(&job(&run, "test")).await.found.unwrap().tests.unwrap();
        assert_eq!((tests.run, tests.unread), (8, 2));
        assert_eq!(
            tests.unread_because[0],
            "TEST-08.xml: Bellhop reads at most 1000 XML files, and 128 MiB in all"
        );
    }

    #[tokio::test]
    async fn a_report_of_another_tool_is_named_where_there_is_no_other() {
        let world = world();
        let only = [("results.xml".to_owned(), "<assemblies/>".to_owned())];
        *world.bucket.artifacts.lock().unwrap() = only.into();
        let run = world.started("one").await;
        world.exits(&job(&run, "test"), 0).await;
        let tests = world.build(&job(&run, "test")).await.found.unwrap().tests.unwrap();
        assert_eq!(
            tests.unread_because,
            ["results.xml: it is a test report of xUnit.net, expected one in JUnit's format"]
        );
    }

    #[tokio::test]
    async fn people_are_told_without_it_when_it_cannot_be_had() {
        let world = world();
        world.bucket.unlistable.store(1000, std::sync::atomic::Ordering::SeqCst);
        let run = world.started("one").await;
        let id = job(&run, "test");
        assert!(world.seen(&id, super::super::stopped(1)).await.is_err());
        assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Failed));
        for _ in 0..40 {
            let _ = world.sweep().await;
        }
        assert_eq!(world.told("build"), ["abandoned", "failed"]);
        assert_eq!(world.run(&run).await.status(), "failed");
        let event = BuildEvent::Collected {
            attempt: 1,
            found: bellhop_domain::found::Found::default(),
        };
        assert!(matches!(
            world.engine().build(&id, event).await.unwrap(),
            bellhop_engine::Handled::Ignored(_)
        ));
    }
}
