//! The messages about builds and runs, in all their forms. The helpers are here, the tests below.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod build;
mod build_outcomes;
pub(crate) mod page;
mod run;

use std::collections::BTreeMap;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::Value;

use super::*;
use crate::build::{Build, BuildEffect, BuildEvent, BuildNews, BuildState, Refusal};
use crate::caller::Caller;
use crate::decision::Decision;
use crate::executor::Capacity;
use crate::executor::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use crate::ids::{AgentId, JobName};
use crate::outcome::Outcome;
use crate::record::{Decides, Step};
use crate::run::{Run, RunEvent};
use crate::spec::RetryPolicy;
use crate::testing::{push, spec, spec_needing, t};
use crate::text::is_unfit;

fn agent(name: &str) -> AgentId {
    format!("arn:aws:ecs:us-east-1:123456789012:task/ci-spot/{name}").parse().unwrap()
}

fn after(build: &Build, event: impl Into<Step<BuildEvent>>, second: i64) -> Build {
    let step = event.into();
    match build.take(&step, t(second)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{step:?}: {reason}"),
    }
}

fn seen(attempt: u32, name: &str, status: AgentStatus) -> BuildEvent {
    BuildEvent::Agent {
        attempt,
        observation: Observation {
            agent: agent(name),
            version: None,
            capacity: None,
            status,
        },
    }
}

fn stopped(attempt: u32, name: &str, cause: StopCause, report: Option<Report>) -> BuildEvent {
    let stop = Stop {
        cause,
        reason: Some("Essential container in task exited".to_owned()),
        containers: Vec::new(),
        report,
        at: None,
    };
    seen(attempt, name, AgentStatus::Stopped(stop))
}

fn script(exit_code: i32, command: Option<&str>, line: Option<u32>) -> Option<Report> {
    Some(Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command: command.map(ToOwned::to_owned),
        line,
        message: None,
    })
}

fn running(spec: crate::spec::BuildSpec) -> Build {
    let agent = agent("0a1b");
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 1,
        capacity: Capacity::Spot,
        agent,
    };
    let build = after(&Build::ready(spec, t(0)), &accepted, 1);
    after(&build, seen(1, "0a1b", AgentStatus::Running { since: None }), 30)
}

/// The message about a build at this moment.
fn notified(build: &Build) -> Message {
    let news = build.outbox.pending().iter().find_map(|pending| match &pending.effect {
        BuildEffect::Announce(news) => Some(news),
        _ => None,
    });
    check(about_build(build, news.unwrap()))
}

fn notified_of_run((run, builds): &(Run, Vec<Build>)) -> Message {
    let report = format!("s3://suite/runs/{}/report.json", run.id);
    check(about_run(run, builds, &[], &[("report", report)]).unwrap())
}

/// What holds for every message.
fn check(message: Message) -> Message {
    let text = |name: &str| message.document[name].as_str().map(ToOwned::to_owned);
    assert!((1..=SUBJECT_LIMIT).contains(&message.subject.len()), "{}", message.subject);
    assert!(message.subject.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}", message.subject);
    assert!((1..=SMS_LIMIT).contains(&message.sms.chars().count()), "{}", message.sms);
    assert!(!message.sms.contains(['\n', '\r']), "{}", message.sms);
    let title = text("title").unwrap();
    assert!(!title.contains(['\n', '\r']), "{title}");
    assert!(message.email.starts_with(&title), "{}", message.email);
    assert_eq!(message.document["version"], 1);
    for name in ["id", "kind", "severity", "status", "repository", "ref", "commit", "run", "time"] {
        assert!(text(name).is_some_and(|text| !text.is_empty()), "{name} of {}", message.document);
    }
    let attributes: BTreeMap<_, _> = message.attributes.iter().map(|(name, value)| (*name, value.clone())).collect();
    assert_eq!(attributes.len(), message.attributes.len(), "{:?}", message.attributes);
    for (name, value) in &attributes {
        // SNS refuses a message with an empty attribute.
        assert!(!value.is_empty(), "{name}");
        if *name != "branch" {
            assert_eq!(Some(value), text(name).as_ref(), "{name}");
        }
    }
    let is_build = attributes["kind"] == "build";
    assert_eq!(attributes.contains_key("job"), is_build);
    for (name, expected) in [
        ("job", is_build),
        ("attempt", is_build),
        ("capacity", is_build),
        ("cause", true),
        ("links", true),
        ("broken", !is_build),
        ("retry-of", !is_build),
        ("started-by", !is_build),
    ] {
        assert_eq!(message.document.get(name).is_some(), expected, "{name} of {}", message.document);
    }
    message
}

