//! What people, schedules and programs ask for.

use bellhop_domain::run::Run;
use bellhop_scenarios::World;
use serde_json::{Value, json};

use crate::words::MINUTE;

const FILE: &str = r"
version: 1
jobs:
  build: { agent: small, run: make }
  test: { agent: small, run: make test, needs: [build] }
  tag: { agent: small, run: make release, on: { push: { tags: ['*'] } } }
";

const BOTH_NEEDED: &str = r"
version: 1
jobs:
  a: { agent: small, run: x }
  b: { agent: small, run: x }
  c: { agent: small, run: x, needs: [a, b] }
";

/// Who signs requests to the function URL.
const ANNA: &str = "arn:aws:sts::123456789012:assumed-role/dev/anna";
const ANNA_IN_WORDS: &str = "anna (arn:aws:sts::123456789012:assumed-role/dev/anna)";

fn anna() -> Value {
    json!({ "kind": "principal", "name": "anna", "arn": ANNA })
}

async fn world() -> World {
    World::with_pipeline(FILE).await
}

async fn ask(world: &World, request: Value) -> Value {
    world.control(&request).await.unwrap()
}

async fn ends(world: &World, place: usize, exit_code: i32) {
    let task = world.task(place);
    world.runs(&task).await;
    world.exits(&task, exit_code).await;
}

/// Where the task of a job stands among the tasks: those of one run are launched side by side.
fn place_of(world: &World, job: &str) -> usize {
    world
        .tasks()
        .iter()
        .position(|task| task.environment["BELLHOP_JOB"] == job)
        .unwrap()
}

