//! Requests by people, schedules and programs: objects with one of five verbs as their key, without an envelope. An [EventBridge
//! Scheduler](https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html) input arrives unchanged, so
//! `<aws.scheduler.scheduled-time>` can be part of a request's `id`: each attempt of a delivery has another `<aws.scheduler.execution-id>`. Its
//! `<aws.scheduler.schedule-arn>` can be the request's `schedule`.

use bellhop_domain::ids::Arn;
use bellhop_domain::request::{At, Request, Retry, RetryWhat, Start, StartWhat, Submitted};
use bellhop_domain::run::RunClass;
use serde_json::{Map, Value};

use crate::decode::clean;
use crate::fields::Fields;

/// The verbs of requests.
const VERBS: [&str; 5] = ["start", "cancel", "retry", "show", "list"];
/// The key beside the verb.
const SCHEDULE: &str = "schedule";
/// The longest ARN of a schedule: its name and that of its group have up to 64 characters each
/// (<https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html>).
const LONGEST_SCHEDULE: usize = 512;
/// The services that have schedules: EventBridge Scheduler, and the rules of EventBridge.
const SCHEDULERS: [&str; 2] = ["scheduler", "events"];
/// The most characters of a value that an error quotes.
const LONGEST_QUOTE: usize = 50;
/// The longest id of a request. The ledger stores it.
const LONGEST_ID: usize = 256;

/// Whether an object is a request, valid or not.
pub(crate) fn is_request(object: &Map<String, Value>) -> bool {
    VERBS.iter().any(|verb| object.contains_key(*verb))
}

/// Parses a request, and what it says about its sender.
///
/// # Errors
/// One line that names the field, the expected value, and for an unknown key the nearest known one.
pub fn submitted(input: &Value) -> Result<Submitted, String> {
    let known = VERBS.into_iter().chain([SCHEDULE]).collect::<Vec<_>>();
    let all = Fields::of(input, "", &known)?;
    let request = request(&all)?;
    let schedule = all.id::<Arn>(SCHEDULE)?;
    let is_none = |arn: &Arn| !SCHEDULERS.contains(&arn.service()) || arn.as_str().len() > LONGEST_SCHEDULE;
    if schedule.as_ref().is_some_and(is_none) {
        return Err(format!(
            "{SCHEDULE}: expected the ARN of a schedule, such as <aws.scheduler.schedule-arn>"
        ));
    }
    Ok(Submitted { request, schedule })
}

fn request(all: &Fields<'_>) -> Result<Request, String> {
    let asked: Vec<(&str, &Value)> = VERBS.iter().filter_map(|verb| Some((*verb, all.value(verb)?))).collect();
    let &[(verb, value)] = asked.as_slice() else {
        return Err(format!("expected exactly one of the keys {}", VERBS.join(", ")));
    };
    match verb {
        "start" => start(value),
        "cancel" => cancel(value),
        "retry" => retry(value),
        "show" => Ok(Request::Show(Fields::of(value, "show", &["run"])?.required("run")?)),
        _ => {
            let fields = Fields::of(value, "list", &["repository", "status", "next"])?;
            Ok(Request::List {
                repository: fields.id("repository")?,
                class: fields.text("status")?.map(class).transpose()?,
                before: fields.text("next")?.map(str::to_owned),
            })
        }
    }
}

/// The class of the runs to list.
fn class(status: &str) -> Result<RunClass, String> {
    let class = RunClass::ALL.into_iter().find(|class| class.as_str() == status);
    class.ok_or_else(|| {
        let known = RunClass::ALL.map(RunClass::as_str).join(", ");
        format!(
            "list.status: {:?} is not a status of runs: expected {known}",
            clean(status, LONGEST_QUOTE)
        )
    })
}

