//! Scripted builds.

use bellhop_stand_in::{BuildPhase, Fault, Order, Project, ProjectArtifacts, Rule};
use serde_json::{Value, json};

use crate::support::{Setup, start};

/// A stand-in with the project `ci-docker`, which builds the repository `shop`.
async fn with_project() -> Setup {
    let setup = start().await;
    let project = Project::new("ci-docker").codecommit("shop").variable("STAGE", "test");
    setup.codebuild().create_project(project).unwrap();
    setup
}

fn request(token: &str) -> Value {
    json!({
        "projectName": "ci-docker",
        "sourceVersion": "main",
        "idempotencyToken": token,
        "buildspecOverride": "version: 0.2\nphases:\n  build:\n    commands: [\"make\", \"make check\"]\n",
        "environmentVariablesOverride": [{ "name": "BELLHOP_ATTEMPT", "value": "1", "type": "PLAINTEXT" }],
    })
}

/// The state and phase changes of a build: the build's status and phase, or the phase's name, status and context.
fn changes(events: &[Value]) -> Vec<String> {
    let changes = events.iter().map(|event| {
        let detail = &event["detail"];
        let names = if event["detail-type"] == "CodeBuild Build State Change" {
            ["build-status", "current-phase", "current-phase-context"]
        } else {
            ["completed-phase", "completed-phase-status", "completed-phase-context"]
        };
        names.map(|name| detail[name].as_str().unwrap()).join(" ")
    });
    changes.collect()
}

#[tokio::test]
async fn a_success_is_told_from_submitted_to_completed() {
    let setup = with_project().await;
    let build = setup.start_build(&request("token")).await;
    setup.codebuild().run(&build).unwrap();
    setup.codebuild().exit(&build, 0).unwrap();

    let events = setup.codebuild().events_of(&build);
    let expected = [
        "IN_PROGRESS SUBMITTED []",
        "SUBMITTED SUCCEEDED []",
        "QUEUED SUCCEEDED []",
        "PROVISIONING SUCCEEDED [: ]",
        "DOWNLOAD_SOURCE SUCCEEDED [: ]",
        "INSTALL SUCCEEDED [: ]",
        "PRE_BUILD SUCCEEDED [: ]",
        "BUILD SUCCEEDED [: ]",
        "POST_BUILD SUCCEEDED [: ]",
        "UPLOAD_ARTIFACTS SUCCEEDED [: ]",
        "FINALIZING SUCCEEDED [: ]",
        "SUCCEEDED COMPLETED [: ]",
    ];
    assert_eq!(changes(&events), expected);

    let arn = format!("arn:aws:codebuild:us-east-1:000000000000:build/{build}");
    let first = &events[0];
    assert_eq!(first["source"], "aws.codebuild");
    assert_eq!(first["resources"], json!([arn]));
    assert_eq!(first["detail"]["build-id"], arn.as_str());
    assert_eq!(first["detail"]["project-name"], "ci-docker");
    let information = &first["detail"]["additional-information"];
    assert!(information["phases"].is_null() && information["build-number"].is_null());
    let link = information["logs"]["deep-link"].as_str().unwrap();
    assert!(link.ends_with("#logEvent:group=null;stream=null"), "{link}");

    let information = &events[11]["detail"]["additional-information"];
    assert_eq!(information["build-complete"], true);
    assert_eq!(information["build-number"], 1.0);
    assert_eq!(information["source-version"], "main");
    assert_eq!(information["logs"]["group-name"], "/aws/codebuild/ci-docker");
    assert_eq!(build, format!("ci-docker:{}", information["logs"]["stream-name"].as_str().unwrap()));
    let started = information["build-start-time"].as_str().unwrap();
    let started = jiff::civil::DateTime::strptime("%b %d, %Y %I:%M:%S %p", started).unwrap();
    assert!(started.year() >= 2024);
    let phases = information["phases"].as_array().unwrap();
    assert_eq!(phases.len(), 11);
    assert_eq!(phases[0]["phase-context"], json!([]));
    assert_eq!(phases[6]["phase-type"], "BUILD");
    assert_eq!(phases[6]["phase-context"], json!([": "]));
    let last: Vec<_> = phases[10].as_object().unwrap().keys().collect();
    assert_eq!(last, ["phase-type", "start-time"]);

    // An event about a phase knows the one that follows.
    let phases = events[7]["detail"]["additional-information"]["phases"].as_array().unwrap();
    assert_eq!(phases.last().unwrap()["phase-type"], "POST_BUILD");
    assert!(phases.last().unwrap()["phase-status"].is_null());
}

