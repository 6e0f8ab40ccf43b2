//! The engine in a world that repeats, loses, refuses and fails.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod again;
mod alarms;
mod backups;
mod instances;
mod scheduling;
mod slow;
mod standing;
mod suites;
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::build::{BuildEvent, BuildState, Refusal};
use bellhop_domain::decision::Decision;
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::observation::{AgentStatus, ContainerEnd, Observation};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::run::RunEvent;
use bellhop_engine::ports::{Clock, Ledger, SourceFile};
use bellhop_engine::{FaultKind, Handled, Started};
use futures::future::join_all;
use jiff::Timestamp;
use world::{World, exited, job, push, script_ended, taken_back};

const RUNNING: AgentStatus = AgentStatus::Running { since: None };

fn calls(world: &World) -> Vec<String> {
    world.agents.calls.lock().unwrap().clone()
}

fn stopped(code: i32) -> AgentStatus {
    AgentStatus::Stopped(exited(code))
}

fn nothing() -> [String; 0] {
    []
}

mod counting {
    use super::*;
    use bellhop_domain::Capacity::Spot;
    use bellhop_domain::measure::Measure;

    fn counted(world: &World) -> Vec<Measure> {
        let mut counted = std::mem::take(&mut *world.meter.0.lock().unwrap());
        // How long things take here is the clock's business, which goes a millisecond further with each look.
        for measure in &mut counted {
            if let Measure::Queued(took) | Measure::Agent(_, took) = measure {
                *took = Duration::ZERO;
            }
        }
        counted
    }

    #[tokio::test]
    async fn what_happens_to_a_build_is_counted_once_however_often_it_is_told() {
        let world = World::new();
        let id = job(&world.started("one").await, "test");
        assert_eq!(counted(&world), [Measure::Attempt, Measure::Queued(Duration::ZERO)]);
        world.seen(&id, RUNNING).await.unwrap();
        for _ in 0..3 {
            world.exits(&id, 0).await;
        }
        assert_eq!(
            counted(&world),
            [Measure::Agent(Spot, Duration::ZERO), Measure::Build(Outcome::Succeeded)]
        );
    }

    #[tokio::test]
    async fn a_sweep_counts_how_long_the_oldest_has_been_overdue() {
        let world = World::new();
        world.sweep().await.unwrap();
        assert_eq!(counted(&world), []);
        let id = job(&world.started("one").await, "test");
        counted(&world);
        let due = world.build(&id).await.due().unwrap();
        let until = Duration::try_from(due.duration_since(world.clock.now())).unwrap();
        // What a sweep finds in its own pace is not overdue.
        world.clock.pass(until + Duration::from_secs(90));
        world.engine().sweep(Timestamp::MAX).await.unwrap();
        assert!(!counted(&world).iter().any(|measure| matches!(measure, Measure::Overdue(_))));
        let due = world.build(&id).await.due().unwrap();
        world.clock.pass(Duration::from_secs(3600));
        let now = world.clock.now();
        world.engine().sweep(Timestamp::MAX).await.unwrap();
        let Some(Measure::Overdue(overdue)) = counted(&world).first().copied() else {
            panic!("the sweep has counted nothing")
        };
        let expected = Duration::try_from(now.duration_since(due)).unwrap();
        assert!(
            overdue >= expected && overdue < expected + Duration::from_secs(1),
            "{overdue:?} for {expected:?}"
        );
    }
}

mod pushes {
    use super::*;
    use bellhop_engine::NothingWhy;
    use bellhop_engine::Started::Nothing;

    async fn started(world: &World) -> Started {
        world.starter().push(&push("one")).await.unwrap()
    }

    async fn rejected(world: &World) -> String {
        let Started::Rejected { id, message } = started(world).await else {
            panic!("not rejected")
        };
        assert_eq!(world.told("run"), ["rejected"]);
        assert_eq!(calls(world), nothing());
        assert!(
            world
                .bucket
                .object(&format!("runs/{id}/report.json"))
                .unwrap()
                .contains("\"rejected\"")
        );
        // What was wrong is told once, however often the push comes.
        assert_eq!(started(world).await, Started::Again(id.clone()));
        assert_eq!(world.told("run"), ["rejected"]);
        assert_eq!(world.run(&id).await.due(), None);
        message
    }

    #[tokio::test]
    async fn a_push_that_comes_five_times_starts_one_run_with_one_agent() {
        let world = World::new();
        let id = world.started("one").await;
        for _ in 0..4 {
            assert_eq!(started(&world).await, Started::Again(id.clone()));
        }
        assert_eq!(calls(&world), ["test/1 on spot"]);
        assert_eq!(world.build(&job(&id, "test")).await.status(), "launching");
    }

    #[tokio::test]
    async fn a_push_that_comes_five_times_at_once_starts_one_run_with_one_agent() {
        let world = World::new();
        let (starter, push) = (world.starter(), push("one"));
        let all = join_all((0..5).map(|_| starter.push(&push))).await;
        let new = all.iter().filter(|started| matches!(started, Ok(Started::Run { .. }))).count();
        let again = all.iter().filter(|started| matches!(started, Ok(Started::Again(_)))).count();
        assert_eq!((new, again), (1, 4));
        assert_eq!(calls(&world), ["test/1 on spot"]);
    }

    #[tokio::test]
    async fn two_branches_at_the_same_trigger_start_two_runs() {
        let world = World::new();
        world.started("one").await;
        let mut other = push("one");
        other.reference = "refs/heads/other".parse().unwrap();
        assert!(matches!(
            world.starter().push(&other).await.unwrap(),
            Started::Run { builds: 1, .. }
        ));
    }

