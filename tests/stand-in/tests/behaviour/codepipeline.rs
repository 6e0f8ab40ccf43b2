//! Invoke actions of pipelines.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bellhop_stand_in::{ARTIFACT_CREDENTIALS, ActionView, Artifact, Fault, InvokeAction, JobResult, Rule};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::{SOON, Setup, start, start_with};

async fn call(setup: &Setup, operation: &str, body: &Value) -> (u16, Value) {
    let target = format!("CodePipeline_20150709.{operation}");
    setup.call("codepipeline", &target, body).await
}

async fn succeed(setup: &Setup, body: &Value) -> (u16, Value) {
    call(setup, "PutJobSuccessResult", body).await
}

async fn fail(setup: &Setup, job: &str, details: &Value) -> (u16, Value) {
    call(setup, "PutJobFailureResult", &json!({ "jobId": job, "failureDetails": details })).await
}

fn begin(setup: &Setup) -> (String, String) {
    let action = setup.codepipeline().start(InvokeAction::new("pipeline-job")).unwrap();
    let job = action.jobs[0].id.clone();
    (action.id, job)
}

/// Waits until an action has so many jobs.
async fn with_jobs(setup: &Setup, action: &str, count: usize) -> ActionView {
    let found = |actions: &[ActionView]| {
        actions
            .iter()
            .find(|known| known.id == action && known.jobs.len() == count)
            .cloned()
    };
    setup.codepipeline().wait_for(SOON, found).await.unwrap()
}

#[tokio::test]
async fn the_event_is_that_of_a_job() {
    let setup = start().await;
    let mut events = setup.codepipeline().subscribe();
    let mut action = InvokeAction::new("pipeline-job").user_parameters("job: test").input(Artifact {
        name: "Source".to_owned(),
        bucket: "artifacts".to_owned(),
        key: "shop/Source/abc".to_owned(),
        revision: Some("0123".to_owned()),
    });
    action.encryption_key = Some("arn:aws:kms:us-east-1:000000000000:key/1".to_owned());
    let started = setup.codepipeline().start(action).unwrap();

    let event = events.recv().await.unwrap();
    let [key, secret, session] = ARTIFACT_CREDENTIALS;
    let expected = json!({
        "CodePipeline.job": {
            "id": started.jobs[0].id,
            "accountId": "000000000000",
            "data": {
                "actionConfiguration": {
                    "configuration": { "FunctionName": "pipeline-job", "UserParameters": "job: test" },
                },
                "inputArtifacts": [{
                    "name": "Source",
                    "revision": "0123",
                    "location": { "type": "S3", "s3Location": { "bucketName": "artifacts", "objectKey": "shop/Source/abc" } },
                }],
                "outputArtifacts": [],
                "artifactCredentials": { "accessKeyId": key, "secretAccessKey": secret, "sessionToken": session },
                "encryptionKey": { "id": "arn:aws:kms:us-east-1:000000000000:key/1", "type": "KMS" },
            },
        },
    });
    assert_eq!(event, expected);
    assert_eq!(setup.codepipeline().event(&started.id).unwrap(), expected);
    setup.codepipeline().deliver_again(&started.jobs[0].id).unwrap();
    assert_eq!(events.recv().await.unwrap(), expected);

    let plain = setup.codepipeline().start(InvokeAction::new("f")).unwrap();
    let event = setup.codepipeline().event(&plain.jobs[0].id).unwrap();
    let configuration = &event["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"];
    assert_eq!(*configuration, json!({ "FunctionName": "f" }));
    let long = InvokeAction::new("f").user_parameters("ä".repeat(1001));
    assert!(setup.codepipeline().start(long).is_err());
    assert!(
        setup
            .codepipeline()
            .start(InvokeAction::new("f").user_parameters("ä".repeat(1000)))
            .is_ok()
    );
}