#[tokio::test]
async fn a_failed_command_is_named_and_the_rest_still_runs() {
    let setup = with_project().await;
    let build = setup.start_build(&request("token")).await;
    setup.codebuild().run(&build).unwrap();
    let events = setup.codebuild().exit(&build, 3).unwrap();

    let expected = [
        "BUILD FAILED [COMMAND_EXECUTION_ERROR: Error while executing command: make check. Reason: exit status 3]",
        "POST_BUILD SUCCEEDED [: ]",
        "UPLOAD_ARTIFACTS SUCCEEDED [: ]",
        "FINALIZING SUCCEEDED [: ]",
        "FAILED COMPLETED [: ]",
    ];
    assert_eq!(changes(&events), expected);

    let (_, body) = setup.codebuild_call("BatchGetBuilds", &json!({ "ids": [build] })).await;
    let described = &body["builds"][0];
    assert_eq!(described["buildStatus"], "FAILED");
    assert_eq!(described["currentPhase"], "COMPLETED");
    assert_eq!(described["buildComplete"], true);
    assert!(described["endTime"].as_f64().unwrap() >= described["startTime"].as_f64().unwrap());
    let contexts = &described["phases"][6]["contexts"];
    let message = "Error while executing command: make check. Reason: exit status 3";
    assert_eq!(*contexts, json!([{ "statusCode": "COMMAND_EXECUTION_ERROR", "message": message }]));

    // Before BUILD a failure leaves out what comes between it and the end.
    let build = setup.start_build(&request("another")).await;
    setup.codebuild().advance(&build, BuildPhase::PreBuild).unwrap();
    let events = setup.codebuild().exit(&build, 1).unwrap();
    assert_eq!(events.len(), 3);
    assert!(changes(&events)[0].starts_with("PRE_BUILD FAILED [COMMAND_EXECUTION_ERROR: Error while executing command: ./run."));
    assert_eq!(changes(&events)[1], "FINALIZING SUCCEEDED [: ]");
}

#[tokio::test]
async fn builds_end_in_other_ways() {
    let setup = with_project().await;
    let codebuild = setup.codebuild();

    let build = setup.start_build(&request("vpc")).await;
    let events = codebuild
        .fail_to_provision(&build, "VPC_CLIENT_ERROR", "Unexpected EC2 error")
        .unwrap();
    let expected = [
        "QUEUED SUCCEEDED []",
        "PROVISIONING CLIENT_ERROR [VPC_CLIENT_ERROR: Unexpected EC2 error]",
        "FAILED COMPLETED [: ]",
    ];
    assert_eq!(changes(&events), expected);
    let link = events[2]["detail"]["additional-information"]["logs"]["deep-link"].as_str().unwrap();
    assert!(link.contains("group=null"), "nothing has been logged: {link}");
    let (_, body) = setup.codebuild_call("BatchGetBuilds", &json!({ "ids": [build] })).await;
    let provisioning = &body["builds"][0]["phases"][2];
    assert_eq!(provisioning["phaseStatus"], "FAILED", "the API's model has no CLIENT_ERROR");
    assert_eq!(provisioning["contexts"][0]["statusCode"], "VPC_CLIENT_ERROR");

    let build = setup.start_build(&request("yaml")).await;
    codebuild.advance(&build, BuildPhase::DownloadSource).unwrap();
    let events = codebuild.fail(&build, "YAML_FILE_ERROR", "YAML file does not exist").unwrap();
    let expected = [
        "DOWNLOAD_SOURCE CLIENT_ERROR [YAML_FILE_ERROR: YAML file does not exist]",
        "FINALIZING SUCCEEDED [: ]",
        "FAILED COMPLETED [: ]",
    ];
    assert_eq!(changes(&events), expected);

    let build = setup.start_build(&request("fault")).await;
    codebuild.run(&build).unwrap();
    let events = codebuild.fault(&build).unwrap();
    assert_eq!(changes(&events)[1], "FAULT COMPLETED [: ]");
    assert!(codebuild.exit(&build, 0).is_err(), "it is over");

    let build = setup.start_build(&request("hang")).await;
    let events = codebuild.time_out(&build).unwrap();
    assert_eq!(changes(&events)[0], "QUEUED TIMED_OUT [BUILD_TIMED_OUT: Build has timed out. ]");
    assert_eq!(changes(&events)[1], "TIMED_OUT COMPLETED [: ]");

    let numbers: Vec<_> = codebuild.builds().iter().map(|build| build.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(codebuild.run("ci-docker:nothing").is_err());
}

#[tokio::test]
async fn a_request_goes_over_its_project() {
    let setup = start().await;
    let mut project = Project::new("ci-docker").variable("STAGE", "test").variable("REGION", "here");
    project.timeout_in_minutes = 30;
    setup.codebuild().create_project(project).unwrap();
    let mut request = request("token");
    request["environmentVariablesOverride"] = json!([{ "name": "STAGE", "value": "live" }]);
    request["sourceTypeOverride"] = "CODECOMMIT".into();
    request["sourceLocationOverride"] = "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/shop".into();
    request["queuedTimeoutInMinutesOverride"] = 10.into();
    request["artifactsOverride"] =
        json!({ "type": "S3", "location": "results", "path": "runs/7", "namespaceType": "BUILD_ID", "name": "out" });

    let (status, body) = setup.codebuild_call("StartBuild", &request).await;

    assert_eq!(status, 200, "{body}");
    let build = &body["build"];
    assert_eq!(build["buildNumber"], 1);
    assert_eq!(build["buildStatus"], "IN_PROGRESS");
    assert_eq!(build["currentPhase"], "QUEUED");
    assert_eq!(
        (&build["timeoutInMinutes"], &build["queuedTimeoutInMinutes"]),
        (&json!(30), &json!(10))
    );
    assert_eq!(build["source"]["type"], "CODECOMMIT");
    assert_eq!(build["phases"][0]["phaseStatus"], "SUCCEEDED");
    let view = &setup.codebuild().builds()[0];
    let variables: Vec<_> = view.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["REGION=here", "STAGE=live"]);
    assert_eq!(view.environment_override.len(), 1);
    let uuid = view.id.split_once(':').unwrap().1;
    assert_eq!(
        view.artifacts.as_deref(),
        Some(format!("arn:aws:s3:::results/runs/7/{uuid}/out").as_str())
    );
}

