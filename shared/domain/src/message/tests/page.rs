//! Compares docs/reference/messages.md with the code: the statuses of every kind of message, and one example of each kind.
//!
//! To rewrite the examples: `REWRITE=1 cargo test -p bellhop-domain --lib message::tests::page`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::alarm::{
    Alarm, AlarmFacts, AlarmId, AlarmNews, AlarmNewsKind, AlarmState, Comparison, Remedy, RemedyAction, RemedyNews, RemedyOutcome,
    Transition,
};
use crate::backup::{Backup, BackupNews, BackupNewsKind, Definition, End as BackupEnd, EndKind};
use crate::build::{Build, BuildEffect, BuildEvent, BuildNews, BuildState};
use crate::configuration::{Broken, ConfigurationEffect, about_configuration};
use crate::decision::Decision;
use crate::executor::Capacity;
use crate::executor::observation::{AgentStatus, ContainerEnd, Observation, Report, ReportPhase, Stop, StopCause};
use crate::instance::{Action, AfterAdvice, ForeignTask, Host, Instance, InterruptionNotice};
use crate::message::*;
use crate::outbox::Abandoned;
use crate::outcome::Outcome;
use crate::record::Decides;
use crate::results::found::{Artifact, Results, Seal, Tests};
use crate::run::{Run, RunEvent};
use crate::spec::RetryPolicy;
use crate::testing::{Page, push, spec, t};

const OUTCOMES: [Outcome; 8] = [
    Outcome::Succeeded,
    Outcome::Skipped,
    Outcome::Superseded,
    Outcome::Cancelled,
    Outcome::Interrupted,
    Outcome::InfrastructureFailed,
    Outcome::TimedOut,
    Outcome::Failed,
];

/// A compiler error here means that an outcome is missing above.
fn is_listed(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Succeeded
        | Outcome::Skipped
        | Outcome::Superseded
        | Outcome::Cancelled
        | Outcome::Interrupted
        | Outcome::InfrastructureFailed
        | Outcome::TimedOut
        | Outcome::Failed => OUTCOMES.contains(&outcome),
    }
}

fn abandoned() -> Abandoned {
    Abandoned {
        what: "stop the agent".to_owned(),
        why: "AccessDeniedException".to_owned(),
        now: "it counts as lost".to_owned(),
        advice: "stop it by hand".to_owned(),
        at: t(0),
    }
}

fn next(build: &Build, event: &BuildEvent, second: i64) -> Build {
    match build.decide(event, t(second)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{event:?}: {reason}"),
    }
}

fn seen(status: AgentStatus) -> BuildEvent {
    BuildEvent::Agent {
        attempt: 1,
        observation: Observation {
            agent: "arn:aws:ecs:us-east-1:123456789012:task/ci-spot/0a1b".parse().unwrap(),
            version: None,
            capacity: None,
            status,
        },
    }
}

/// A build whose script has failed, and left a test report.
pub(crate) fn failed_build() -> (Build, BuildNews) {
    let mut spec = spec();
    spec.retry = RetryPolicy::never();
    spec.artifacts = vec!["target/report.xml".to_owned()];
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 1,
        capacity: Capacity::Spot,
        agent: "arn:aws:ecs:us-east-1:123456789012:task/ci-spot/0a1b".parse().unwrap(),
    };
    let build = next(&Build::ready(spec, t(0)), &accepted, 1);
    let build = next(&build, &seen(AgentStatus::Running { since: None }), 30);
    let stop = Stop {
        cause: StopCause::Exited,
        reason: Some("Essential container in task exited".to_owned()),
        containers: vec![ContainerEnd {
            name: "agent".to_owned(),
            exit_code: Some(2),
            reason: None,
        }],
        report: Some(Report {
            phase: ReportPhase::Script,
            exit_code: 2,
            signalled: false,
            command: Some("make test".to_owned()),
            line: Some(3),
            message: None,
        }),
        at: None,
    };
    let build = next(&build, &seen(AgentStatus::Stopped(stop)), 90);
    let results = Results {
        artifacts: vec![Artifact {
            path: "target/report.xml".to_owned(),
            size: 526,
            seal: Seal {
                version: Some("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH".to_owned()),
                sha256: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned()),
            },
        }],
        count: 1,
        folder: Some("runs/abcdefghij/AROAEXAMPLE:0a1b2c3d/test/1/artifacts/".to_owned()),
        images: Vec::new(),
        tests: Some(Tests {
            run: 5,
            failed: 1,
            failures: vec!["test_basket.test_total".to_owned()],
            ..Tests::default()
        }),
    };
    let build = next(&build, &BuildEvent::Collected { attempt: 1, results }, 91);
    let news = build.outbox.pending().iter().find_map(|pending| match &pending.effect {
        BuildEffect::Announce(news) => Some(news.clone()),
        _ => None,
    });
    (build, news.unwrap())
}

