//! The report of a finished run in the bucket.

use serde_json::{Value, json};

use crate::build::{Build, BuildState, End};
use crate::caller::Caller;
use crate::links;
use crate::results::found::Results;
use crate::run::{Listed, Run, RunState};

/// All data of a run, without scripts and values of environment variables.
#[must_use]
pub fn of_run<'a>(run: &Run, builds: impl Iterator<Item = &'a Build>) -> Value {
    let mut builds: Vec<&Build> = builds.collect();
    builds.sort_by_key(|build| run.jobs().position(|job| *job.name == build.spec.id.job));
    json!({
        "version": 1,
        "run": run.id,
        "status": run.status(),
        "rejected": match &run.state { RunState::Rejected { message, .. } => Some(message), _ => None },
        "repository": run.repository,
        "ref": run.reference,
        "commit": run.commit,
        "trigger": trigger(&run.trigger, run.retry_of.is_some()),
        "by": run.by,
        "started-by": run.started_by.as_ref().map(Caller::document),
        "retry-of": run.retry_of.as_ref().map(|retried| &retried.run),
        "created": run.created,
        "finished": run.finished_at(),
        "builds": builds.into_iter().map(|build| of_build(run, build)).collect::<Vec<_>>(),
    })
}

/// A run in a list of runs.
#[must_use]
pub fn summary(listed: &Listed) -> Value {
    let run = &listed.shown;
    json!({
        "run": listed.run,
        "status": run.status,
        "repository": run.repository,
        "ref": run.reference,
        "commit": run.commit,
        "trigger": trigger(&run.trigger, run.retry_of.is_some()),
        "by": run.by,
        "started-by": run.started_by.as_ref().map(Caller::document),
        "retry-of": run.retry_of,
        "created": listed.created,
        "finished": run.finished,
        "jobs": run.jobs,
    })
}

/// The trigger of a run: its kind, and its original id.
fn trigger(trigger: &str, is_retry: bool) -> Value {
    let (kind, id) = match trigger.split_once('/') {
        Some(("control", id)) if is_retry => ("retry", id),
        Some(("control", id)) => ("request", id),
        Some(("codepipeline", id)) => ("pipeline", id),
        Some(("alarm", id)) => ("alarm", id),
        _ => ("push", trigger),
    };
    json!({ "kind": kind, "id": id })
}

fn of_build(run: &Run, build: &Build) -> Value {
    let job = &build.spec.id.job;
    let (status, finished) = match (&build.state, run.job(job).and_then(|job| job.state.outcome())) {
        (BuildState::Finished { at, .. }, _) => (build.status(), Some(*at)),
        // The run decides what is skipped, and its report may be written before the build is notified.
        (_, Some(outcome)) => (outcome.as_str(), run.finished_at()),
        _ => (build.status(), None),
    };
    json!({
        "build": build.spec.id,
        "job": build.spec.id.job,
        "agent": build.spec.agent,
        "role": build.spec.role,
        "needs": build.spec.needs,
        "status": status,
        "cause": finished.and_then(|_| run.cause_of(job, Some(build))),
        "waits-because": build.waits_because().filter(|_| finished.is_none() || build.outcome().is_some()),
        "next-try": build.next_try(),
        "tests": build.results.as_ref().and_then(|found| found.tests.as_ref()),
        "artifacts": build.results.as_ref().map(artifacts),
        "images": build.results.as_ref().map(|found| &found.images),
        "created": build.created,
        "finished": finished,
        "attempts": build.attempts.iter().map(|attempt| json!({
            "attempt": attempt.number,
            "capacity": attempt.capacity,
            "agent": attempt.agent,
            "links": attempt.agent.as_ref().map(|_| links::object(&links::links(&build.spec, attempt))),
            "log": links::log_of(&build.spec, attempt),
            // A refused attempt has none.
            "launched": attempt.agent.as_ref().and(attempt.launched),
            "started": attempt.started,
            "ended": match &attempt.phase { crate::build::Phase::Ended { at, .. } => Some(at), _ => None },
            "end": attempt.end().map(End::as_str),
            "remark": attempt.remark,
        })).collect::<Vec<_>>(),
    })
}