#[tokio::test]
async fn requests_that_codebuild_refuses() {
    let setup = with_project().await;
    let mut project = Project::new("p1");
    project.artifacts = ProjectArtifacts {
        kind: "S3".to_owned(),
        ..ProjectArtifacts::default()
    };
    assert!(setup.codebuild().create_project(project).is_err(), "there is no bucket");
    assert!(setup.codebuild().create_project(Project::new("-")).is_err());
    setup.codebuild().create_project(Project::new("no-source")).unwrap();
    let with = |name: &str, value: Value| {
        let mut request = request("token");
        request[name] = value;
        request
    };
    let cases = [
        (with("projectName", "other".into()), "ResourceNotFoundException"),
        (with("projectName", "?".into()), "InvalidInputException"),
        (with("timeoutInMinutesOverride", 4.into()), "InvalidInputException"),
        (with("timeoutInMinutesOverride", 2161.into()), "InvalidInputException"),
        (with("queuedTimeoutInMinutesOverride", 481.into()), "InvalidInputException"),
        (with("sourceTypeOverride", "SVN".into()), "InvalidInputException"),
        (with("artifactsOverride", json!({ "type": "S3" })), "InvalidInputException"),
        (
            with("environmentVariablesOverride", json!([{ "name": "", "value": "" }])),
            "InvalidInputException",
        ),
        (
            with(
                "environmentVariablesOverride",
                json!([{ "name": "STAGE", "value": "live" }, { "name": "CODEBUILD_STAGE", "value": "live" }]),
            ),
            "InvalidInputException",
        ),
        (with("environmentVariablesOverride", json!("A=1")), "SerializationException"),
        (json!({ "projectName": "no-source" }), "InvalidInputException"),
        (
            json!({ "projectName": "no-source", "buildspecOverride": "buildspec.yml" }),
            "InvalidInputException",
        ),
    ];
    for (request, code) in cases {
        let (status, body) = setup.codebuild_call("StartBuild", &request).await;
        assert_eq!((status, body["__type"].as_str()), (400, Some(code)), "{request}");
    }
    assert!(setup.codebuild().builds().is_empty());
    assert!(setup.events().all().is_empty());
}