pub(crate) fn finished_run(outcome: Outcome) -> Run {
    let open = Run::create("abcdefghij".parse().unwrap(), &push(), vec![spec()], true, t(0)).0;
    let job = "test".parse().unwrap();
    match open.decide(&RunEvent::BuildFinished { job, outcome }, t(95)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{reason}"),
    }
}

/// The build of such a run.
fn finished_build(outcome: Outcome) -> Build {
    let (mut build, news) = failed_build();
    let BuildNews::Finished { cause, .. } = news else {
        panic!("{news:?}")
    };
    let cause = cause.filter(|_| outcome != Outcome::Succeeded);
    build.state = BuildState::Finished { outcome, at: t(94), cause };
    build.results = None;
    build
}

fn of_runs() -> Vec<Message> {
    let links = [("report", "s3://suite/runs/abcdefghij/report.json".to_owned())];
    // A job is skipped because another one was not successful, and that outcome is the run's.
    let ends = OUTCOMES.into_iter().filter(|outcome| *outcome != Outcome::Skipped);
    let mut runs: Vec<(Run, Option<Build>)> = ends.map(|outcome| (finished_run(outcome), Some(finished_build(outcome)))).collect();
    runs.push((Run::rejected("abcdefghij".parse().unwrap(), &push(), "no".to_owned(), t(0)), None));
    let about = |(run, build): &(Run, Option<Build>)| about_run(run, build.as_slice(), &[], &links).unwrap();
    let mut messages: Vec<Message> = runs.iter().map(about).collect();
    messages.push(about_abandoned_of_run(&runs[0].0, 1, &abandoned()));
    messages
}

fn of_builds() -> Vec<Message> {
    let (build, failed) = failed_build();
    let (attempt, capacity, cause, at) = (1, Capacity::Spot, "Rate exceeded".to_owned(), t(90));
    let (advice, until) = ("wait".to_owned(), t(7200));
    let mut all = vec![
        failed,
        BuildNews::Refused {
            attempt,
            capacity,
            cause: cause.clone(),
            advice,
            until,
            at,
        },
        BuildNews::Abandoned {
            number: 1,
            what: abandoned(),
        },
        BuildNews::Waiting {
            attempt,
            capacity,
            cause: cause.clone(),
            advice: None,
            since: t(0),
            until,
            at,
        },
        BuildNews::Stopped {
            attempt,
            capacity,
            outcome: Outcome::Cancelled,
            after: Duration::from_secs(90),
            at,
        },
        BuildNews::Retrying {
            attempt,
            capacity,
            cause,
            at,
        },
    ];
    all.extend(OUTCOMES.map(|outcome| BuildNews::Finished {
        outcome,
        attempt: None,
        capacity: None,
        cause: None,
        at,
    }));
    for news in &all {
        // Add a new variant to the list above as well.
        match news {
            BuildNews::Refused { .. }
            | BuildNews::Abandoned { .. }
            | BuildNews::Waiting { .. }
            | BuildNews::Stopped { .. }
            | BuildNews::Retrying { .. }
            | BuildNews::Finished { .. } => {}
        }
    }
    // The message about the run names skipped jobs; there is none about their builds.
    let is_told = |message: &Message| message.document["status"] != "skipped";
    all.iter().map(|news| about_build(&build, news)).filter(is_told).collect()
}