/// The requester's id for a request.
fn own_id(fields: &Fields<'_>, verb: &str) -> Result<Option<String>, String> {
    let id = fields.text("id")?;
    if id.is_some_and(|id| id.len() > LONGEST_ID || id.chars().any(char::is_control)) {
        return Err(format!("{verb}.id: expected a string of at most {LONGEST_ID} bytes on one line"));
    }
    Ok(id.map(str::to_owned))
}

fn retry(value: &Value) -> Result<Request, String> {
    let fields = Fields::of(value, "retry", &["build", "run", "all", "id"])?;
    let all = match fields.value("all") {
        None => false,
        Some(Value::Bool(all)) => *all,
        Some(_) => return Err("retry.all: expected true or false".to_owned()),
    };
    let what = match (fields.id("build")?, fields.id("run")?) {
        (Some(_), Some(_)) => return Err("retry: expected either build or run, but found both".to_owned()),
        (Some(_), None) if all => return Err("retry.all: allowed with run, but not with build".to_owned()),
        (Some(build), None) => RetryWhat::Build(build),
        (None, Some(run)) if all => RetryWhat::All(run),
        (None, Some(run)) => RetryWhat::Failed(run),
        (None, None) => return Err("retry: expected either build or run, but found neither".to_owned()),
    };
    let id = own_id(&fields, "retry")?;
    Ok(Request::Retry(Retry { what, id }))
}

fn start(value: &Value) -> Result<Request, String> {
    let fields = Fields::of(value, "start", &["repository", "branch", "commit", "job", "id"])?;
    let id = own_id(&fields, "start")?;
    let (repository, branch, commit, job) = (
        fields.id("repository")?,
        fields.branch("branch")?,
        fields.id("commit")?,
        fields.id("job")?,
    );
    let what = match (repository, branch, commit, job) {
        (_, Some(_), Some(_), _) => return Err("start.commit: expected either branch or commit, but found both".to_owned()),
        (Some(repository), branch, commit, job) => StartWhat::Pipeline {
            repository,
            at: match (branch, commit) {
                (Some(branch), _) => At::Branch(branch),
                (None, Some(commit)) => At::Commit(commit),
                (None, None) => At::Default,
            },
            job,
        },
        (None, None, None, Some(job)) => StartWhat::Suite(job),
        (None, None, None, None) => {
            return Err("start: expected repository, or job with the name of a suite job, but found neither".to_owned());
        }
        (None, ..) => return Err("start.repository: required with branch or commit, but missing".to_owned()),
    };
    Ok(Request::Start(Start { what, id }))
}

