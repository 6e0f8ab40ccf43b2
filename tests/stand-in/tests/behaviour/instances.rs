//! Container instances.

use serde_json::{Value, json};

use crate::support::{on_spot, stages, start};

fn on_provider(token: &str, provider: &str) -> Value {
    let mut request = on_spot(token);
    request["cluster"] = "ci".into();
    request["capacityProviderStrategy"] = json!([{ "capacityProvider": provider, "weight": 1 }]);
    request
}

#[tokio::test]
async fn tasks_of_a_provider_go_to_its_emptiest_active_instance() {
    let setup = start().await;
    let (first, second) = (
        setup.ecs().add_instance("ci", "spot-group"),
        setup.ecs().add_instance("ci", "spot-group"),
    );
    setup.ecs().add_instance("ci", "other-group");
    for token in ["a", "b", "c"] {
        setup.launch(&on_provider(token, "spot-group")).await;
    }
    let counts = |id: &str| setup.ecs().instances().iter().find(|view| view.id == id).unwrap().tasks.len();
    assert_eq!((counts(&first), counts(&second)), (2, 1));
    let task = setup.ecs().tasks().remove(0);
    assert_eq!(task.capacity, "spot-group");
    let event = setup.ecs().events_of(&task.arn).remove(0);
    assert_eq!(event["detail"]["launchType"], "EC2");
    assert_eq!(event["detail"]["containerInstanceArn"], setup.ecs().instances()[0].arn);
}

#[tokio::test]
async fn nothing_is_placed_on_a_draining_instance() {
    let setup = start().await;
    setup.ecs().add_instance("ci", "spot-group");
    let arn = setup.ecs().instances()[0].arn.clone();
    let drain = json!({ "cluster": "ci", "containerInstances": [arn, "nobody"], "status": "DRAINING" });
    let (status, body) = setup.ecs_call("UpdateContainerInstancesState", &drain).await;
    assert_eq!(status, 200);
    assert_eq!(body["containerInstances"][0]["status"], "DRAINING");
    assert_eq!(body["failures"], json!([{ "arn": "nobody", "reason": "MISSING" }]));
    let (_, body) = setup.ecs_call("RunTask", &on_provider("a", "spot-group")).await;
    assert_eq!(body["tasks"], json!([]));
    assert_eq!(body["failures"][0]["reason"], "RESOURCE:CPU");
    let (status, _) = setup
        .ecs_call("UpdateContainerInstancesState", &json!({ "cluster": "ci", "status": "GONE" }))
        .await;
    assert_eq!(status, 400);
    let (status, _) = setup.ecs_call("RunTask", &on_provider("a", "unheard-of")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_instance_is_found_by_its_id_in_its_cluster_while_it_is_there() {
    let setup = start().await;
    let id = setup.ecs().add_instance("ci", "spot-group");
    setup.ecs().add_instance("ci", "spot-group");
    let arn = setup.ecs().instances()[0].arn.clone();
    let list = async |cluster: &str, filter: &str| {
        let request = json!({ "cluster": cluster, "filter": filter });
        setup.ecs_call("ListContainerInstances", &request).await
    };
    let of_id = format!("ec2InstanceId == {id}");
    assert_eq!(list("ci", &of_id).await.1, json!({ "containerInstanceArns": [arn] }));
    assert_eq!(list("other", &of_id).await.1, json!({ "containerInstanceArns": [] }));
    assert_eq!(list("ci", "attribute:x == y").await.0, 400);
    setup.ecs().end_instance(&id).unwrap();
    assert_eq!(list("ci", &of_id).await.1, json!({ "containerInstanceArns": [] }));
    assert!(setup.ecs().warn_instance(&id, "terminate").is_err());
}

#[tokio::test]
async fn tasks_end_with_their_instance() {
    let setup = start().await;
    let id = setup.ecs().add_instance("ci", "spot-group");
    let mine = setup.launch(&on_provider("a", "spot-group")).await;
    setup.ecs().run(&mine).unwrap();
    let foreign = setup.ecs().place_foreign_task(&id, "jenkins-agent").unwrap();
    let arn = setup.ecs().instances()[0].arn.clone();
    let (_, body) = setup
        .ecs_call("ListTasks", &json!({ "cluster": "ci", "containerInstance": arn }))
        .await;
    assert_eq!(body["taskArns"], json!([mine, foreign]));
    let warning = setup.ecs().warn_instance(&id, "terminate").unwrap();
    assert_eq!(warning["detail"], json!({ "instance-id": id, "instance-action": "terminate" }));
    assert_eq!(
        setup.ecs().recommend_rebalance(&id).unwrap()["detail"],
        json!({ "instance-id": id })
    );
    let events = setup.ecs().end_instance(&id).unwrap();
    assert_eq!(
        stages(&events)[..4],
        [
            "DEACTIVATING STOPPED",
            "STOPPING STOPPED",
            "DEPROVISIONING STOPPED",
            "STOPPED STOPPED"
        ]
    );
    assert_eq!(
        setup.ecs().task(&foreign).unwrap().stopped_reason.unwrap(),
        format!("Host EC2 (instance {id}) terminated.")
    );
    assert_eq!(setup.ecs().instances()[0].status, "INACTIVE");
}