#[tokio::test]
async fn the_same_token_gives_the_same_build_for_five_minutes() {
    let setup = with_project().await;
    let first = setup.start_build(&request("token")).await;
    assert_eq!(setup.start_build(&request("token")).await, first);
    assert_ne!(setup.start_build(&request("another")).await, first);
    let mut other = request("token");
    other["sourceVersion"] = "develop".into();
    let (status, body) = setup.codebuild_call("StartBuild", &other).await;
    assert_eq!((status, body["__type"].as_str()), (400, Some("InvalidInputException")));

    setup.codebuild().forget_tokens();
    assert_ne!(setup.start_build(&request("token")).await, first);

    let entries = setup.journal().of("codebuild", "StartBuild");
    assert_eq!(entries.len(), 5);
    assert!(entries[1].summary.ends_with("(reused token)"));
    assert_eq!(entries[1].request, Some(request("token")));
    assert!(entries[0].summary.ends_with(&format!("-> {first}")), "{}", entries[0].summary);

    let forgetful = crate::support::start_with(|options, _| options.timing.build_token = std::time::Duration::ZERO).await;
    forgetful
        .codebuild()
        .create_project(Project::new("ci-docker").codecommit("shop"))
        .unwrap();
    let first = forgetful.start_build(&request("token")).await;
    assert_ne!(forgetful.start_build(&request("token")).await, first);
}

#[tokio::test]
async fn limits_are_of_the_account_and_of_the_project() {
    let setup = with_project().await;
    let mut small = Project::new("small").codecommit("shop");
    small.concurrent_build_limit = Some(1);
    setup.codebuild().create_project(small).unwrap();
    let mut of_small = request("small-1");
    of_small["projectName"] = "small".into();
    let running = setup.start_build(&of_small).await;
    of_small["idempotencyToken"] = "small-2".into();
    let (_, body) = setup.codebuild_call("StartBuild", &of_small).await;
    assert_eq!(body["__type"], "AccountLimitExceededException");
    assert_eq!(body["message"], "Cannot have more than 1 active builds for the project");

    setup.codebuild().set_account_limits(1, 1);
    setup.start_build(&request("a")).await;
    let (status, body) = setup.codebuild_call("StartBuild", &request("b")).await;
    assert_eq!((status, body["__type"].as_str()), (400, Some("AccountLimitExceededException")));
    assert_eq!(body["message"], "Cannot have more than 1 builds in queue for the account");
    // A build that was started is found again also where another one would be too many.
    setup.start_build(&request("a")).await;
    setup.codebuild().exit(&running, 0).unwrap();
    setup.start_build(&request("b")).await;

    setup.faults().inject(Rule::new("codebuild", "StartBuild", Fault::AccountLimit));
    setup.faults().inject(Rule::new("codebuild", "*", Fault::Throttle));
    setup.faults().inject(Rule::new("codebuild", "BatchGetBuilds", Fault::AccountLimit));
    for (operation, code) in [
        ("StartBuild", "AccountLimitExceededException"),
        ("BatchGetBuilds", "ThrottlingException"),
    ] {
        let (_, body) = setup
            .codebuild_call(operation, &json!({ "projectName": "ci-docker", "ids": ["a"] }))
            .await;
        assert_eq!(body["__type"], code);
    }
    let (status, _) = setup.codebuild_call("BatchGetBuilds", &json!({ "ids": ["a"] })).await;
    assert_eq!(status, 200, "a limit on builds is no answer of this operation");
}

#[tokio::test]
async fn stop_build_stops_once() {
    let setup = with_project().await;
    let build = setup.start_build(&request("token")).await;
    setup.codebuild().run(&build).unwrap();

    let (status, body) = setup.codebuild_call("StopBuild", &json!({ "id": build })).await;
    assert_eq!((status, body["build"]["buildStatus"].as_str()), (200, Some("STOPPED")));
    let events = setup.codebuild().events_of(&build);
    let told = changes(&events);
    assert_eq!(told[told.len() - 2..], ["BUILD STOPPED [: ]", "STOPPED COMPLETED [: ]"]);

    let (status, again) = setup.codebuild_call("StopBuild", &json!({ "id": build })).await;
    assert_eq!((status, &again), (200, &body));
    assert_eq!(setup.codebuild().events_of(&build).len(), events.len());

    let unknown = "ci-docker:01234567-89ab-cdef-0123-456789abcdef";
    for (id, code) in [(unknown, "ResourceNotFoundException"), ("nonsense", "InvalidInputException")] {
        let (status, body) = setup.codebuild_call("StopBuild", &json!({ "id": id })).await;
        assert_eq!((status, body["__type"].as_str()), (400, Some(code)));
    }
}