/// The jobs of a run that was answered.
fn jobs(answer: &Value) -> Vec<&str> {
    let builds = answer["builds"].as_array().unwrap();
    builds.iter().map(|build| build["job"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_start_answers_the_run() {
    let world = world().await;
    let commit = world.push_event()["detail"]["commitId"].clone();
    let answer = ask(&world, json!({ "start": { "repository": "shop" } })).await;
    assert_eq!(
        [&answer["status"], &answer["repository"], &answer["ref"], &answer["commit"]],
        [&json!("open"), &json!("shop"), &json!("refs/heads/main"), &commit]
    );
    let builds: Vec<_> = answer["builds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|build| [&build["job"], &build["status"]])
        .collect();
    assert_eq!(builds[0][0], "build");
    assert_eq!(builds[1], [&json!("test"), &json!("blocked")]);
    assert_eq!((builds.len(), world.tasks().len()), (2, 1), "as a push would start");

    ends(&world, 0, 0).await;
    ends(&world, 1, 0).await;
    let answer = ask(&world, json!({ "show": { "run": answer["run"] } })).await;
    assert_eq!(answer["status"], "succeeded");
    assert_eq!(answer, world.report().await);
}

#[tokio::test]
async fn a_start_may_name_branch_commit_and_job() {
    let world = world().await;
    let commit = world.push_event()["detail"]["commitId"].clone();
    world.repository.commit(&[("a", "b")], "[skip ci] on the branch").await;
    let branch = world.push_to("refs/heads/feature").await;

    let answer = ask(
        &world,
        json!({ "start": { "repository": "shop", "branch": "feature", "job": "tag" } }),
    )
    .await;
    assert_eq!(
        (&answer["commit"], &answer["ref"]),
        (&branch["detail"]["commitId"], &json!("refs/heads/feature"))
    );
    assert_eq!(answer["builds"].as_array().unwrap().len(), 1);
    let answer = ask(
        &world,
        json!({ "start": { "repository": "shop", "commit": commit, "job": "test" } }),
    )
    .await;
    assert_eq!(answer["commit"], commit);
    assert_eq!(answer["builds"].as_array().unwrap().len(), 2, "the job and the one that it needs");
}

#[tokio::test]
async fn the_same_request_starts_one_run() {
    let world = world().await;
    let request = json!({ "start": { "repository": "shop" } });
    let first = world.control_as("one", &request).await.unwrap();
    let again = world.control_as("one", &request).await.unwrap();
    assert_eq!(first["run"], again["run"]);
    let other = world.control_as("two", &request).await.unwrap();
    assert_ne!(first["run"], other["run"]);

    let named = json!({ "start": { "repository": "shop", "id": "nightly 7" } });
    let (one, two) = tokio::join!(world.control(&named), world.control(&named));
    assert_eq!(one.unwrap()["run"], two.unwrap()["run"]);
    // A name of the asker's own cannot meet an invocation's.
    let met = world.control_as("nightly 7", &request).await.unwrap();
    assert_ne!(met["run"], ask(&world, named).await["run"]);
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (4, 4));
}

#[tokio::test]
async fn a_cancelled_run_stops_its_agents() {
    let world = world().await;
    let run = world.start().await;
    let task = world.task(0);
    world.runs(&task).await;

    let answer = ask(&world, json!({ "cancel": { "run": run } })).await;
    assert_eq!(answer["run"], run.to_string());
    assert_eq!(world.journal().of("ecs", "StopTask").len(), 1);
    world.task_events(&world.ecs().settle_stop(&task, 143).unwrap()).await;

    assert_eq!(world.run().await.status(), "cancelled");
    assert_eq!(world.build("test").await.status(), "cancelled");
    let again = ask(&world, json!({ "cancel": { "run": run } })).await;
    assert_eq!(again["status"], "cancelled");
    assert_eq!(world.journal().of("ecs", "StopTask").len(), 1);
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn a_cancelled_build_skips_what_needs_it_and_nothing_else() {
    let file =
        "version: 1\njobs:\n  a: { agent: small, run: x }\n  b: { agent: small, run: x, needs: [a] }\n  c: { agent: small, run: x }\n";
    let world = World::with_pipeline(file).await;
    let run = world.start().await;
    let place = place_of(&world, "a");
    world.runs(&world.task(place)).await;
    ask(&world, json!({ "cancel": { "build": format!("{run}/a") } })).await;
    world.task_events(&world.ecs().settle_stop(&world.task(place), 143).unwrap()).await;
    ends(&world, 1 - place, 0).await;
    let statuses = [world.build("a").await, world.build("b").await, world.build("c").await].map(|build| build.status());
    assert_eq!(statuses, ["cancelled", "skipped", "succeeded"]);
    assert_eq!(world.run().await.status(), "cancelled");
}

#[tokio::test]
async fn a_retry_is_a_new_run_of_the_failed_build_and_of_what_it_skipped() {
    let world = world().await;
    let first = world.start().await;
    ends(&world, 0, 1).await;
    assert_eq!(world.run().await.status(), "failed");
    let request = json!({ "retry": { "build": format!("{first}/build") } });

    let answer = world.control_as("again", &request).await.unwrap();
    assert_ne!(answer["run"], first.to_string());
    assert_eq!(answer["commit"], world.push_event()["detail"]["commitId"]);
    assert_eq!(world.control_as("again", &request).await.unwrap()["run"], answer["run"]);
    ends(&world, 1, 0).await;
    ends(&world, 2, 0).await;
    assert_eq!(world.run().await.status(), "succeeded");
    let first = world.engine().ledger.load::<Run>(&first).await.unwrap().unwrap().record;
    assert_eq!(first.status(), "failed");
    assert_eq!(world.tasks().len(), 3);
}

#[tokio::test]
async fn a_retry_waits_until_it_is_clear_what_goes_with_it() {
    let world = World::with_pipeline(BOTH_NEEDED).await;
    let first = world.start().await;
    let a = place_of(&world, "a");
    ends(&world, a, 1).await;
    let request = json!({ "retry": { "build": format!("{first}/a") } });
    let answer = ask(&world, request.clone()).await;
    assert_eq!(
        answer["error"],
        "c was skipped because of a and also needs b, which has not finished: retry later, or cancel b to leave c out"
    );
    assert_eq!(world.tasks().len(), 2);

    ends(&world, 1 - a, 0).await;
    let answer = ask(&world, request).await;
    assert_eq!(jobs(&answer), ["a", "c"]);
}

#[tokio::test]
async fn a_retry_says_what_it_leaves_out() {
    let world = World::with_pipeline(BOTH_NEEDED).await;
    let first = world.start().await;
    ends(&world, 0, 1).await;
    ends(&world, 1, 1).await;
    let request = json!({ "retry": { "build": format!("{first}/a") } });
    let answer = world.control_as("again", &request).await.unwrap();
    assert_eq!(jobs(&answer), ["a"]);
    assert_eq!(answer["left-out"], json!(["c"]));
    assert_eq!(world.control_as("again", &request).await.unwrap()["left-out"], json!(["c"]));

    let answer = ask(&world, json!({ "retry": { "build": format!("{first}/c") } })).await;
    assert_eq!(jobs(&answer), ["c"]);
    assert_eq!(answer["left-out"], Value::Null);
}

#[tokio::test]
async fn a_retry_of_what_is_not_allowed_any_more_is_refused() {
    let world = world().await;
    let first = world.start().await;
    ends(&world, 0, 1).await;
    let agents = "version: 1\nagents:\n  small: { ecs: { cluster: ci, task-definition: a, subnets: [s] } }\n";
    world.configure(&format!("{agents}repositories:\n  shop: {{ agents: [] }}\n")).await;
    let answer = ask(&world, json!({ "retry": { "build": format!("{first}/build") } })).await;
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("does not let `shop` use the agent `small`"), "{error}");
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn the_newest_runs_of_a_repository_are_listed_newest_first() {
    let world = world().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(ask(&world, json!({ "start": { "repository": "shop" } })).await["run"].clone());
        world.clock.advance(MINUTE);
    }
    runs.reverse();
    let answer = ask(&world, json!({ "list": { "repository": "shop" } })).await;
    let listed: Vec<_> = answer["runs"].as_array().unwrap().iter().map(|run| run["run"].clone()).collect();
    assert_eq!(listed, runs);
    assert_eq!(ask(&world, json!({ "list": { "repository": "none" } })).await["runs"], json!([]));
    let newest = &answer["runs"][0];
    assert_eq!((&newest["trigger"]["kind"], &newest["retry-of"]), (&json!("request"), &Value::Null));
    assert_eq!((&newest["repository"], &newest["jobs"]), (&json!("shop"), &json!(2)));
    // Those of all repositories, and those that have not finished.
    let ids = |answer: &Value| {
        answer["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["run"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&ask(&world, json!({ "list": {} })).await), runs);
    ask(&world, json!({ "cancel": { "run": runs[1] } })).await;
    let running = ask(&world, json!({ "list": { "status": "running" } })).await;
    assert_eq!(ids(&running), [runs[0].clone(), runs[2].clone()]);
    for list in [
        json!({ "status": "cancelled" }),
        json!({ "repository": "shop", "status": "cancelled" }),
    ] {
        assert_eq!(ids(&ask(&world, json!({ "list": list })).await), runs[1..2]);
    }
}

#[tokio::test]
async fn a_list_has_pages() {
    let world = world().await;
    let mut runs = Vec::new();
    for _ in 0..21 {
        runs.push(ask(&world, json!({ "start": { "repository": "shop", "job": "build" } })).await["run"].clone());
        world.clock.advance(MINUTE);
    }
    runs.reverse();
    let names = |page: &Value| {
        page["runs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["run"].clone())
            .collect::<Vec<_>>()
    };
    let first = ask(&world, json!({ "list": { "repository": "shop" } })).await;
    assert_eq!(names(&first), runs[..20]);
    let second = ask(&world, json!({ "list": { "repository": "shop", "next": first["next"] } })).await;
    assert_eq!((names(&second), &second["next"]), (runs[20..].to_vec(), &Value::Null));
}

#[tokio::test]
async fn a_whole_run_is_started_again_once_however_often_it_is_asked_for_under_one_name() {
    let world = World::with_pipeline(BOTH_NEEDED).await;
    let first = world.start().await;
    ends(&world, 0, 1).await;
    ends(&world, 1, 0).await;
    let failed = json!({ "retry": { "run": first, "id": "again" } });
    let answer = ask(&world, failed.clone()).await;
    assert_eq!(jobs(&answer), ["a", "c"]);
    assert_eq!((&answer["trigger"]["kind"], &answer["retry-of"]), (&json!("retry"), &json!(first)));
    assert_eq!(ask(&world, failed).await["run"], answer["run"]);
    let all = ask(&world, json!({ "retry": { "run": first, "all": true } })).await;
    assert_eq!(jobs(&all), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_cancellation_of_a_job_that_a_finished_run_does_not_have_is_a_mistake() {
    let world = World::with_pipeline(BOTH_NEEDED).await;
    let run = world.start().await;
    ends(&world, 0, 1).await;
    ends(&world, 1, 1).await;
    let answer = ask(&world, json!({ "cancel": { "build": format!("{run}/none") } })).await;
    assert_eq!(answer["error"], json!(format!("run {run} has no job none")));
    assert_eq!(
        ask(&world, json!({ "cancel": { "build": format!("{run}/a") } })).await["status"],
        "failed"
    );
}

#[tokio::test]
async fn a_job_of_the_suites_own_is_started_by_its_name() {
    let world = world().await;
    let suite = r"
version: 1
agents:
  small: { ecs: { cluster: ci-spot, task-definition: bellhop-agent-small, subnets: [subnet-0a] } }
jobs:
  clean: { agent: small, repository: shop, branch: main, run: ./clean }
";
    world.configure(suite).await;
    let answer = ask(&world, json!({ "start": { "job": "clean" } })).await;
    assert_eq!(answer["builds"][0]["job"], "clean", "{answer}");
    ends(&world, 0, 0).await;
    assert_eq!(world.run().await.status(), "succeeded");
    let answer = ask(&world, json!({ "start": { "job": "claen" } })).await;
    assert!(answer["error"].as_str().unwrap().contains("clean"), "{answer}");
}

#[tokio::test]
async fn a_misuse_is_answered_with_what_was_expected() {
    let world = world().await;
    let run = world.start().await;
    for (request, words) in [
        (json!({}), "expected exactly one of the keys start, cancel, retry, show, list"),
        (json!("start"), "expected an object with the keys start,"),
        (json!({ "strat": {} }), "did you mean start?"),
        (json!({ "start": { "repository": "none" } }), "there is no repository none"),
        (
            json!({ "start": { "repository": "shop", "branch": "none" } }),
            "repository shop has no branch none",
        ),
        (json!({ "start": { "job": "none" } }), "none"),
        (json!({ "show": { "run": "aaaaaaaaaa" } }), "there is no run aaaaaaaaaa"),
        (json!({ "show": { "run": "x" } }), "show.run: \"x\" is not a valid run id"),
        (json!({ "cancel": { "run": "aaaaaaaaaa" } }), "there is no run aaaaaaaaaa"),
        (json!({ "cancel": { "build": format!("{run}/none") } }), "has no job none"),
        (
            json!({ "retry": { "build": format!("{run}/build") } }),
            "has not finished: cancel it first",
        ),
        (json!({ "retry": { "build": format!("{run}/none") } }), "has no job none"),
        (json!({ "retry": { "build": "aaaaaaaaaa/build" } }), "there is no run aaaaaaaaaa"),
        (
            json!({ "list": { "status": "done" } }),
            "\"done\" is not a status of runs: expected running,",
        ),
    ] {
        let answer = ask(&world, request.clone()).await;
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{request}: {answer}"));
        assert!(error.contains(words), "{request}: {error}");
    }
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (1, 1));
}

#[tokio::test]
async fn a_start_whose_job_is_not_in_the_file_is_a_rejected_run() {
    let world = world().await;
    let answer = ask(&world, json!({ "start": { "repository": "shop", "job": "tset" } })).await;
    assert_eq!(answer["status"], "rejected");
    assert!(answer["rejected"].as_str().unwrap().contains("there is no job `tset`"), "{answer}");
}

#[tokio::test]
async fn a_signed_request_names_its_sender_wherever_the_run_is_shown() {
    let world = world().await;
    let (status, answer) = world
        .control_url(ANNA, &json!({ "start": { "repository": "shop" } }))
        .await
        .unwrap();
    assert_eq!((status, &answer["started-by"]), (200, &anna()), "{answer}");
    let listed = ask(&world, json!({ "list": {} })).await;
    assert_eq!(listed["runs"][0]["started-by"], anna());
    assert_eq!(
        ask(&world, json!({ "list": { "repository": "shop" } })).await["runs"][0]["started-by"],
        anna()
    );

    let (status, answer) = world
        .control_url(ANNA, &json!({ "cancel": { "run": answer["run"] } }))
        .await
        .unwrap();
    assert_eq!(status, 200, "{answer}");
    world.task_events(&world.ecs().settle_stop(&world.task(0), 143).unwrap()).await;
    let report = world.report().await;
    assert_eq!(report["builds"][0]["cause"], format!("cancelled by {ANNA_IN_WORDS}"));
    assert_eq!(report["started-by"], anna());
    let messages = world.messages().await;
    let of_run = messages.iter().find(|message| message.document["kind"] == "run").unwrap();
    assert_eq!(of_run.document["started-by"], anna());

    let (status, again) = world
        .control_url("arn:aws:iam::123456789012:user/ben", &json!({ "retry": { "run": report["run"] } }))
        .await
        .unwrap();
    assert_eq!((status, &again["started-by"]["name"]), (200, &json!("ben")));
    assert_eq!(
        ask(&world, json!({ "show": { "run": report["run"] } })).await["started-by"],
        anna(),
        "the first run is still hers"
    );
}

#[tokio::test]
async fn a_request_without_a_verified_name_says_so() {
    let world = world().await;
    let unverified = json!({ "kind": "unverified", "name": null, "arn": null });
    let answer = ask(&world, json!({ "start": { "repository": "shop" } })).await;
    assert_eq!(answer["started-by"], unverified);
    let answer = ask(&world, json!({ "cancel": { "run": answer["run"] } })).await;
    assert_eq!(answer["builds"][1]["cause"], "cancelled by an unverified caller");

    let schedule = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly";
    let answer = ask(&world, json!({ "start": { "repository": "shop" }, "schedule": schedule })).await;
    assert_eq!(
        answer["started-by"],
        json!({ "kind": "claimed-schedule", "name": "nightly", "arn": schedule })
    );
    let answer = ask(&world, json!({ "start": { "repository": "shop" }, "schedule": ANNA })).await;
    assert_eq!(
        answer["error"],
        "schedule: expected the ARN of a schedule, such as <aws.scheduler.schedule-arn>"
    );

    world.start().await;
    let run = world.run().await;
    assert_eq!(
        (run.by.as_deref(), run.started_by),
        (Some("developer"), None),
        "nobody but who pushed"
    );
}

#[tokio::test]
async fn over_http_the_status_says_how_it_went() {
    let world = world().await;
    let named = json!({ "start": { "repository": "shop", "id": "release 7" } });
    let first = world.control_url(ANNA, &named).await.unwrap();
    let again = world.control_url("arn:aws:iam::123456789012:user/ben", &named).await.unwrap();
    assert_eq!((first.0, again.0), (200, 200));
    assert_eq!(first.1["run"], again.1["run"]);
    assert_eq!(again.1["started-by"], anna(), "who sent it first");
    let run = first.1["run"].as_str().unwrap().to_owned();
    for (request, status, words) in [
        (json!({ "show": { "run": run } }), 200, ""),
        (json!({ "list": {} }), 200, ""),
        (json!({}), 400, "expected exactly one of the keys"),
        (json!({ "strat": {} }), 400, "did you mean start?"),
        (json!([named]), 400, "expected an object"),
        (json!({ "show": { "run": "aaaaaaaaaa" } }), 404, "there is no run aaaaaaaaaa"),
        (json!({ "cancel": { "run": "aaaaaaaaaa" } }), 404, "there is no run aaaaaaaaaa"),
        (json!({ "cancel": { "build": format!("{run}/none") } }), 404, "has no job none"),
        (json!({ "retry": { "run": "aaaaaaaaaa" } }), 404, "there is no run aaaaaaaaaa"),
        (json!({ "retry": { "run": run } }), 409, "has not finished: cancel it first"),
        (json!({ "start": { "repository": "none" } }), 409, "there is no repository none"),
    ] {
        let (found, answer) = world.control_url(ANNA, &request).await.unwrap();
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(found == status && error.contains(words), "{request}: {found} {answer}");
        assert_eq!(error.is_empty(), status == 200, "{request}: {answer}");
    }
    let event = json!({
        "version": "2.0",
        "requestContext": { "requestId": "one", "http": { "method": "GET" }, "authorizer": { "iam": { "userArn": ANNA } } },
    });
    let response = world.control_url_as("one", &event).await.unwrap();
    assert_eq!(
        response,
        json!({
            "statusCode": 405,
            "headers": { "content-type": "application/json", "cache-control": "no-store", "allow": "POST" },
            "body": r#"{"error":"expected the method POST"}"#,
        })
    );
    assert_eq!(world.run_ids().await.len(), 1);
}
