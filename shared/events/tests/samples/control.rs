//! Requests of people, schedules and programs.

use bellhop_domain::ids::BuildId;
use bellhop_domain::request::{At, Request, Retry, RetryWhat, Start, StartWhat};
use bellhop_events::Event;

use super::story::{PUSHED, Row, first_run};

pub(super) fn rows() -> Vec<Row> {
    let row = |name, request| (name, vec![Event::Request(Ok(request))], vec![]);
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