#[tokio::test]
async fn builds_are_found_by_id_and_by_project() {
    let setup = with_project().await;
    let mut builds = Vec::new();
    for number in 0..101 {
        builds.push(setup.start_build(&request(&number.to_string())).await);
    }
    let arn = setup.codebuild().build(&builds[0]).unwrap().arn;
    let (_, body) = setup
        .codebuild_call("BatchGetBuilds", &json!({ "ids": [builds[1], "gone:1", arn] }))
        .await;
    let found: Vec<_> = body["builds"].as_array().unwrap().iter().map(|build| build["id"].clone()).collect();
    assert_eq!(found, [builds[1].as_str()]);
    // That ARNs are taken as well is documented nowhere.
    assert_eq!(body["buildsNotFound"], json!(["gone:1", arn]));
    for ids in [json!([]), json!(builds)] {
        let (_, body) = setup.codebuild_call("BatchGetBuilds", &json!({ "ids": ids })).await;
        assert_eq!(body["__type"], "InvalidInputException");
    }

    let mut list = json!({ "projectName": "ci-docker" });
    let (_, first) = setup.codebuild_call("ListBuildsForProject", &list).await;
    list["nextToken"] = first["nextToken"].clone();
    setup.start_build(&request("in the meantime")).await;
    let (_, second) = setup.codebuild_call("ListBuildsForProject", &list).await;
    let listed: Vec<_> = [&first, &second].iter().flat_map(|page| page["ids"].as_array().unwrap()).collect();
    assert!(builds.iter().rev().eq(listed), "the newest first, none missing, none twice");
    assert!(second["nextToken"].is_null());
    let ascending = json!({ "projectName": "ci-docker", "sortOrder": "ASCENDING" });
    let (_, page) = setup.codebuild_call("ListBuildsForProject", &ascending).await;
    assert_eq!(page["ids"][0], builds[0].as_str());

    let bad = [
        (json!({ "projectName": "other" }), "ResourceNotFoundException"),
        (json!({ "projectName": "ci-docker", "nextToken": "x" }), "InvalidInputException"),
        (json!({ "projectName": "ci-docker", "sortOrder": "x" }), "InvalidInputException"),
        (
            json!({ "projectName": "ci-docker", "sortOrder": "DESCENDING", "nextToken": first["nextToken"] }),
            "InvalidInputException",
        ),
    ];
    for (request, code) in bad {
        let (_, body) = setup.codebuild_call("ListBuildsForProject", &request).await;
        assert_eq!(body["__type"], code, "{request}");
    }
}

#[tokio::test]
async fn events_of_builds_get_lost_repeated_and_reordered() {
    let setup = with_project().await;
    let mut deliveries = setup.events().subscribe();
    setup.events().drop_next(2);
    setup.codebuild().set_start_at_once(true);
    setup.events().hold();
    let build = setup.start_build(&request("token")).await;
    assert!(deliveries.try_recv().is_err());
    setup.events().repeat(2);
    setup.codebuild().fault(&build).unwrap();
    setup.events().release(Order::Reversed);

    let mut delivered = Vec::new();
    while let Ok(event) = deliveries.try_recv() {
        delivered.push(event);
    }
    let told = changes(&delivered);
    assert_eq!(told[..2], ["FAULT COMPLETED [: ]", "FAULT COMPLETED [: ]"]);
    assert_eq!(delivered[0]["id"], delivered[1]["id"]);
    assert_eq!(told.last().unwrap(), "QUEUED SUCCEEDED []", "the first two are lost");
    assert_eq!(setup.codebuild().events_of(&build).len(), 9);
}

#[tokio::test]
async fn a_lost_reply_of_start_build_has_taken_effect() {
    let setup = with_project().await;
    setup.faults().inject(Rule::new("codebuild", "StartBuild", Fault::LoseReply));
    let lost = setup
        .request("codebuild", "CodeBuild_20161006.StartBuild", &request("token"))
        .send()
        .await;
    assert!(lost.is_err());

    let build = setup.start_build(&request("token")).await;

    let builds = setup.codebuild().builds();
    assert_eq!(builds.len(), 1);
    assert_eq!(builds[0].id, build);
}

#[tokio::test]
async fn people_can_create_projects_and_look_at_builds() {
    let setup = start().await;
    let url = |path: &str| format!("{}/_stand-in/{path}", setup.endpoint());
    let project = json!({ "name": "ci-docker", "source": { "type": "CODECOMMIT", "location": "https://x/v1/repos/shop" } });
    let create = |project: &Value| setup.client.post(url("projects")).json(project).send();
    assert_eq!(create(&project).await.unwrap().status(), 200);
    assert_eq!(create(&json!({ "name": "?" })).await.unwrap().status(), 409);
    let build = setup.start_build(&request("token")).await;

    let get = async |path: &str| -> Value { setup.client.get(url(path)).send().await.unwrap().json().await.unwrap() };
    assert_eq!(get("projects").await[0]["timeoutInMinutes"], 60);
    let builds = get("builds").await;
    assert_eq!(builds[0]["id"], build.as_str());
    assert_eq!(builds[0]["phase"], "QUEUED");
}