    #[tokio::test]
    async fn a_repository_without_a_pipeline_file_starts_nothing() {
        let world = World::new();
        *world.repository.pipeline.lock().unwrap() = None;
        assert_eq!(started(&world).await, Nothing(NothingWhy::NoPipelineFile));
        assert_eq!(world.told("run"), nothing());
    }

    #[tokio::test]
    async fn a_commit_that_asks_to_be_skipped_starts_nothing_even_with_a_bad_file() {
        let world = World::new();
        world.pipeline("nonsense: [");
        *world.repository.message.lock().unwrap() = "A word [Skip CI]".to_owned();
        assert!(matches!(started(&world).await, Nothing(_)));
        assert_eq!(world.told("run"), nothing());
    }

    #[tokio::test]
    async fn a_tag_on_a_commit_that_asks_to_be_skipped_is_built() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { tags: ['v*'] } } }\n");
        *world.repository.message.lock().unwrap() = "Release 1.2 [skip ci]".to_owned();
        let mut tag = push("tag");
        tag.reference = "refs/tags/v1.2".parse().unwrap();
        assert!(matches!(world.starter().push(&tag).await.unwrap(), Started::Run { builds: 1, .. }));
    }

    #[tokio::test]
    async fn an_annotated_tag_that_is_told_by_its_own_id_is_built_at_its_commit() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { tags: ['v*'] } } }\n");
        let mut tag = push("tag");
        tag.reference = "refs/tags/v1.2".parse().unwrap();
        let of = push("any").commit;
        tag.commit = "a".repeat(40).parse().unwrap();
        *world.repository.tag.lock().unwrap() = Some((tag.commit.clone(), of.clone()));
        let Started::Run { id, .. } = world.starter().push(&tag).await.unwrap() else {
            panic!("not started")
        };
        assert_eq!(world.run(&id).await.commit, of);
        assert_eq!(world.build(&job(&id, "test")).await.spec.commit, of);
    }

    #[tokio::test]
    async fn a_commit_that_is_not_there_is_no_commit_without_a_file() {
        let world = World::new();
        world.repository.gone.store(true, Ordering::SeqCst);
        assert_eq!(started(&world).await, Nothing(NothingWhy::NoCommit));
    }

    #[tokio::test]
    async fn a_pipeline_file_of_nearly_the_right_name_rejects_the_push() {
        for name in [".bellhop.yml", ".Bellhop.yaml", ".BELLHOP.YML"] {
            let world = World::new();
            *world.repository.pipeline.lock().unwrap() = None;
            *world.repository.files.lock().unwrap() = vec!["README.md".to_owned(), name.to_owned()];
            assert_eq!(
                rejected(&world).await,
                format!("{name}: expected .bellhop.yaml as the name of the pipeline file")
            );
            assert_eq!(world.told("run"), ["rejected"]);
        }
        // As the administrators of a suite keep it in a repository of theirs.
        let world = World::new();
        *world.repository.pipeline.lock().unwrap() = None;
        *world.repository.files.lock().unwrap() = vec!["bellhop.yaml".to_owned()];
        assert_eq!(started(&world).await, Nothing(NothingWhy::NoPipelineFile));
    }

    #[tokio::test]
    async fn an_empty_commit_asks_for_a_build() {
        for paths in ["'!docs/**'", "'src/**'"] {
            let world = World::new();
            world.pipeline(&format!(
                "version: 1\njobs:\n  test: {{ agent: small, run: make, on: {{ push: {{ paths: [{paths}] }} }} }}\n"
            ));
            *world.repository.changed.lock().unwrap() = Some(Vec::new());
            let mut empty = push("empty");
            empty.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
            assert!(
                matches!(world.starter().push(&empty).await.unwrap(), Started::Run { .. }),
                "{paths}"
            );
        }
    }

    #[tokio::test]
    async fn a_suite_without_a_configuration_rejects_the_push() {
        let world = World::new();
        *world.bucket.configuration.lock().unwrap() = None;
        let message = rejected(&world).await;
        assert!(message.contains("s3://suite/config/bellhop.yaml does not exist"), "{message}");
    }

    #[tokio::test]
    async fn a_suite_configuration_that_cannot_be_read_rejects_the_push() {
        let world = World::new();
        world.configure_with("notfy: {}");
        let message = rejected(&world).await;
        assert!(message.contains("notfy") && message.contains("notify"), "{message}");
        // The same where nobody may list earlier ones.
        let world = World::new();
        world.configure_with("notfy: {}");
        world.bucket.versions_denied.store(true, Ordering::SeqCst);
        assert_eq!(rejected(&world).await, message);
    }

    #[tokio::test]
    async fn the_last_sound_configuration_serves_while_a_broken_one_is_told_once() {
        let world = World::new();
        let sound = world.bucket.configuration.lock().unwrap().clone().unwrap();
        world.bucket.earlier.lock().unwrap().extend([sound.clone(), "notfy: {}".to_owned()]);
        world.configure_with("notfy: {}");
        let first = world.started("one").await;
        world.exits(&job(&first, "test"), 0).await;
        world.started("two").await;
        assert_eq!(world.told("suite"), ["configuration-broken"]);
        assert_eq!(world.told("run"), nothing());
        world.clock.pass(Duration::from_secs(300));
        world.sweep().await.unwrap();
        assert_eq!(world.told("suite"), ["configuration-broken"], "it is not mended yet");
        world.configure(&sound);
        world.clock.pass(Duration::from_secs(300));
        world.sweep().await.unwrap();
        assert_eq!(world.told("suite"), ["configuration-broken", "configuration-mended"]);
        world.clock.pass(Duration::from_secs(3600));
        world.sweep().await.unwrap();
        assert_eq!(world.told("suite").len(), 2);
    }

    #[tokio::test]
    async fn a_pipeline_file_that_cannot_be_read_rejects_the_push() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agnet: small, run: make }\n");
        let message = rejected(&world).await;
        assert!(
            message.contains(".bellhop.yaml, line 3") && message.contains("`agent`"),
            "{message}"
        );
        for file in [SourceFile::NotText, SourceFile::TooLarge] {
            let world = World::new();
            *world.repository.pipeline.lock().unwrap() = Some(file);
            let message = rejected(&world).await;
            assert!(message.starts_with(".bellhop.yaml: "), "{message}");
        }
    }

    #[tokio::test]
    async fn an_unknown_agent_rejects_the_push() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agent: smal, run: make }\n");
        let message = rejected(&world).await;
        assert!(
            message.contains("jobs.test.agent") && message.contains("did you mean `small`"),
            "{message}"
        );
    }

    #[tokio::test]
    async fn paths_are_compared_only_where_they_count_and_can_be() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, on: { push: { paths: [\"src/**\"] } } }\n");
        *world.repository.changed.lock().unwrap() = Some(vec!["README.md".to_owned()]);
        let mut later = push("later");
        later.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
        assert!(matches!(world.starter().push(&later).await.unwrap(), Nothing(_)));
        assert_eq!(world.repository.comparisons.load(Ordering::SeqCst), 1);
        // Nothing to compare with: a new branch.
        world.started("new").await;
        assert_eq!(world.repository.comparisons.load(Ordering::SeqCst), 1);
        // Too much to compare.
        *world.repository.changed.lock().unwrap() = None;
        assert!(matches!(world.starter().push(&later).await.unwrap(), Started::Run { .. }));
        *world.repository.changed.lock().unwrap() = Some(vec!["src/main.rs".to_owned()]);
        later.trigger = "another".to_owned();
        assert!(matches!(world.starter().push(&later).await.unwrap(), Started::Run { .. }));
    }

    #[tokio::test]
    async fn a_pipeline_without_paths_compares_nothing() {
        let world = World::new();
        let mut later = push("later");
        later.previous = Some("fedcba9876543210fedcba9876543210fedcba98".parse().unwrap());
        world.starter().push(&later).await.unwrap();
        assert_eq!(world.repository.comparisons.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_large_script_goes_through_the_bucket() {
        let world = World::new();
        let script = "echo a rather long line of a rather long script\n".repeat(300);
        let indented = script.replace("echo", "        echo");
        world.pipeline(&format!(
            "version: 1\njobs:\n  test:\n    agent: small\n    run: |\n{indented}\n  lint: {{ agent: small, run: make lint }}\n"
        ));
        let id = world.started("one").await;
        let stored = world.bucket.object(&format!("scripts/{id}/test")).unwrap();
        assert_eq!(stored.trim_end(), script.trim_end());
        assert_eq!(world.bucket.object(&format!("scripts/{id}/lint")), None);
        let record = serde_json::to_string(&world.build(&job(&id, "test")).await).unwrap();
        assert!(!record.contains("a rather long line"), "the record holds the script");
    }

    #[tokio::test]
    async fn a_run_that_is_stored_is_not_started_again_by_the_push_that_comes_again() {
        let world = World::new();
        world.agents.lost_replies.store(1, Ordering::SeqCst);
        assert!(world.starter().push(&push("one")).await.is_err());
        assert!(matches!(started(&world).await, Started::Again(_)));
    }
}

mod builds {
    use super::*;

    async fn up(world: &World) -> BuildId {
        let id = job(&world.started("one").await, "test");
        world.seen(&id, RUNNING).await.unwrap();
        id
    }

    #[tokio::test]
    async fn a_build_from_push_to_report() {
        let world = World::new();
        let id = up(&world).await;
        assert_eq!(world.build(&id).await.status(), "running");
        world.exits(&id, 2).await;
        assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Failed));
        assert_eq!(world.run(&id.run).await.status(), "failed");
        assert_eq!(world.told("build"), ["failed"]);
        assert_eq!(world.told("run"), ["failed"]);
        let report = world.bucket.object(&format!("runs/{}/report.json", id.run)).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["status"], "failed");
        assert_eq!(report["builds"][0]["attempts"][0]["capacity"], "spot");
        assert_eq!(world.build(&id).await.due(), None);
        assert_eq!(world.run(&id.run).await.due(), None);
    }

    #[tokio::test]
    async fn five_warnings_at_once_launch_one_replacement_and_tell_it_once() {
        let world = World::new();
        let id = up(&world).await;
        let handled = join_all((0..5).map(|_| world.seen(&id, AgentStatus::Interrupted))).await;
        let done = handled.iter().filter(|handled| matches!(handled, Ok(Handled::Done))).count();
        assert_eq!(done, 1);
        assert!(handled.iter().all(Result::is_ok));
        assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
        assert_eq!(world.told("build"), ["retrying"]);
        assert_eq!(world.build(&id).await.attempts.len(), 2);
    }

    #[tokio::test]
    async fn no_spot_capacity_is_answered_on_demand_in_the_same_breath() {
        let world = World::new();
        let none = Refusal::NoCapacity("Capacity is unavailable at this time".to_owned());
        world.agents.refusals.lock().unwrap().push_back(none);
        let id = job(&world.started("one").await, "test");
        assert_eq!(calls(&world), ["test/1 on spot", "test/1 on on-demand"]);
        assert_eq!(world.build(&id).await.attempts.len(), 1);
    }

    #[tokio::test]
    async fn a_throttled_launch_is_tried_again_by_the_sweep() {
        let world = World::new();
        let slow = Refusal::Throttled("Rate exceeded".to_owned());
        world.agents.refusals.lock().unwrap().push_back(slow);
        let id = job(&world.started("one").await, "test");
        assert_eq!(world.build(&id).await.status(), "queued");
        assert_eq!(world.sweep().await.unwrap().advanced, 1);
        assert_eq!(calls(&world), ["test/1 on spot", "test/1 on spot"]);
        assert_eq!(world.agents.live(), ["test/1 on spot"]);
    }

    #[tokio::test]
    async fn a_launch_whose_reply_is_lost_is_repeated_without_a_second_agent() {
        let world = World::new();
        world.agents.lost_replies.store(1, Ordering::SeqCst);
        let fault = world.starter().push(&push("one")).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Passing);
        let run = world.ledger.runs_of(&push("one").repository, None, 1).await.unwrap();
        let id = job(&run[0].record.id, "test");
        assert_eq!(world.build(&id).await.attempts[0].agent, None);
        // Whoever is at it is given a minute.
        assert_eq!(world.engine().sweep(Timestamp::MAX).await.unwrap().due, 0);
        assert_eq!(world.sweep().await.unwrap().advanced, 1);
        assert_eq!(calls(&world), ["test/1 on spot", "test/1 on spot"]);
        assert_eq!(world.agents.live(), ["test/1 on spot"]);
        assert_eq!(world.build(&id).await.attempts[0].agent, Some(world.agents.all()[0].clone()));
    }

    #[tokio::test]
    async fn an_agent_whose_launch_was_never_answered_is_known_by_its_first_event() {
        let world = World::new();
        world.agents.lost_replies.store(1, Ordering::SeqCst);
        world.starter().push(&push("one")).await.unwrap_err();
        let run = world.ledger.runs_of(&push("one").repository, None, 1).await.unwrap();
        let id = job(&run[0].record.id, "test");
        world.seen_of(&id, 1, world.agents.all()[0].clone(), RUNNING).await.unwrap();
        world.exits(&id, 0).await;
        assert_eq!(world.run(&id.run).await.status(), "succeeded");
        world.sweep().await.unwrap();
        assert_eq!(calls(&world), ["test/1 on spot"]);
    }

    #[tokio::test]
    async fn the_replacement_on_the_wire_is_found_and_stopped_when_the_first_attempt_succeeds() {
        let world = World::new();
        let id = up(&world).await;
        world.agents.lost_replies.store(1, Ordering::SeqCst);
        world.seen(&id, AgentStatus::Interrupted).await.unwrap_err();
        let first = world.build(&id).await.attempts[0].agent.clone().unwrap();
        *world.bucket.report.lock().unwrap() = Some(script_ended(0));
        world
            .seen_of(&id, 1, first.clone(), AgentStatus::Stopped(taken_back()))
            .await
            .unwrap();
        assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Succeeded));
        let second = world.agents.all().into_iter().find(|agent| *agent != first).unwrap();
        assert_eq!(*world.agents.stops.lock().unwrap(), [second]);
    }

    #[tokio::test]
    async fn what_people_could_not_be_told_is_told_by_the_sweep() {
        let world = World::new();
        let id = up(&world).await;
        world.inbox.closed.store(1, Ordering::SeqCst);
        assert!(world.seen(&id, AgentStatus::Stopped(exited(1))).await.is_err());
        assert_eq!(world.told("build"), nothing());
        // The rest was not held up by it.
        assert_eq!(world.run(&id.run).await.status(), "failed");
        assert_eq!(world.told("run"), ["failed"]);
        world.sweep().await.unwrap();
        assert_eq!(world.told("build"), ["failed"]);
        assert_eq!(world.build(&id).await.due(), None);
        assert_eq!(world.sweep().await.unwrap().due, 0);
        assert_eq!(world.told("build"), ["failed"]);
    }

    #[tokio::test]
    async fn a_failed_effect_is_performed_when_the_same_event_comes_again_a_minute_later() {
        let world = World::new();
        let id = up(&world).await;
        world.inbox.closed.store(1, Ordering::SeqCst);
        assert!(world.seen(&id, AgentStatus::Stopped(exited(1))).await.is_err());
        world.clock.pass(Duration::from_secs(61));
        assert_eq!(world.seen(&id, AgentStatus::Stopped(exited(1))).await.unwrap(), Handled::Done);
        assert_eq!(world.told("build"), ["failed"]);
    }

    #[tokio::test]
    async fn a_conflict_is_decided_anew() {
        let world = World::new();
        let id = up(&world).await;
        world.ledger.conflicts.store(8, Ordering::SeqCst);
        assert_eq!(world.seen(&id, AgentStatus::Interrupted).await.unwrap(), Handled::Done);
        assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
    }

    #[tokio::test]
    async fn conflicts_without_end_are_a_fault_and_nothing_is_done() {
        let world = World::new();
        let id = up(&world).await;
        world.ledger.conflicts.store(9, Ordering::SeqCst);
        let fault = world.seen(&id, AgentStatus::Interrupted).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Passing);
        assert_eq!(calls(&world), ["test/1 on spot"]);
        assert_eq!(world.told("build"), nothing());
    }

    #[tokio::test]
    async fn a_write_that_conflicts_with_itself_is_followed_by_its_effects_at_once() {
        let world = World::new();
        let id = up(&world).await;
        world.ledger.lost_replies.store(1, Ordering::SeqCst);
        assert_eq!(world.seen(&id, AgentStatus::Interrupted).await.unwrap(), Handled::Done);
        assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
        assert_eq!(world.told("build"), ["retrying"]);
        world.ledger.lost_replies.store(100, Ordering::SeqCst);
        world.exits(&id, 0).await;
        world.ledger.lost_replies.store(0, Ordering::SeqCst);
        assert_eq!(world.run(&id.run).await.status(), "succeeded");
        assert!(world.bucket.object(&format!("runs/{}/report.json", id.run)).is_some());
    }

    #[tokio::test]
    async fn what_is_not_of_this_suite_is_unknown() {
        let world = World::new();
        let id: BuildId = "aaaaaaaaaa/test".parse().unwrap();
        let agent = "arn:aws:ecs:us-east-1:123456789012:task/ci/x".parse().unwrap();
        assert_eq!(world.seen_of(&id, 1, agent, RUNNING).await.unwrap(), Handled::Unknown);
    }

    #[tokio::test]
    async fn an_agents_report_is_read_only_where_the_exit_code_leaves_something_to_ask() {
        let reads = |world: &World| world.bucket.reports_read.load(Ordering::SeqCst);
        let mut beside_another = exited(0);
        beside_another.containers.push(ContainerEnd {
            name: "router".to_owned(),
            exit_code: Some(0),
            reason: None,
        });
        for (stop, expected) in [(exited(0), 0), (exited(1), 1), (taken_back(), 1), (beside_another, 1)] {
            let world = World::new();
            let id = up(&world).await;
            world.seen(&id, AgentStatus::Stopped(stop.clone())).await.unwrap();
            assert_eq!(reads(&world), expected, "{stop:?}");
            world
                .seen_of(&id, 1, world.agents.all()[0].clone(), AgentStatus::Stopped(stop))
                .await
                .unwrap();
            assert_eq!(reads(&world), expected, "an attempt that is over");
        }
    }

    #[tokio::test]
    async fn a_success_under_a_warning_counts_if_the_report_proves_it() {
        for (report, outcome) in [(None, None), (Some(script_ended(0)), Some(Outcome::Succeeded))] {
            let world = World::new();
            let id = up(&world).await;
            let first = world.agents.all()[0].clone();
            world.seen(&id, AgentStatus::Interrupted).await.unwrap();
            *world.bucket.report.lock().unwrap() = report;
            world.seen_of(&id, 1, first, AgentStatus::Stopped(exited(0))).await.unwrap();
            assert_eq!(world.build(&id).await.outcome(), outcome);
        }
    }
}

