//! Requests of people, schedules and programs.

use bellhop_domain::ids::BuildId;
use bellhop_domain::request::{At, Request, Retry, RetryWhat, Start, StartWhat, Submitted};
use bellhop_events::{Event, function_url};

use super::common::json_files;
use super::folder;
use super::story::{PUSHED, Row, first_run};

pub(super) fn rows() -> Vec<Row> {
    let row = |name, request: Request| (name, vec![Event::Request(Ok(request.into()))], vec![]);
    let wrong = |name, text: &str| (name, vec![Event::Request(Err(text.into()))], vec![]);
    let start = |name, at, job: Option<&str>, id: Option<&str>| {
        let what = StartWhat::Pipeline {
            repository: "shop".parse().unwrap(),
            at,
            job: job.map(|job| job.parse().unwrap()),
        };
        let id = id.map(Into::into);
        row(name, Request::Start(Start { what, id }))
    };
    let main = || At::Branch("main".into());
    let build = || BuildId {
        run: first_run(),
        job: "test".parse().unwrap(),
    };
    vec![
        start("control/start.json", main(), None, None),
        start("control/start-job.json", main(), Some("test"), None),
        start("control/start-commit.json", At::Commit(PUSHED.parse().unwrap()), Some("test"), None),
        start("control/nightly.json", At::Default, Some("test"), Some("nightly-2026-03-02")),
        (
            "control/scheduled.json",
            vec![Event::Request(Ok(Submitted {
                request: Request::Start(Start {
                    what: StartWhat::Suite("clean-workspaces".parse().unwrap()),
                    id: Some("clean 2026-03-02T02:00:00Z".into()),
                }),
                schedule: Some("arn:aws:scheduler:us-east-1:123456789012:schedule/default/clean".parse().unwrap()),
            }))],
            vec![],
        ),
        (
            "control/function-url.json",
            vec![],
            vec!["HTTP request: foreign: only the function behind the function URL reads it".into()],
        ),
        row(
            "control/start-suite-job.json",
            Request::Start(Start {
                what: StartWhat::Suite("clean-workspaces".parse().unwrap()),
                id: None,
            }),
        ),
        row("control/cancel-run.json", Request::CancelRun(first_run())),
        row("control/cancel-build.json", Request::CancelBuild(build())),
        row(
            "control/retry.json",
            Request::Retry(Retry {
                what: RetryWhat::Build(build()),
                id: None,
            }),
        ),
        row("control/show.json", Request::Show(first_run())),
        row(
            "control/list.json",
            Request::List {
                repository: Some("shop".parse().unwrap()),
                class: None,
                before: None,
            },
        ),
        wrong(
            "control/misspelt.json",
            "start.repositry: unknown key; did you mean repository? (known: repository, branch, commit, job, id)",
        ),
        wrong(
            "control/branch-and-commit.json",
            "start.commit: expected either branch or commit, but found both",
        ),
        wrong(
            "control/two-verbs.json",
            "expected exactly one of the keys start, cancel, retry, show, list",
        ),
    ]
}

#[test]
fn the_function_url_writes_who_signed_the_request() {
    let (_, event) = json_files(&folder())
        .into_iter()
        .find(|(name, _)| name == "control/function-url.json")
        .unwrap();
    let call = function_url::call(&event, event["requestContext"]["requestId"].as_str().unwrap()).unwrap();
    assert_eq!(call.caller.as_str(), "arn:aws:sts::123456789012:assumed-role/dev/anna");
    assert_eq!(call.submitted, Request::CancelRun(first_run()).into());
}
