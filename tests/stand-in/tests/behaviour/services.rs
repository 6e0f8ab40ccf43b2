//! Services of ECS.

use bellhop_stand_in::{Options, Timing};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{start, start_with};

#[tokio::test]
async fn a_forced_deployment_is_the_newest_one() {
    let setup = start().await;
    setup.ecs().add_service("ci-main", "jenkins", Timestamp::UNIX_EPOCH);
    let named = json!({ "cluster": "ci-main", "services": ["jenkins", "gone"] });

    let (_, before) = setup.ecs_call("DescribeServices", &named).await;
    assert_eq!(before["services"][0]["status"], "ACTIVE");
    assert_eq!(before["services"][0]["deployments"][0]["createdAt"], 0.0);
    assert_eq!(before["failures"][0]["reason"], "MISSING");

    let update = json!({ "cluster": "ci-main", "service": "jenkins" });
    setup.ecs_call("UpdateService", &update).await;
    assert_eq!(setup.ecs().deployments("ci-main", "jenkins"), 1, "nothing was forced");
    let mut forced = update.clone();
    forced["forceNewDeployment"] = true.into();
    let (status, body) = setup.ecs_call("UpdateService", &forced).await;
    assert_eq!(status, 200);
    let deployments = body["service"]["deployments"].as_array().unwrap();
    let statuses: Vec<_> = deployments
        .iter()
        .map(|deployment| deployment["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["PRIMARY", "ACTIVE"]);
    assert!(deployments[0]["createdAt"].as_f64().unwrap() > 1e9);
}

#[tokio::test]
async fn a_deployment_takes_the_place_of_the_one_before_and_a_deleted_service_is_inactive() {
    let quick = |options: &mut Options, _: &TempDir| options.timing = Timing::quick();
    let setup = start_with(quick).await;
    setup.ecs().add_service("ci-main", "jenkins", Timestamp::UNIX_EPOCH);
    let forced = json!({ "cluster": "ci-main", "service": "jenkins", "forceNewDeployment": true });
    setup.ecs_call("UpdateService", &forced).await;
    tokio::time::sleep(Timing::quick().provisioning + Timing::quick().deprovisioning).await;
    let named = json!({ "cluster": "ci-main", "services": ["jenkins"] });
    let (_, body) = setup.ecs_call("DescribeServices", &named).await;
    let deployments = body["services"][0]["deployments"].as_array().unwrap();
    assert_eq!(deployments.len(), 1, "{body}");
    assert_eq!(
        [&deployments[0]["status"], &deployments[0]["rolloutState"]],
        ["PRIMARY", "COMPLETED"]
    );
    assert_eq!(setup.ecs().deployments("ci-main", "jenkins"), 2);

    setup.ecs().delete_service("ci-main", "jenkins");
    let (_, body) = setup.ecs_call("DescribeServices", &named).await;
    let service = &body["services"][0];
    assert_eq!(
        [&service["status"], &service["runningCount"], &service["deployments"]],
        [&json!("INACTIVE"), &json!(0), &json!([])]
    );
    let (status, body) = setup.ecs_call("UpdateService", &forced).await;
    assert_eq!((status, body["__type"].as_str()), (400, Some("ServiceNotActiveException")));
}

#[tokio::test]
async fn requests_about_services_that_ecs_refuses() {
    let setup = start().await;
    setup.ecs().set_clusters(["ci-main"]);
    for (operation, request, code) in [
        (
            "UpdateService",
            json!({ "cluster": "ci-main", "service": "gone", "forceNewDeployment": true }),
            "ServiceNotFoundException",
        ),
        (
            "UpdateService",
            json!({ "cluster": "other", "service": "jenkins" }),
            "ClusterNotFoundException",
        ),
        (
            "DescribeServices",
            json!({ "cluster": "ci-main", "services": [] }),
            "InvalidParameterException",
        ),
    ] {
        let (status, body) = setup.ecs_call(operation, &request).await;
        assert_eq!((status, body["__type"].as_str()), (400, Some(code)));
    }
    assert_eq!(setup.ecs().deployments("ci-main", "gone"), 0);
}