fn of_alarms() -> Vec<Message> {
    let restart = |outcome| RemedyNews {
        remedy: Remedy {
            action: RemedyAction::RestartService {
                cluster: "ci-main".to_owned(),
                service: "jenkins".to_owned(),
            },
            at_most_every: Duration::from_secs(1800),
            dry_run: false,
        },
        outcome,
    };
    let mut messages = Vec::new();
    for contributor in [None, Some("0f1e".to_owned())] {
        let id = AlarmId {
            region: Some("us-east-1".to_owned()),
            account: Some("123456789012".to_owned()),
            name: "jenkins-unhealthy".to_owned(),
            contributor,
        };
        for state in [AlarmState::Alarm, AlarmState::Ok, AlarmState::InsufficientData] {
            for (what, outcome) in [
                (AlarmNewsKind::Changed, Some(RemedyOutcome::Done(None))),
                (AlarmNewsKind::Flapping, None),
                (AlarmNewsKind::Settled, None),
                (AlarmNewsKind::Remedied, Some(RemedyOutcome::Done(None))),
                (AlarmNewsKind::Remedied, Some(RemedyOutcome::Failed("no".to_owned()))),
                (AlarmNewsKind::PauseEnded, None),
            ] {
                // Add a new variant to the list above as well.
                match what {
                    AlarmNewsKind::Changed
                    | AlarmNewsKind::Flapping
                    | AlarmNewsKind::Settled
                    | AlarmNewsKind::Remedied
                    | AlarmNewsKind::PauseEnded => {}
                }
                let news = AlarmNews {
                    what,
                    transition: Transition {
                        state,
                        at: t(0),
                        received_at: t(2),
                        previous: Some(AlarmState::Ok),
                        quiet: None,
                        facts: AlarmFacts {
                            reason: Some(
                                "Threshold Crossed: 1 datapoint [2.0 (21/09/26 14:12:00)] was greater than the threshold (1.0).".to_owned(),
                            ),
                            description: Some("The Jenkins controller does not answer".to_owned()),
                            measure: Some("UnHealthyHostCount".to_owned()),
                            namespace: Some("AWS/ApplicationELB".to_owned()),
                            dimensions: [("TargetGroup".to_owned(), "jenkins".to_owned())].into(),
                            value: Some("2".to_owned()),
                            threshold: Some("1".to_owned()),
                            comparison: Some(Comparison::Above),
                            ..AlarmFacts::default()
                        },
                    },
                    open: Some(t(0)),
                    remedy: outcome.map(restart),
                    unconfigured: None,
                    announced_at: t(3),
                };
                messages.push(about_alarm(&Alarm::new(id.clone()), &news));
            }
        }
    }
    messages
}

fn of_backups() -> Vec<Message> {
    let definition = Definition {
        copy_to: Some("arn:aws:backup:us-east-1:123456789012:backup-vault:far".to_owned()),
        ..Definition::of_suite_table(
            "arn:aws:dynamodb:eu-west-1:123456789012:table/suite",
            "ci",
            "arn:aws:iam::123456789012:role/backup",
        )
    };
    let end = |how| BackupEnd {
        how,
        message: Some("Access denied".to_owned()),
        at: t(60),
    };
    let point = "arn:aws:backup:eu-west-1:123456789012:recovery-point:1".to_owned();
    let not_good = [
        EndKind::Failed,
        EndKind::WithIssues,
        EndKind::Aborted,
        EndKind::Expired,
        EndKind::Partial,
        EndKind::Refused,
        EndKind::Vanished,
    ];
    let mut all: Vec<BackupNewsKind> = not_good.into_iter().map(|how| BackupNewsKind::Ended(end(how))).collect();
    all.extend(not_good.into_iter().map(|how| BackupNewsKind::CopyEnded(end(how))));
    all.extend([
        BackupNewsKind::Stale {
            newest: t(-3600),
            limit: Duration::from_secs(60),
        },
        BackupNewsKind::Missing,
        BackupNewsKind::Recovered {
            from: "failed".to_owned(),
            since: t(0),
            copy: false,
        },
        BackupNewsKind::RestoreTested {
            point: point.clone(),
            took: Duration::from_secs(60),
        },
        BackupNewsKind::RestoreFailed {
            point,
            end: end(EndKind::Failed),
        },
        BackupNewsKind::LeftOver {
            resource: "arn:aws:dynamodb:eu-west-1:123456789012:table/x".to_owned(),
            why: "Access denied".to_owned(),
        },
        BackupNewsKind::Abandoned(abandoned()),
    ]);
    let backup = Backup::new("ci", "suite-table", definition, t(0));
    let mut messages = Vec::new();
    for what in all {
        // Add a new variant to the list above as well.
        match what {
            BackupNewsKind::Ended(_)
            | BackupNewsKind::CopyEnded(_)
            | BackupNewsKind::Stale { .. }
            | BackupNewsKind::Missing
            | BackupNewsKind::Recovered { .. }
            | BackupNewsKind::RestoreTested { .. }
            | BackupNewsKind::RestoreFailed { .. }
            | BackupNewsKind::LeftOver { .. }
            | BackupNewsKind::Abandoned(_) => {}
        }
        let (slot, at) = (t(0), t(120));
        messages.push(about_backup(&backup, &BackupNews { slot, at, what }));
    }
    messages.push(about_no_backups("it is not there", t(0), t(5)));
    messages
}