mod runs {
    use super::*;

    const CHAIN: &str = "
version: 1
jobs:
  test: { agent: small, run: make test }
  lint: { agent: small, run: make lint }
  image: { agent: small, run: make image, needs: [test, lint] }
  deploy: { agent: small, run: make deploy, needs: [image] }
";

    #[tokio::test]
    async fn a_job_is_released_when_all_that_it_needs_has_succeeded() {
        let world = World::new();
        world.pipeline(CHAIN);
        let run = world.started("one").await;
        assert_eq!(calls(&world), ["test/1 on spot", "lint/1 on spot"]);
        world.exits(&job(&run, "test"), 0).await;
        assert_eq!(world.build(&job(&run, "image")).await.status(), "blocked");
        world.exits(&job(&run, "lint"), 0).await;
        assert_eq!(calls(&world)[2..], ["image/1 on spot"]);
        world.exits(&job(&run, "image"), 0).await;
        world.exits(&job(&run, "deploy"), 0).await;
        assert_eq!(world.run(&run).await.status(), "succeeded");
        assert_eq!(world.sweep().await.unwrap().due, 0);
    }

    #[tokio::test]
    async fn both_jobs_that_a_third_needs_may_end_at_the_same_moment() {
        let world = World::new();
        world.pipeline(CHAIN);
        let run = world.started("one").await;
        let (test, lint) = (job(&run, "test"), job(&run, "lint"));
        futures::future::join(world.exits(&test, 0), world.exits(&lint, 0)).await;
        assert_eq!(calls(&world)[2..], ["image/1 on spot"]);
    }