#[tokio::test]
async fn a_success_settles_the_action_once() {
    let setup = start().await;
    let (action, job) = begin(&setup);
    let request = json!({
        "jobId": job,
        "executionDetails": { "summary": "3 jobs", "externalExecutionId": "run-7", "percentComplete": 100 },
        "outputVariables": { "RunId": "7", "a@b-c_d": "" },
    });
    assert_eq!(succeed(&setup, &request).await, (200, json!({})));

    let view = setup.codepipeline().action(&job).unwrap();
    assert_eq!((view.id.as_str(), view.status.as_str()), (action.as_str(), "Succeeded"));
    assert_eq!(view.output_variables["RunId"], "7");
    assert_eq!(view.summary.as_deref(), Some("3 jobs"));
    assert_eq!(view.external_execution_id.as_deref(), Some("run-7"));
    assert_eq!(view.jobs[0].result, Some(JobResult::Succeeded));

    let (status, body) = succeed(&setup, &json!({ "jobId": job })).await;
    assert_eq!((status, body["__type"].as_str()), (400, Some("InvalidJobStateException")));
    let unknown = "01234567-89ab-cdef-0123-456789abcdef";
    let (status, body) = succeed(&setup, &json!({ "jobId": unknown })).await;
    assert_eq!((status, body["__type"].as_str()), (400, Some("JobNotFoundException")));
    let entries = setup.journal().of("codepipeline", "PutJobSuccessResult");
    assert_eq!(entries[0].request, Some(request));
    assert_eq!(entries[0].summary, format!("{job} (over)"));
}

#[tokio::test]
async fn a_token_brings_the_action_back_as_a_new_job() {
    let setup = start_with(|options, _| options.timing.job_continuation = Duration::from_millis(30)).await;
    let mut events = setup.codepipeline().subscribe();
    let (action, first) = begin(&setup);
    let details = json!({ "summary": "running", "percentComplete": 40 });
    let request = json!({ "jobId": first, "continuationToken": "run-7", "executionDetails": details });
    assert_eq!(succeed(&setup, &request).await.0, 200);
    // The job is settled, also before its successor is there.
    assert_eq!(fail(&setup, &first, &json!({ "type": "JobFailed", "message": "x" })).await.0, 400);

    let view = with_jobs(&setup, &action, 2).await;
    let second = view.jobs[1].id.clone();
    assert_ne!(first, second);
    assert_eq!(view.status, "InProgress");
    assert_eq!(view.job_ids(), [first.as_str(), second.as_str()]);
    assert_eq!(view.jobs[0].result, Some(JobResult::Continued { token: "run-7".to_owned() }));
    assert_eq!((view.summary.as_deref(), view.percent_complete), (Some("running"), Some(40)));
    let job = |event: &Value| event["CodePipeline.job"].clone();
    assert!(job(&events.recv().await.unwrap())["data"]["continuationToken"].is_null());
    let event = job(&events.recv().await.unwrap());
    assert_eq!(
        (&event["id"], &event["data"]["continuationToken"]),
        (&json!(second), &json!("run-7"))
    );

    let (_, body) = succeed(&setup, &json!({ "jobId": first })).await;
    assert_eq!(body["__type"], "InvalidJobStateException", "the job was replaced");
    assert_eq!(succeed(&setup, &json!({ "jobId": second })).await.0, 200);
    assert_eq!(setup.codepipeline().action(&first).unwrap().status, "Succeeded");
}

#[tokio::test]
async fn a_failure_is_the_action_s() {
    let setup = start().await;
    let (action, job) = begin(&setup);
    let details = json!({ "type": "ConfigurationError", "message": "No job is named tset", "externalExecutionId": "run-7" });
    assert_eq!(fail(&setup, &job, &details).await, (200, json!({})));
    let view = setup.codepipeline().action(&action).unwrap();
    assert_eq!(view.status, "Failed");
    let expected = JobResult::Failed {
        kind: "ConfigurationError".to_owned(),
        message: "No job is named tset".to_owned(),
    };
    assert_eq!(
        (view.result.as_ref(), view.jobs[0].result.as_ref()),
        (Some(&expected), Some(&expected))
    );
    assert_eq!(view.external_execution_id.as_deref(), Some("run-7"));
}