fn of_suites() -> Vec<Message> {
    let host = Host {
        cluster: "ci".to_owned(),
        container_instance: "arn:aws:ecs:eu-west-1:123456789012:container-instance/ci/0f1e".to_owned(),
    };
    let instance = Instance::new("i-0123456789abcdef0".parse().unwrap(), host);
    let warned = InterruptionNotice {
        action: Action::Terminate,
        at: t(0),
    };
    let foreign = ForeignTask {
        arn: "arn:aws:ecs:eu-west-1:123456789012:task/ci/feed".to_owned(),
        belongs_to: "service:web".to_owned(),
        started_by: None,
    };
    let broken = ConfigurationEffect::TellBroken(Broken {
        why: "config/bellhop.yaml, line 3, agents: unknown key `agent`".to_owned(),
        serves: Some(t(-3600)),
        at: t(0),
    });
    let place = "s3://suite/config/bellhop.yaml";
    vec![
        about_configuration(&broken, place),
        about_configuration(&ConfigurationEffect::TellMended { at: t(0) }, place),
        about_foreign(&instance, &warned, &["abcdefghij/test".parse().unwrap()], &[foreign]),
        about_instance_after_advice(&instance, t(0), AfterAdvice::Reopened, t(3600)),
        about_instance_after_advice(&instance, t(0), AfterAdvice::StillBusy, t(86_400)),
        about_abandoned_of_instance(&instance, 1, &abandoned()),
    ]
}

/// Each status with its severities, the worst first.
fn statuses(messages: &[Message]) -> BTreeMap<String, String> {
    let mut severities: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let text = |message: &Message, name: &str| message.document[name].as_str().unwrap().to_owned();
    for message in messages {
        let severity = ["error", "warning", "info"]
            .into_iter()
            .find(|severity| text(message, "severity") == *severity);
        severities.entry(text(message, "status")).or_default().insert(severity.unwrap());
    }
    let by_rank = |all: BTreeSet<&str>| {
        ["error", "warning", "info"]
            .into_iter()
            .filter(|severity| all.contains(severity))
            .collect::<Vec<_>>()
            .join(", ")
    };
    severities.into_iter().map(|(status, all)| (status, by_rank(all))).collect()
}

/// The statuses in the table of a kind's section, with their severities.
fn listed(page: &str, kind: &str) -> BTreeMap<String, String> {
    let section = page.split(&format!("\n## Kind `{kind}`\n")).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let table = section.split("| Status | Severity |").nth(1).unwrap_or_default();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let status = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((status.to_owned(), (*cells.get(2)?).to_owned()))
    })
    .collect()
}

#[test]
fn the_page_lists_every_status_and_has_an_example_of_each_kind() {
    assert!(OUTCOMES.into_iter().all(is_listed));
    let page = Page::read("messages.md");
    let kinds = [
        ("run", of_runs(), "failed"),
        ("build", of_builds(), "failed"),
        ("alarm", of_alarms(), "alarm"),
        ("backup", of_backups(), "copy-failed"),
        ("suite", of_suites(), "configuration-broken"),
    ];
    let mut examples = Vec::new();
    for (kind, messages, example) in &kinds {
        for message in messages {
            assert_eq!(message.document["kind"], *kind);
        }
        assert_eq!(
            listed(&page.text, kind),
            statuses(messages),
            "the statuses of the kind {kind} in messages.md"
        );
        let example = messages.iter().find(|message| message.document["status"] == *example).unwrap();
        let (document, email) = (&example.document, example.email.trim_end());
        examples.push((
            format!("example-{kind}"),
            format!("```json\n{document:#}\n```\n\n```text\n{email}\n```"),
        ));
    }
    page.holds(&examples);
}