    #[tokio::test]
    async fn a_failure_skips_what_needs_it_and_the_report_says_so() {
        let world = World::new();
        world.pipeline(CHAIN);
        let run = world.started("one").await;
        world.exits(&job(&run, "test"), 1).await;
        assert_eq!(world.run(&run).await.status(), "open");
        world.exits(&job(&run, "lint"), 0).await;
        assert_eq!(world.run(&run).await.status(), "failed");
        for skipped in ["image", "deploy"] {
            assert_eq!(world.build(&job(&run, skipped)).await.outcome(), Some(Outcome::Skipped));
        }
        assert_eq!(calls(&world), ["test/1 on spot", "lint/1 on spot"]);
        assert_eq!(world.told("build"), ["failed"]);
        assert_eq!(world.told("run"), ["failed"]);
        let report = world.bucket.object(&format!("runs/{run}/report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let statuses: Vec<&str> = (0..4).map(|index| report["builds"][index]["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["failed", "succeeded", "skipped", "skipped"]);
    }

    /// How several runs of one branch end, one after the other, and what is told of them.
    async fn told(world: &World, exit_codes: &[i32]) -> (Vec<String>, Vec<String>) {
        for (index, code) in exit_codes.iter().enumerate() {
            let run = world.started(&format!("push {index}")).await;
            world.exits(&job(&run, "test"), *code).await;
        }
        (world.told("build"), world.told("run"))
    }

    #[tokio::test]
    async fn a_success_is_told_after_a_failure_only() {
        let world = World::new();
        let expected = ["failed", "succeeded", "failed"].map(ToOwned::to_owned).to_vec();
        assert_eq!(told(&world, &[0, 1, 0, 0, 1]).await, (expected.clone(), expected));
    }

    #[tokio::test]
    async fn every_success_is_told_where_the_configuration_says_so() {
        let world = World::new();
        world.configure_with("notify: { successes: all }");
        let expected = ["succeeded", "failed", "succeeded", "succeeded"].map(ToOwned::to_owned).to_vec();
        assert_eq!(told(&world, &[0, 1, 0, 0]).await, (expected.clone(), expected));
    }

    #[tokio::test]
    async fn no_success_is_told_where_the_configuration_says_so() {
        let world = World::new();
        world.configure_with("notify: { successes: none }");
        let expected = ["failed"].map(ToOwned::to_owned).to_vec();
        assert_eq!(told(&world, &[0, 1, 0, 0]).await, (expected.clone(), expected));
    }

    fn many(count: usize) -> String {
        let jobs: String = (0..count)
            .map(|index| format!("  job-{index}: {{ agent: small, run: make }}\n"))
            .collect();
        format!("version: 1\njobs:\n{jobs}")
    }

    #[tokio::test]
    async fn a_run_with_more_jobs_than_a_transaction_takes_runs_all_of_them() {
        let world = World::new();
        world.pipeline(&many(120));
        let run = world.started("one").await;
        assert_eq!(calls(&world).len(), 120);
        assert_eq!(world.agents.live().len(), 120);
        assert_eq!(world.run(&run).await.due(), None);
        for index in 0..120 {
            world.exits(&job(&run, &format!("job-{index}")), 0).await;
        }
        assert_eq!(world.run(&run).await.status(), "succeeded");
        assert_eq!(world.sweep().await.unwrap().due, 0);
    }

    #[tokio::test]
    async fn a_large_run_whose_creator_dies_after_the_write_is_started_by_the_sweep() {
        let world = World::new();
        world.pipeline(&many(120));
        // Every launch takes place, and none is answered.
        world.agents.lost_replies.store(usize::MAX, Ordering::SeqCst);
        assert!(world.starter().push(&push("one")).await.is_err());
        world.agents.lost_replies.store(0, Ordering::SeqCst);
        assert_eq!(world.agents.live().len(), 120);
        world.sweep().await.unwrap();
        assert_eq!(world.agents.live().len(), 120, "a second agent for an attempt");
        let run = world
            .ledger
            .runs_of(&push("one").repository, None, 1)
            .await
            .unwrap()
            .remove(0)
            .record
            .id;
        for build in world.ledger.builds_of(&run).await.unwrap() {
            assert!(build.record.attempts[0].agent.is_some());
        }
        world.sweep().await.unwrap();
        assert_eq!(world.run(&run).await.due(), None);
    }
}

mod sweeps {
    use super::*;