/// The artifacts with all that names their content: key, version and hash.
fn artifacts(found: &Results) -> Value {
    let folder = found.folder.as_deref();
    let files = found.artifacts.iter().map(|artifact| {
        json!({
            "path": artifact.path,
            "size": artifact.size,
            "key": folder.map(|folder| format!("{folder}{}", artifact.path)),
            "version": artifact.seal.version,
            "sha256": artifact.seal.sha256,
        })
    });
    json!({ "count": found.count, "files": files.collect::<Vec<_>>() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::build::{BuildEvent, Refusal};
    use crate::decision::Decision;
    use crate::executor::Capacity;
    use crate::executor::{CodeBuildExecutor, Executor};
    use crate::message::tests::page::{failed_build, finished_run};
    use crate::outcome::Outcome;
    use crate::record::Decides;
    use crate::run::RunEvent;
    use crate::testing::{Page, push, spec_needing, t};

    #[test]
    fn a_build_that_has_not_heard_yet_that_it_is_skipped_is_reported_as_skipped() {
        let specs = vec![spec_needing("test", &[]), spec_needing("image", &["test"])];
        let (run, builds) = Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0));
        let failed = RunEvent::BuildFinished {
            job: "test".parse().unwrap(),
            outcome: Outcome::Failed,
        };
        let Decision::Next(run) = run.decide(&failed, t(60)) else {
            panic!("the run does not care")
        };
        let report = of_run(&run, builds.iter().rev());
        assert_eq!(report["status"], "failed");
        assert_eq!(report["builds"][0]["job"], "test");
        assert_eq!(report["builds"][1]["status"], "skipped");
        assert_eq!(report["builds"][1]["cause"], "needs test, which did not succeed");
        assert_eq!(report["builds"][1]["finished"], t(60).to_string());
        assert!(!report.to_string().contains("make test"), "no scripts in reports");
    }

    #[test]
    fn what_has_not_ended_tells_what_it_waits_for_and_when_it_is_tried_next() {
        let (run, builds) = Run::create("abcdefghij".parse().unwrap(), &push(), vec![spec_needing("test", &[])], true, t(0));
        let refused = BuildEvent::LaunchRefused {
            attempt: 1,
            capacity: Capacity::OnDemand,
            round: 0,
            refusal: Refusal::NoCapacity("none".to_owned()),
            spent: false,
        };
        let mut spec = spec_needing("test", &[]);
        spec.critical = true;
        let (_, critical) = Run::create("abcdefghij".parse().unwrap(), &push(), vec![spec], true, t(0));
        let Decision::Next(waiting) = critical[0].decide(&refused, t(10)) else {
            panic!("it does not wait")
        };
        let shown = |build: &Build| of_run(&run, std::iter::once(build));
        let report = shown(&waiting);
        assert_eq!(report["builds"][0]["waits-because"], "none");
        assert_eq!(report["builds"][0]["next-try"], json!(waiting.next_try()));
        assert_ne!(report["builds"][0]["next-try"], Value::Null);
        // What was refused was never launched.
        assert_eq!(report["builds"][0]["attempts"][0]["launched"], Value::Null);
        assert_eq!(shown(&builds[0])["builds"][0]["waits-because"], Value::Null);
        assert_eq!(report["trigger"]["kind"], "push");
        let listed = summary(&run.listed());
        assert_eq!((&listed["trigger"]["kind"], &listed["jobs"]), (&json!("push"), &json!(1)));
    }

    #[test]
    fn an_attempt_leads_to_its_agents_log() {
        let (run, mut builds) = Run::create("abcdefghij".parse().unwrap(), &push(), vec![spec_needing("test", &[])], true, t(0));
        let attempt = |builds: &[Build]| of_run(&run, builds.iter())["builds"][0]["attempts"][0].clone();
        let shown = attempt(&builds);
        assert_eq!((&shown["links"], &shown["log"]), (&Value::Null, &Value::Null));
        builds[0].attempts[0].agent = Some("arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b".parse().unwrap());
        let shown = attempt(&builds);
        let console = "https://us-east-1.console.aws.amazon.com";
        let page = format!("{console}/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group");
        assert_eq!(
            shown["links"],
            json!({
                "agent": format!("{console}/ecs/v2/clusters/ci/tasks/0a1b/configuration?region=us-east-1"),
                "logs": format!("{page}/$252Fbellhop$252Fagents/log-events/small$252Fagent$252F0a1b"),
            })
        );
        assert_eq!(shown["log"], json!({ "group": "/bellhop/agents", "stream": "small/agent/0a1b" }));
    }

    #[test]
    fn an_attempt_whose_template_does_not_say_where_it_logs_to_leads_to_its_agents_page() {
        let (run, mut builds) = Run::create("abcdefghij".parse().unwrap(), &push(), vec![spec_needing("test", &[])], true, t(0));
        builds[0].spec.executor = Executor::CodeBuild(CodeBuildExecutor {
            project: "ci-docker".to_owned(),
            logs: None,
        });
        builds[0].attempts[0].agent = Some("arn:aws:codebuild:us-east-1:123456789012:build/ci-docker:0f1e2d3c".parse().unwrap());
        let shown = of_run(&run, builds.iter())["builds"][0]["attempts"][0].clone();
        let page =
            "https://us-east-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/ci-docker/build/ci-docker%3A0f1e2d3c";
        assert_eq!(
            shown["links"],
            json!({ "agent": format!("{page}/?region=us-east-1"), "logs": format!("{page}/log?region=us-east-1") })
        );
        assert_eq!(shown["log"], Value::Null);
    }

    #[test]
    fn a_build_that_is_over_tells_its_own_end() {
        let (run, mut builds) = Run::create("abcdefghij".parse().unwrap(), &push(), vec![spec_needing("test", &[])], true, t(0));
        // The build has decided, and its run has not heard of it yet.
        builds[0].state = BuildState::Finished {
            outcome: Outcome::TimedOut,
            at: t(60),
            cause: Some("it ran longer than its timeout of 1h".to_owned()),
        };
        let report = of_run(&run, builds.iter());
        assert_eq!(report["status"], "open");
        assert_eq!(report["builds"][0]["status"], "timed-out");
        assert_eq!(report["builds"][0]["cause"], "it ran longer than its timeout of 1h");
        assert_eq!(report["builds"][0]["finished"], t(60).to_string());
    }

    /// Every key of a document, those of nested ones included.
    fn keys(document: &Value) -> Vec<&str> {
        match document {
            Value::Object(members) => members
                .iter()
                .flat_map(|(name, value)| std::iter::once(name.as_str()).chain(keys(value)))
                .collect(),
            Value::Array(items) => items.iter().flat_map(keys).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_reference_has_every_field_and_an_example() {
        let (build, _) = failed_build();
        let run = finished_run(Outcome::Failed);
        let (shown, listed) = (of_run(&run, std::iter::once(&build)), summary(&run.listed()));
        let page = Page::read("requests.md");
        for key in keys(&shown).into_iter().chain(keys(&listed)) {
            assert!(
                page.text.contains(&format!("| `{key}` |")),
                "requests.md does not say what {key} is"
            );
        }
        let part = |name: &str, document: Value| (name.to_owned(), format!("```json\n{document:#}\n```"));
        page.holds(&[
            part("example-show", shown),
            part(
                "example-list",
                json!({ "version": 1, "repository": "shop", "runs": [listed], "next": null }),
            ),
        ]);
    }
}