fn cancel(value: &Value) -> Result<Request, String> {
    let fields = Fields::of(value, "cancel", &["run", "build"])?;
    match (fields.id("run")?, fields.id("build")?) {
        (Some(run), None) => Ok(Request::CancelRun(run)),
        (None, Some(build)) => Ok(Request::CancelBuild(build)),
        (Some(_), Some(_)) => Err("cancel: expected either run or build, but found both".to_owned()),
        (None, None) => Err("cancel: expected either run or build, but found neither".to_owned()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(input: &Value) -> Result<Request, String> {
        let submitted = submitted(input)?;
        assert_eq!(submitted.schedule, None);
        Ok(submitted.request)
    }

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn started(what: StartWhat, id: Option<&str>) -> Result<Request, String> {
        Ok(Request::Start(Start {
            what,
            id: id.map(Into::into),
        }))
    }

    fn pipeline(at: At, job: Option<&str>) -> StartWhat {
        StartWhat::Pipeline {
            repository: "shop".parse().unwrap(),
            at,
            job: job.map(|job| job.parse().unwrap()),
        }
    }

    #[test]
    fn everything_that_can_be_asked_for() {
        let start = |value: Value| request(&json!({ "start": value }));
        assert_eq!(start(json!({ "repository": "shop" })), started(pipeline(At::Default, None), None));
        assert_eq!(
            start(json!({ "repository": "shop", "branch": "main", "job": "test" })),
            started(pipeline(At::Branch("main".into()), Some("test")), None)
        );
        assert_eq!(
            start(json!({ "repository": "shop", "branch": null, "commit": COMMIT, "id": "nightly 7" })),
            started(pipeline(At::Commit(COMMIT.parse().unwrap()), None), Some("nightly 7"))
        );
        assert_eq!(
            start(json!({ "job": "clean-workspaces" })),
            started(StartWhat::Suite("clean-workspaces".parse().unwrap()), None)
        );
        assert_eq!(
            request(&json!({ "cancel": { "run": "abcdefghij" } })),
            Ok(Request::CancelRun("abcdefghij".parse().unwrap()))
        );
        assert_eq!(
            request(&json!({ "cancel": { "build": "abcdefghij/test" } })),
            Ok(Request::CancelBuild("abcdefghij/test".parse().unwrap()))
        );
        let retry = |value: Value| request(&json!({ "retry": value }));
        let wanted = |what: RetryWhat, id: Option<&str>| {
            let id = id.map(str::to_owned);
            Ok(Request::Retry(Retry { what, id }))
        };
        let run = || "abcdefghij".parse().unwrap();
        assert_eq!(
            retry(json!({ "build": "abcdefghij/test", "id": "again" })),
            wanted(RetryWhat::Build("abcdefghij/test".parse().unwrap()), Some("again"))
        );
        assert_eq!(retry(json!({ "run": "abcdefghij" })), wanted(RetryWhat::Failed(run()), None));
        assert_eq!(
            retry(json!({ "run": "abcdefghij", "all": false })),
            wanted(RetryWhat::Failed(run()), None)
        );
        assert_eq!(
            retry(json!({ "run": "abcdefghij", "all": true })),
            wanted(RetryWhat::All(run()), None)
        );
        assert_eq!(
            request(&json!({ "show": { "run": "abcdefghij" } })),
            Ok(Request::Show("abcdefghij".parse().unwrap()))
        );
        assert_eq!(
            request(&json!({ "list": { "repository": "shop" }, "show": null })),
            Ok(Request::List {
                repository: Some("shop".parse().unwrap()),
                class: None,
                before: None,
            })
        );
        assert_eq!(
            request(&json!({ "list": { "status": "failed", "next": "2026" } })),
            Ok(Request::List {
                repository: None,
                class: Some(RunClass::Failed),
                before: Some("2026".to_owned()),
            })
        );
    }

    #[test]
    fn a_request_may_say_which_schedule_it_comes_from() {
        let said = |schedule: Value| submitted(&json!({ "cancel": { "run": "abcdefghij" }, "schedule": schedule }));
        for arn in [
            "arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly",
            "arn:aws-cn:events:cn-north-1:123456789012:rule/nightly",
        ] {
            assert_eq!(said(json!(arn)).unwrap().schedule, Some(arn.parse().unwrap()));
        }
        assert_eq!(said(json!(null)).unwrap().schedule, None);
        for other in [
            "arn:aws:iam::123456789012:user/ada",
            "arn:aws:sts::123456789012:assumed-role/dev/anna",
        ] {
            assert_eq!(
                said(json!(other)).unwrap_err(),
                "schedule: expected the ARN of a schedule, such as <aws.scheduler.schedule-arn>"
            );
        }
        for none in [json!("nightly"), json!("<aws.scheduler.schedule-arn>")] {
            assert!(said(none).unwrap_err().ends_with(
                "is not a valid ARN: expected arn:partition:service:region:account:resource on one line, of at most 2048 bytes"
            ));
        }
        assert_eq!(said(json!(5)).unwrap_err(), "schedule: expected a non-empty string");
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (input, words) in [
            (
                json!(5),
                "the input: expected an object with the keys start, cancel, retry, show, list",
            ),
            (json!({}), "expected exactly one of the keys start, cancel, retry, show, list"),
            (json!({ "start": null }), "expected exactly one of the keys start,"),
            (json!({ "start": {}, "show": {} }), "expected exactly one of the keys start,"),
            (json!({ "strat": {} }), "strat: unknown key; did you mean start? (known: start,"),
            (
                json!({ "start": {}, "reason": "x" }),
                "reason: unknown key (known: start, cancel, retry, show, list, schedule)",
            ),
            (
                json!({ "start": "test" }),
                "start: expected an object with the keys repository, branch,",
            ),
            (json!({ "start": {} }), "start: expected repository, or job with the name"),
            (
                json!({ "list": { "status": "finished" } }),
                "list.status: \"finished\" is not a status of runs: expected running, succeeded, failed, cancelled",
            ),
            (
                json!({ "start": { "repo": "shop" } }),
                "start.repo: unknown key (known: repository, branch, commit, job, id)",
            ),
            (
                json!({ "start": { "repository": "shop", "brunch": "main" } }),
                "start.brunch: unknown key; did you mean branch?",
            ),
            (
                json!({ "start": { "repository": "a/b" } }),
                "start.repository: \"a/b\" is not a valid repository name: expected",
            ),
            (
                json!({ "start": { "repository": 5 } }),
                "start.repository: expected a non-empty string",
            ),
            (
                json!({ "start": { "repository": "shop", "branch": "refs/heads/main" } }),
                "start.branch: expected the name of a branch",
            ),
            (
                json!({ "start": { "repository": "shop", "commit": "0123" } }),
                "start.commit: \"0123\" is not a valid commit id: expected 40 or 64",
            ),
            (
                json!({ "start": { "repository": "shop", "branch": "main", "commit": COMMIT } }),
                "start.commit: expected either branch or commit, but found both",
            ),
            (
                json!({ "start": { "job": "test", "branch": "main" } }),
                "start.repository: required with branch or commit",
            ),
            (
                json!({ "start": { "commit": COMMIT } }),
                "start.repository: required with branch or commit",
            ),
            (
                json!({ "start": { "repository": "shop", "job": "A" } }),
                "start.job: \"A\" is not a valid job name: expected",
            ),
            (json!({ "start": { "job": "a", "id": 7 } }), "start.id: expected a non-empty string"),
            (
                json!({ "start": { "job": "a", "id": "x".repeat(257) } }),
                "start.id: expected a string of at most 256 bytes on one line",
            ),
            (
                json!({ "start": { "job": "a", "id": "x\ny" } }),
                "start.id: expected a string of at most 256 bytes on one line",
            ),
            (json!({ "cancel": {} }), "cancel: expected either run or build, but found neither"),
            (
                json!({ "cancel": { "run": "abcdefghij", "build": "abcdefghij/test" } }),
                "cancel: expected either run or build, but found both",
            ),
            (
                json!({ "cancel": { "run": "abc" } }),
                "cancel.run: \"abc\" is not a valid run id: expected 10 characters",
            ),
            (json!({ "retry": {} }), "retry: expected either build or run, but found neither"),
            (
                json!({ "retry": { "build": "abcdefghij/test", "run": "abcdefghij" } }),
                "retry: expected either build or run, but found both",
            ),
            (
                json!({ "retry": { "build": "abcdefghij/test", "all": true } }),
                "retry.all: allowed with run, but not with build",
            ),
            (
                json!({ "retry": { "run": "abcdefghij", "all": "yes" } }),
                "retry.all: expected true or false",
            ),
            (
                json!({ "retry": { "run": "abcdefghij", "id": "x\ny" } }),
                "retry.id: expected a string of at most 256 bytes on one line",
            ),
            (
                json!({ "retry": { "build": "abcdefghij" } }),
                "retry.build: \"abcdefghij\" is not a valid build id: expected RUN/JOB",
            ),
            (json!({ "show": {} }), "show.run: required, but missing"),
            (json!({ "list": ["shop"] }), "list: expected an object with the keys repository"),
        ] {
            let error = request(&input).unwrap_err();
            assert!(error.starts_with(words), "{input}: {error}");
            assert!(!error.contains('\n'), "{error:?}");
        }
    }
}
