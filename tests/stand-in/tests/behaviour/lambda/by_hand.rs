//! The same by HTTP, as people do it with curl.

use serde_json::{Value, json};

use super::*;
use crate::support::start;

impl Setup {
    async fn by_hand(&self, path: &str, text: &str) -> (u16, Value) {
        let request = self
            .client
            .post(format!("{}/_stand-in/{path}", self.endpoint()))
            .body(text.to_owned());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn listed(&self, path: &str) -> Value {
        let answer = self
            .client
            .get(format!("{}/_stand-in/{path}", self.endpoint()))
            .send()
            .await
            .unwrap();
        answer.json().await.unwrap()
    }
}

#[tokio::test]
async fn a_function_is_created_changed_and_looked_at() {
    let setup = start().await;
    let (status, created) = setup.by_hand("functions", r#"{"name":"shop","package":"v1"}"#).await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:shop";
    assert_eq!((status, &created["arn"]), (200, &json!(arn)));
    for change in [
        r#"{"change":"publish"}"#,
        r#"{"change":{"code":{"sha256":"AAAA"}}}"#,
        r#"{"change":{"settings":{"memory-size":256,"takes":"0s"}}}"#,
        r#"{"change":"publish"}"#,
        r#"{"change":{"alias":{"name":"live","version":"1","weights":{"2":0.1}}}}"#,
        r#"{"change":{"alias":{"name":"live","version":"2"}},"before":"GetAlias"}"#,
    ] {
        assert_eq!(setup.by_hand("functions/shop/changes", change).await.0, 204, "{change}");
    }
    let [shop]: [Value; 1] = serde_json::from_value(setup.listed("functions").await).unwrap();
    assert_eq!(
        (&shop["arn"], &shop["lastUpdateStatus"], &shop["codeSha256"]),
        (&json!(arn), &json!("Successful"), &json!("AAAA"))
    );
    assert_eq!(
        (&shop["versions"][1]["version"], &shop["aliases"]["live"]["weights"]["2"]),
        (&json!("2"), &json!(0.1))
    );
    let kinds: Vec<_> = shop["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|effect| effect["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["version", "code", "settings", "version", "alias"]);
    assert_eq!(shop["history"][4]["bySomebodyElse"], true);
}

#[tokio::test]
async fn updates_can_be_made_to_fail_and_packages_be_given() {
    let deployment = deployment().await;
    let object = format!("{}/_stand-in/objects/packages/of/third.zip?version=7", deployment.endpoint());
    let put = deployment.setup.client.put(object).body(SECOND).send().await.unwrap();
    assert_eq!(put.status(), 204);
    let switches = r#"{"fail-next-update":{"code":"InternalError","reason":"by hand"},"seed":7,"times":{"update":"0s","publishing":"1h"}}"#;
    assert_eq!(deployment.setup.by_hand("lambda", switches).await.0, 204);
    let update = || deployment.update().s3_key("of/third.zip").s3_object_version("7").send();
    update().await.unwrap();
    assert_eq!(
        deployment.configuration().await.last_update_status_reason.as_deref(),
        Some("by hand")
    );
    deployment.setup.by_hand("lambda", r#"{"storage-full":true}"#).await;
    assert_eq!(refusal(update().await.unwrap_err()).0, "CodeStorageExceededException");
}

#[tokio::test]
async fn a_mistake_is_refused_by_the_name_of_its_field() {
    let setup = start().await;
    setup.lambda().create_function(FUNCTION, FIRST);
    for (path, text, status, part) in [
        ("functions", r#"{"nam":"shop"}"#, 400, "did you mean name?"),
        ("functions/shop/changes", r#"{"change":"publsh"}"#, 400, "did you mean publish?"),
        (
            "functions/shop/changes",
            r#"{"change":{"code":{"sha256":"A","takes":"soon"}}}"#,
            400,
            "expected a time such as 500ms",
        ),
        ("functions/other/changes", r#"{"change":"publish"}"#, 409, "no function other"),
        (
            "functions/shop/changes",
            r#"{"change":{"alias":{"name":"live","version":"7"}}}"#,
            409,
            "Function not found: ",
        ),
        ("lambda", r#"{"storage-ful":true}"#, 400, "did you mean storage-full?"),
        ("alarms", r#"{"name":"a","state":"ALARMED"}"#, 400, "did you mean ALARM?"),
    ] {
        let (found, body) = setup.by_hand(path, text).await;
        let error = body["error"].as_str().unwrap();
        assert!(found == status && error.contains(part), "{text}: {found} {error}");
    }
}

#[tokio::test]
async fn alarms_are_set_listed_and_deleted() {
    let setup = start().await;
    for alarm in [
        r#"{"name":"errors","state":"ALARM"}"#,
        r#"{"name":"all","state":"OK","type":"CompositeAlarm"}"#,
    ] {
        assert_eq!(setup.by_hand("alarms", alarm).await.0, 204);
    }
    let listed = setup.listed("alarms").await;
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&json!("errors"), &json!("ALARM")));
    assert_eq!(
        (&listed[1]["name"], &listed[1]["alarmType"]),
        (&json!("all"), &json!("CompositeAlarm"))
    );
    let url = format!("{}/_stand-in/alarms?name=errors", setup.endpoint());
    assert_eq!(setup.client.delete(&url).send().await.unwrap().status(), 204);
    assert_eq!(setup.client.delete(&url).send().await.unwrap().status(), 404);
    assert_eq!(setup.listed("alarms").await.as_array().unwrap().len(), 1);
}