fn document(message: &Message) -> String {
    format!("{:#}", message.document)
}

fn retrying() -> Message {
    let interrupted = after(&running(spec()), seen(1, "0a1b", AgentStatus::Interrupted), 90);
    notified(&interrupted)
}

/// A run and its builds after one of them has ended.
fn finish((run, builds): &(Run, Vec<Build>), job: &str, outcome: Outcome, cause: Option<&str>) -> (Run, Vec<Build>) {
    let job = job.parse().unwrap();
    let mut builds = builds.clone();
    for build in builds.iter_mut().filter(|build| build.spec.id.job == job) {
        let (at, cause) = (t(124), cause.map(ToOwned::to_owned));
        build.state = BuildState::Finished { outcome, at, cause };
    }
    match run.decide(&RunEvent::BuildFinished { job, outcome }, t(125)) {
        Decision::Next(next) => (*next, builds),
        Decision::Ignored(reason) => panic!("{reason}"),
    }
}

fn run(jobs: &[(&str, &[&str])]) -> (Run, Vec<Build>) {
    let specs = jobs.iter().map(|(job, needs)| spec_needing(job, needs)).collect();
    Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0))
}

#[test]
fn any_branch_and_any_cause_fit() {
    let references = [
        "refs/heads/größe-ändern-日本語-🙂".to_owned(),
        format!("refs/heads/{}", "x".repeat(256)),
        format!("refs/tags/{}", "é".repeat(128)),
    ];
    let causes = ["", "line one\nline two\r\nline three", &"long ".repeat(400), "日本語…"];
    for reference in references {
        for cause in causes {
            let mut spec = spec();
            spec.reference = reference.parse().unwrap();
            let refused = BuildEvent::LaunchRefused {
                attempt: 1,
                capacity: Capacity::Spot,
                round: 0,
                refusal: Refusal::Invalid(cause.to_owned()),
                spent: false,
            };
            let message = notified(&after(&Build::ready(spec, t(0)), &refused, 1));
            assert!(message.subject.contains("had an infrastructure failure"), "{}", message.subject);
            assert_eq!(message.document["ref"], reference);
            let branch = message.attributes.iter().find(|(name, _)| *name == "branch");
            assert_eq!(
                branch.map(|(_, value)| format!("refs/heads/{value}")),
                reference.starts_with("refs/heads/").then(|| reference.clone())
            );
            let mut push = push();
            push.reference = reference.parse().unwrap();
            let id = || "abcdefghij".parse().unwrap();
            let rejected = Run::rejected(id(), &push, cause.replace(['\n', '\r'], " "), t(0));
            let _ = notified_of_run(&(rejected, Vec::new()));
        }
    }
}

#[test]
fn a_message_keeps_its_id_however_often_and_late_it_is_sent() {
    assert_eq!(retrying().document["id"], "abcdefghij/test/retrying/2");
    let failed = after(&running(spec()), stopped(1, "0a1b", StopCause::Exited, script(2, None, None)), 90);
    let first = notified(&failed);
    assert_eq!(first.document["id"], "abcdefghij/test/failed");
    assert_eq!(notified(&failed), first);
    let run = finish(&run(&[("test", &[])]), "test", Outcome::Failed, None);
    assert_eq!(notified_of_run(&run).document["id"], "abcdefghij/failed");
}

#[test]
fn names_from_outside_do_nothing_to_the_lines_that_they_stand_in() {
    let mut spec = spec();
    spec.reference = "refs/heads/a\u{85}b\u{202e}c\u{2028}d\u{3000}e".parse().unwrap();
    let failed = stopped(1, "0a1b", StopCause::Other, None);
    let message = about_build(
        &after(&running(spec), &failed, 60),
        &BuildNews::Finished {
            outcome: Outcome::Failed,
            attempt: Some(1),
            capacity: None,
            cause: Some("a\u{1b}[31mb".to_owned()),
            at: t(60),
        },
    );
    assert_eq!(message.sms, "shop a b c d\u{3000}e: test failed: a [31mb");
    assert!(
        message.email.contains("Ref:        refs/heads/a b c d\u{3000}e\n"),
        "{}",
        message.email
    );
    assert!(message.email.lines().all(|line| !line.contains(is_unfit)), "{}", message.email);
}
