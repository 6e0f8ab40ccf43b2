//! What builds leave behind: artifacts, test results, and what is made of them.

use bellhop_domain::build::BuildEvent;
use bellhop_domain::outcome::Outcome;
use bellhop_domain::results::junit;

use crate::world::{World, job, stopped};

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
    let tests = world.build(&job(&run, "test")).await.results.unwrap().tests.unwrap();
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
    let tests = world.build(&job(&run, "test")).await.results.unwrap().tests.unwrap();
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
    let tests = world.build(&job(&run, "test")).await.results.unwrap().tests.unwrap();
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
    assert!(world.seen(&id, stopped(1)).await.is_err());
    assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Failed));
    for _ in 0..40 {
        let _ = world.sweep().await;
    }
    assert_eq!(world.told("build"), ["abandoned", "failed"]);
    assert_eq!(world.run(&run).await.status(), "failed");
    let event = BuildEvent::Collected {
        attempt: 1,
        results: bellhop_domain::results::found::Results::default(),
    };
    assert!(matches!(
        world.engine().build(&id, event).await.unwrap(),
        bellhop_engine::Handled::Ignored(_)
    ));
}