#[tokio::test]
async fn results_that_codepipeline_refuses() {
    let setup = start().await;
    let (action, job) = begin(&setup);
    let many: serde_json::Map<_, _> = (0..123).map(|number| (format!("v{number:03}"), "x".repeat(996).into())).collect();
    let cases = [
        (json!({}), "ValidationException"),
        (json!({ "jobId": "nonsense" }), "ValidationException"),
        (json!({ "jobId": job, "continuationToken": "" }), "ValidationException"),
        (
            json!({ "jobId": job, "continuationToken": "x".repeat(2049) }),
            "ValidationException",
        ),
        (
            json!({ "jobId": job, "continuationToken": "x", "outputVariables": { "a": "b" } }),
            "ValidationException",
        ),
        (json!({ "jobId": job, "outputVariables": { "a b": "c" } }), "ValidationException"),
        (
            json!({ "jobId": job, "outputVariables": many }),
            "OutputVariablesSizeExceededException",
        ),
        (json!({ "jobId": job, "outputVariables": { "a": 1 } }), "SerializationException"),
        (
            json!({ "jobId": job, "executionDetails": { "summary": "x".repeat(2049) } }),
            "ValidationException",
        ),
        (
            json!({ "jobId": job, "executionDetails": { "externalExecutionId": "x".repeat(1501) } }),
            "ValidationException",
        ),
        (
            json!({ "jobId": job, "executionDetails": { "percentComplete": 101 } }),
            "ValidationException",
        ),
    ];
    for (request, code) in cases {
        let (status, body) = succeed(&setup, &request).await;
        assert_eq!((status, body["__type"].as_str()), (400, Some(code)), "{body}");
    }
    let failures = [
        Value::Null,
        json!({ "type": "JobFailed" }),
        json!({ "type": "JobFailed", "message": "" }),
        json!({ "type": "JobFailed", "message": "x".repeat(5001) }),
        json!({ "type": "Oops", "message": "x" }),
    ];
    for details in failures {
        let (status, body) = fail(&setup, &job, &details).await;
        assert_eq!((status, body["__type"].as_str()), (400, Some("ValidationException")), "{details}");
    }
    assert_eq!(
        setup.codepipeline().action(&action).unwrap().jobs[0].result,
        None,
        "nothing took effect"
    );
    let longest = json!({ "type": "JobFailed", "message": "ä".repeat(5000) });
    assert_eq!(fail(&setup, &job, &longest).await.0, 200);
}

#[tokio::test]
async fn a_job_without_a_result_times_out() {
    let setup = start_with(|options, _| {
        options.timing.job_timeout = Duration::from_secs(1);
        options.timing.job_continuation = Duration::ZERO;
    })
    .await;
    let (action, first) = begin(&setup);
    assert_eq!(succeed(&setup, &json!({ "jobId": first, "continuationToken": "a" })).await.0, 200);
    let view = setup.codepipeline().wait_for_status(&action, "Failed", SOON).await.unwrap();
    assert_eq!(view.result, Some(JobResult::TimedOut));
    assert_eq!(view.jobs.len(), 2, "the token gave the action another job with a time of its own");
    assert_eq!(view.jobs[1].result, Some(JobResult::TimedOut));
    let (_, body) = succeed(&setup, &json!({ "jobId": view.jobs[1].id })).await;
    assert_eq!(body["__type"], "InvalidJobStateException");

    // All jobs together have a time too.
    let setup = start_with(|options, _| options.timing.action_timeout = Duration::from_millis(60)).await;
    let (action, first) = begin(&setup);
    succeed(&setup, &json!({ "jobId": first, "continuationToken": "a" })).await;
    let view = setup.codepipeline().wait_for_status(&action, "Failed", SOON).await.unwrap();
    assert_eq!((view.jobs.len(), view.result), (1, Some(JobResult::TimedOut)));
}