    async fn three(world: &World) -> (RunId, [BuildId; 3]) {
        world.pipeline(
            "version: 1\njobs:\n  a: { agent: small, run: make }\n  b: { agent: small, run: make }\n  c: { agent: small, run: make }\n",
        );
        let run = world.started("one").await;
        let builds = ["a", "b", "c"].map(|name| job(&run, name));
        (run, builds)
    }

    #[tokio::test]
    async fn an_agent_whose_events_were_all_lost_is_found_by_asking() {
        let world = World::new();
        let id = job(&world.started("one").await, "test");
        world.sweep().await.unwrap();
        assert_eq!(world.build(&id).await.status(), "running");
        world.agents.end(&world.agents.all()[0], AgentStatus::Stopped(exited(0)));
        world.clock.pass(Duration::from_secs(300));
        world.sweep().await.unwrap();
        assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Succeeded));
    }

    #[tokio::test]
    async fn an_agent_that_the_service_does_not_know_any_more_is_judged_by_its_report() {
        for (report, status) in [(Some(script_ended(0)), "succeeded"), (None, "queued")] {
            let world = World::new();
            let id = job(&world.started("one").await, "test");
            world.agents.forget(&world.agents.all()[0]);
            *world.bucket.report.lock().unwrap() = report;
            world.sweep().await.unwrap();
            assert_eq!(world.build(&id).await.status(), status);
        }
    }

    #[tokio::test]
    async fn a_build_that_runs_too_long_is_stopped_and_over() {
        let world = World::new();
        let id = job(&world.started("one").await, "test");
        world.seen(&id, RUNNING).await.unwrap();
        world.clock.pass(Duration::from_secs(3600));
        world.sweep().await.unwrap();
        assert_eq!(world.run(&id.run).await.status(), "timed-out");
        assert_eq!(*world.agents.stops.lock().unwrap(), world.agents.all());
        // It does not listen: it is told again until it has stopped.
        world.sweep().await.unwrap();
        assert_eq!(world.agents.stops.lock().unwrap().len(), 2);
        world.agents.end(&world.agents.all()[0], AgentStatus::Stopped(exited(0)));
        world.sweep().await.unwrap();
        let build = world.build(&id).await;
        assert!(matches!(
            build.state,
            BuildState::Finished {
                outcome: Outcome::TimedOut,
                ..
            }
        ));
        assert_eq!(build.due(), None);
    }

    /// Found by the simulation: only what had not been heard of for five minutes was asked for, and a shorter timeout struck before.
    #[tokio::test]
    async fn an_agent_that_ended_in_time_is_asked_for_before_it_is_held_to_its_timeout() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, timeout: 1m }\n");
        let id = job(&world.started("one").await, "test");
        world.seen(&id, RUNNING).await.unwrap();
        world.agents.end(&world.agents.all()[0], AgentStatus::Stopped(exited(0)));
        world.sweep().await.unwrap();
        assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Succeeded));
        assert_eq!(*world.agents.stops.lock().unwrap(), []);
    }

    #[tokio::test]
    async fn one_record_that_cannot_be_read_holds_up_no_other() {
        let world = World::new();
        let (_, builds) = three(&world).await;
        *world.ledger.unreadable.lock().unwrap() = Some(builds[1].clone());
        let fault = world.sweep().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Lasting);
        *world.ledger.unreadable.lock().unwrap() = None;
        let mut statuses = Vec::new();
        for build in &builds {
            statuses.push(world.build(build).await.status());
        }
        assert_eq!(statuses, ["running", "launching", "running"]);
    }

    #[tokio::test]
    async fn agents_that_could_not_be_asked_for_are_not_held_to_their_time() {
        let world = World::new();
        let id = job(&world.started("one").await, "test");
        world.clock.pass(Duration::from_secs(3600));
        world.agents.silent.store(1, Ordering::SeqCst);
        assert!(world.sweep().await.is_err());
        assert_eq!(*world.agents.stops.lock().unwrap(), []);
        world.sweep().await.unwrap();
        assert_eq!(world.build(&id).await.status(), "running");
    }

    #[tokio::test]
    async fn a_silent_service_does_not_hold_up_what_needs_no_answer_from_it() {
        let world = World::new();
        let (_, [a, b, _]) = three(&world).await;
        world.inbox.closed.store(1, Ordering::SeqCst);
        assert!(world.seen(&a, AgentStatus::Stopped(exited(1))).await.is_err());
        world.agents.silent.store(1, Ordering::SeqCst);
        assert!(world.sweep().await.is_err());
        assert_eq!(world.told("build"), ["failed"]);
        assert_eq!(world.build(&b).await.status(), "launching");
    }

    #[tokio::test]
    async fn nothing_new_is_begun_when_time_is_up() {
        let world = World::new();
        three(&world).await;
        world.clock.pass(Duration::from_secs(120));
        let swept = world.engine().sweep(Timestamp::MIN).await.unwrap();
        assert_eq!((swept.due, swept.left, swept.advanced), (3, 3, 0));
    }

    /// A pipeline file with so many jobs.
    fn many(world: &World, jobs: usize) {
        let jobs: String = (0..jobs)
            .map(|number| format!("  job-{number}: {{ agent: small, run: make }}\n"))
            .collect();
        world.pipeline(&format!("version: 1\njobs:\n{jobs}"));
    }

    fn throttle(world: &World, times: usize) {
        let slow = || Refusal::Throttled("Rate exceeded".to_owned());
        *world.agents.refusals.lock().unwrap() = std::iter::repeat_with(slow).take(times).collect();
    }

    fn in_seconds(world: &World, seconds: u64) -> Timestamp {
        world.clock.now().checked_add(Duration::from_secs(seconds)).unwrap()
    }

    async fn statuses(world: &World, run: &RunId) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for build in world.ledger.builds_of(run).await.unwrap() {
            *counts.entry(build.record.status()).or_default() += 1;
        }
        counts
    }

    #[tokio::test]
    async fn a_sweep_goes_on_until_everything_that_was_throttled_is_launched() {
        let world = World::new();
        many(&world, 90);
        throttle(&world, 90 + 40);
        let run = world.started("one").await;
        assert_eq!(statuses(&world, &run).await, BTreeMap::from([("queued", 90)]));
        world.clock.pass(Duration::from_secs(3));
        let swept = world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
        assert_eq!(statuses(&world, &run).await, BTreeMap::from([("launching", 90)]));
        assert_eq!((calls(&world).len(), swept.left), (90 + 40 + 90, 0));
        assert_eq!(world.agents.live().len(), 90);
        // There is nothing more to wait for.
        let before = world.clock.now();
        world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
        assert!(world.clock.now().duration_since(before).as_secs() < 1);
    }

    #[tokio::test]
    async fn what_becomes_due_while_a_sweep_launches_is_launched_by_it() {
        let world = World::new();
        many(&world, 60);
        throttle(&world, 60);
        let earlier = world.started("one").await;
        world.clock.pass(Duration::from_secs(3));
        throttle(&world, 60);
        let later = world.started("two").await;
        world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
        for run in [earlier, later] {
            assert_eq!(statuses(&world, &run).await, BTreeMap::from([("launching", 60)]));
        }
    }

    #[tokio::test]
    async fn a_service_that_refuses_every_launch_is_asked_ever_less_often_until_the_time_is_up() {
        let world = World::new();
        many(&world, 90);
        throttle(&world, 100_000);
        world.started("one").await;
        let asked = calls(&world).len();
        world.clock.pass(Duration::from_secs(3));
        let until = in_seconds(&world, 58);
        world.engine().sweep(until).await.unwrap();
        let asked = calls(&world).len() - asked;
        assert!((100..300).contains(&asked), "asked {asked} times");
        assert!(world.clock.now() >= until);
        assert!(world.clock.now() < until.checked_add(Duration::from_secs(2)).unwrap());
    }

    #[tokio::test]
    async fn a_sweep_works_off_more_than_it_reads_at_a_time() {
        let world = World::new();
        many(&world, 60);
        let mut runs = Vec::new();
        for number in 0..20 {
            runs.push(world.started(&format!("push-{number}")).await);
        }
        let swept = world.sweep().await.unwrap();
        assert_eq!((swept.due, swept.advanced, swept.left), (1200, 1200, 0));
        for run in &runs {
            assert_eq!(statuses(&world, run).await, BTreeMap::from([("running", 60)]));
        }
    }

    #[tokio::test]
    async fn nothing_else_waits_behind_launches() {
        let world = World::new();
        let unheard = job(&world.started("one").await, "test");
        many(&world, 60);
        throttle(&world, 100_000);
        let mut runs = Vec::new();
        for number in 0..20 {
            runs.push(world.started(&format!("push-{number}")).await);
        }
        world.clock.pass(Duration::from_secs(61));
        let swept = world.engine().sweep(in_seconds(&world, 5)).await.unwrap();
        assert_eq!(world.build(&unheard).await.status(), "running");
        assert!(swept.left > 500, "{swept:?}");
        assert_eq!(statuses(&world, &runs[19]).await, BTreeMap::from([("queued", 60)]));
        // The line stands as it stood: those that wait longest come first.
        *world.agents.refusals.lock().unwrap() = VecDeque::new();
        for _ in 0..3 {
            world.engine().sweep(in_seconds(&world, 58)).await.unwrap();
        }
        for run in &runs {
            assert_eq!(statuses(&world, run).await, BTreeMap::from([("launching", 60)]));
        }
        assert_eq!(world.agents.live().len(), 1201);
    }

    #[tokio::test]
    async fn a_queued_build_that_cannot_be_read_holds_up_no_launch() {
        let world = World::new();
        many(&world, 3);
        throttle(&world, 3);
        let run = world.started("one").await;
        *world.ledger.unreadable.lock().unwrap() = Some(job(&run, "job-1"));
        let fault = world.sweep().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Lasting);
        assert_eq!(statuses(&world, &run).await, BTreeMap::from([("launching", 2), ("queued", 1)]));
        *world.ledger.unreadable.lock().unwrap() = None;
        world.sweep().await.unwrap();
        assert_eq!(world.build(&job(&run, "job-1")).await.status(), "launching");
    }

    /// Found by the simulation. The run has released a build and not struck that out, the build has ended and not told the run: each record's overdue
    /// effect led to the other record, whose overdue effect led back, without end.
    #[tokio::test]
    async fn a_run_and_its_build_that_both_have_something_overdue_for_each_other_come_to_an_end() {
        let world = World::new();
        world.pipeline("version: 1\njobs:\n  a: { agent: small, run: make }\n  b: { agent: small, run: make, needs: [a] }\n");
        let run = world.started("one").await;
        let [a, b] = ["a", "b"].map(|name| job(&run, name));
        let before = world.run(&run).await;
        world.exits(&a, 0).await;
        // The function that released `b` died before it could write so.
        let told = RunEvent::BuildFinished {
            job: a.job.clone(),
            outcome: Outcome::Succeeded,
            cause: None,
            tests: None,
        };
        let Decision::Next(releasing) = before.decide(&told, world.clock.now()) else {
            panic!("the run ignores the end of its build")
        };
        let stored = world.ledger.run(&run).await.unwrap().unwrap().version;
        world.ledger.update_run(stored, &releasing).await.unwrap();
        // The one that decided on the end of `b` died before it could tell the run.
        let stored = world.ledger.build(&b).await.unwrap().unwrap();
        let ended = BuildEvent::Agent {
            attempt: 1,
            observation: Observation {
                agent: stored.record.attempts[0].agent.clone().unwrap(),
                version: None,
                capacity: None,
                status: AgentStatus::Stopped(exited(0)),
            },
        };
        let Decision::Next(finished) = stored.record.decide(&ended, world.clock.now()) else {
            panic!("the build ignores the end of its agent")
        };
        world.ledger.update_build(stored.version, &finished).await.unwrap();

        world.sweep().await.unwrap();
        assert_eq!(world.run(&run).await.status(), "succeeded");
        world.sweep().await.unwrap();
        assert_eq!(world.run(&run).await.due(), None);
        assert_eq!(world.build(&b).await.due(), None);
    }

    #[tokio::test]
    async fn two_sweeps_at_once_do_nothing_twice() {
        let world = World::new();
        world.inbox.closed.store(1, Ordering::SeqCst);
        let id = job(&world.started("one").await, "test");
        world.seen(&id, RUNNING).await.unwrap();
        world.clock.pass(Duration::from_secs(3700));
        let engine = world.engine();
        let (one, two) = futures::future::join(engine.sweep(Timestamp::MAX), engine.sweep(Timestamp::MAX)).await;
        // The one message that could not be sent is one of the sweeps' fault.
        assert!(one.is_ok() || two.is_ok());
        world.sweep().await.unwrap();
        assert_eq!(world.told("build"), ["timed-out"]);
        assert_eq!(world.told("run"), ["timed-out"]);
        assert_eq!(calls(&world), ["test/1 on spot"]);
    }
}