#[tokio::test]
async fn a_stopped_pipeline_withdraws_its_job() {
    let setup = start().await;
    let (action, job) = begin(&setup);
    let view = setup.codepipeline().stop(&action).unwrap();
    assert_eq!(
        (view.status.as_str(), &view.jobs[0].result),
        ("Abandoned", &Some(JobResult::Withdrawn))
    );
    let (_, body) = succeed(&setup, &json!({ "jobId": job })).await;
    assert_eq!(body["__type"], "InvalidJobStateException");
    assert!(setup.codepipeline().stop(&action).is_err() && setup.codepipeline().time_out(&action).is_err());

    // Between two jobs: none follows. Otherwise a test need not wait for it.
    for stops in [true, false] {
        let (action, job) = begin(&setup);
        assert!(setup.codepipeline().go_on(&action).is_err(), "its job is open");
        succeed(&setup, &json!({ "jobId": job, "continuationToken": "a" })).await;
        if stops {
            setup.codepipeline().stop(&action).unwrap();
        }
        assert_eq!(setup.codepipeline().go_on(&action).is_err(), stops);
        assert_eq!(setup.codepipeline().action(&action).unwrap().jobs.len(), if stops { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_lost_reply_has_settled_the_job() {
    let setup = start().await;
    let (_, job) = begin(&setup);
    setup
        .faults()
        .inject(Rule::new("codepipeline", "PutJobSuccessResult", Fault::LoseReply));
    let request = json!({ "jobId": job });
    let lost = setup
        .request("codepipeline", "CodePipeline_20150709.PutJobSuccessResult", &request)
        .send()
        .await;
    assert!(lost.is_err());
    let (_, body) = succeed(&setup, &request).await;
    assert_eq!(body["__type"], "InvalidJobStateException");
}

#[tokio::test]
async fn functions_are_invoked_through_the_upstream() {
    let (sender, mut invoked) = mpsc::unbounded_channel();
    let app = Router::new().fallback(async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let event: Value = serde_json::from_slice(&body).unwrap();
        let kind = headers["x-amz-invocation-type"].to_str().unwrap().to_owned();
        sender.send((format!("{method} {uri}"), kind, event)).unwrap();
        if uri.path().contains("gone") {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::ACCEPTED
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let setup = start_with(|options, _| options.upstream = Some(upstream)).await;

    begin(&setup);
    setup.codepipeline().set_invoking(true);
    let (action, job) = begin(&setup);
    let (line, kind, event) = invoked.recv().await.unwrap();
    assert_eq!(line, "POST /2015-03-31/functions/pipeline-job/invocations");
    assert_eq!(kind, "Event");
    assert_eq!(
        event,
        setup.codepipeline().event(&job).unwrap(),
        "the first action's job was not sent"
    );
    succeed(&setup, &json!({ "jobId": job, "continuationToken": "a" })).await;
    setup.codepipeline().go_on(&action).unwrap();
    let (_, _, event) = invoked.recv().await.unwrap();
    assert_eq!(event["CodePipeline.job"]["data"]["continuationToken"], "a");

    let gone = setup.codepipeline().start(InvokeAction::new("gone")).unwrap();
    let view = setup.codepipeline().wait_for_status(&gone.id, "Failed", SOON).await.unwrap();
    let Some(JobResult::Failed { kind, message }) = view.result else {
        unreachable!("{view:?}");
    };
    assert_eq!(kind, "ConfigurationError");
    assert!(message.contains("gone") && message.contains("404"), "{message}");
}

#[tokio::test]
async fn people_can_start_and_stop_actions() {
    let setup = start().await;
    let url = |path: &str| format!("{}/_stand-in/{path}", setup.endpoint());
    let action = json!({ "function": "pipeline-job", "userParameters": "test" });
    let started: Value = setup
        .client
        .post(url("actions"))
        .json(&action)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let id = started["id"].as_str().unwrap();
    let stop = || setup.client.post(url(&format!("stop-action?action={id}"))).send();
    assert_eq!(stop().await.unwrap().status(), 200);
    assert_eq!(stop().await.unwrap().status(), 409);
    let actions: Value = setup.client.get(url("actions")).send().await.unwrap().json().await.unwrap();
    assert_eq!(actions[0]["status"], "Abandoned");
    assert_eq!(actions[0]["jobs"][0]["result"]["result"], "withdrawn");
    let text = actions.to_string();
    assert!(ARTIFACT_CREDENTIALS.iter().all(|secret| !text.contains(secret)), "{text}");
}
