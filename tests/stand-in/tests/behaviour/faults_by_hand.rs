//! Faults that are switched on and off by HTTP, as people do it with curl.

use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::{Value, json};

use crate::support::{Setup, on_spot, start};

const FAULTS: &str = "/_stand-in/faults";
const EVENTS: &str = "/_stand-in/faults/events";

impl Setup {
    /// What `curl -d TEXT` sends, which says that it is a form.
    async fn curl(&self, path: &str, text: &str) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.endpoint())).body(text.to_owned());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn switch_on(&self, rule: &Value) -> Value {
        let (status, body) = self.curl(FAULTS, &rule.to_string()).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    async fn refused(&self, path: &str, text: &str) -> String {
        let (status, body) = self.curl(path, text).await;
        assert_eq!(status, 400, "{body}");
        assert!(self.faults().active().is_empty(), "{text} was refused and has its effect");
        body["error"].as_str().unwrap().to_owned()
    }

    async fn switched_on(&self) -> Value {
        let answer = self.client.get(format!("{}{FAULTS}", self.endpoint())).send().await.unwrap();
        answer.json().await.unwrap()
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        let answer = self.client.delete(format!("{}{path}", self.endpoint())).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_fault_is_switched_on_listed_and_spent() {
    let setup = start().await;
    let error = json!({ "code": "AccessDeniedException", "message": "User is not authorized" });
    let rule = json!({ "service": "ecs", "operation": "RunTask", "fault": { "error": error }, "times": 2 });
    setup.switch_on(&rule).await;

    let (status, body) = setup.ecs_call("RunTask", &on_spot("token")).await;
    assert_eq!((status, &body["message"]), (400, &json!("User is not authorized")));

    let listed = setup.switched_on().await;
    let requests = json!([{
        "id": 0, "service": "ecs", "operation": "RunTask", "times": 2, "fired": 1, "remaining": 1,
        "fault": { "error": { "status": 400, "code": "AccessDeniedException", "message": "User is not authorized" } },
    }]);
    assert_eq!(listed["requests"], requests);
    assert_eq!(listed["events"], json!({ "copies": 1, "drop-next": 0 }));

    setup.ecs_call("RunTask", &on_spot("token")).await;
    assert_eq!(setup.switched_on().await["requests"], json!([]));
    setup.launch(&on_spot("token")).await;
}

#[tokio::test]
async fn capacity_can_be_taken_away_until_it_is_given_back() {
    let setup = start().await;
    let rule = json!({
        "service": "ecs", "operation": "RunTask", "capacity": "FARGATE_SPOT", "fault": "no-capacity", "times": "always",
    });
    let first = setup.switch_on(&rule).await;
    let both = setup
        .switch_on(&json!({ "service": "dynamodb", "operation": "*", "fault": "throttle" }))
        .await;
    assert_eq!(both["requests"].as_array().unwrap().len(), 2);
    assert_eq!(first["requests"][0].get("remaining"), None);

    for token in ["one", "two"] {
        let (_, body) = setup.ecs_call("RunTask", &on_spot(token)).await;
        assert_eq!(body["tasks"], json!([]));
    }

    let id = &first["requests"][0]["id"];
    let (status, left) = setup.delete(&format!("{FAULTS}/{id}")).await;
    assert_eq!((status, &left["requests"][0]["service"]), (200, &json!("dynamodb")));
    assert_eq!(setup.delete(&format!("{FAULTS}/{id}")).await.0, 404);
    setup.launch(&on_spot("three")).await;
    assert_eq!(setup.delete(FAULTS).await.1["requests"], json!([]));
}

#[tokio::test]
async fn a_capacity_can_have_an_end() {
    let setup = start().await;
    let rule = json!({
        "service": "ecs", "operation": "RunTask", "capacity": "FARGATE_SPOT", "beyond": 2, "fault": "no-capacity", "times": "always",
    });
    let listed = setup.switch_on(&rule).await;
    assert_eq!(listed["requests"][0]["beyond"], 2);

    let first = setup.launch(&on_spot("one")).await;
    setup.launch(&on_spot("two")).await;
    let (_, body) = setup.ecs_call("RunTask", &on_spot("three")).await;
    assert_eq!(body["tasks"], json!([]));
    let mut on_demand = on_spot("on-demand");
    on_demand["capacityProviderStrategy"][0]["capacityProvider"] = "FARGATE".into();
    setup.launch(&on_demand).await;

    // A task that ends makes room.
    setup.ecs().run(&first).unwrap();
    setup.ecs().exit(&first, 0).unwrap();
    setup.launch(&on_spot("four")).await;
}

#[tokio::test]
async fn every_form_of_a_rule_is_read_as_it_is_listed() {
    let setup = start().await;
    let error = Fault::Error {
        status: 403,
        code: "AccessDeniedException".to_owned(),
        message: "no".to_owned(),
    };
    let faults = [
        (json!("throttle"), Fault::Throttle),
        (json!("disguised-throttle"), Fault::DisguisedThrottle),
        (json!("server-error"), Fault::ServerError),
        (json!("lose-reply"), Fault::LoseReply),
        (json!("refuse"), Fault::Refuse),
        (json!("no-capacity"), Fault::NoCapacity),
        (json!("account-limit"), Fault::AccountLimit),
        (
            json!({ "delay": "1m 500ms" }),
            Fault::Delay(std::time::Duration::from_millis(60_500)),
        ),
        (
            json!({ "error": { "status": 403, "code": "AccessDeniedException", "message": "no" } }),
            error,
        ),
    ];
    for (written, fault) in faults {
        let rule = Rule::new("ecs", "RunTask", fault);
        let times = [
            (json!(3), Times::Next(3)),
            (json!("always"), Times::Always),
            (json!({ "every": 2 }), Times::Every(2)),
        ];
        for (count, times) in times {
            let rule = rule.clone().times(times).caller("push");
            let rule_text = json!({ "service": "ecs", "operation": "RunTask", "caller": "push", "times": count, "fault": written });
            setup.switch_on(&rule_text).await;
            let listed = setup.faults().active();
            assert_eq!(listed.last().map(|active| &active.rule), Some(&rule), "{rule_text}");
            assert_eq!(serde_json::to_value(&rule).unwrap(), rule_text);
        }
    }
}

#[tokio::test]
async fn a_mistake_is_refused_by_the_name_of_its_field() {
    let setup = start().await;
    let cases = [
        (
            r#"{"sevice":"ecs","operation":"RunTask","fault":"throttle"}"#,
            ["unknown field `sevice`", "did you mean service?"],
        ),
        (
            r#"{"service":"ecs","fault":"throttle"}"#,
            ["missing field `operation`", "the body: "],
        ),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":"throtle"}"#,
            ["fault: unknown variant `throtle`", "did you mean throttle?"],
        ),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":{"delay":"soon"}}"#,
            ["fault.delay: expected a time such as 500ms or 2m", "`soon`"],
        ),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":{"error":{"code":"A","text":"b"}}}"#,
            ["fault.error", "unknown field `text`"],
        ),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":{"error":{"code":"A","message":"b","status":200}}}"#,
            ["fault.error.status: ", "400 to 599"],
        ),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":"throttle","times":0}"#,
            ["times: ", "expected a number from 1 up, \"always\" or {\"every\": 3}"],
        ),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":"throttle","times":"allways"}"#,
            ["times: ", "expected a number from 1 up"],
        ),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":"throttle","times":{"every":0}}"#,
            ["times", "{\"every\": 3}"],
        ),
        (
            r#"{"service":"ECS","operation":"RunTask","fault":"throttle"}"#,
            ["service: expected", ", not `ECS`"],
        ),
        (
            r#"{"service":"ecs","operation":"runTask","fault":"throttle"}"#,
            ["operation: expected", ", not `runTask`"],
        ),
        (
            r#"{"service":"ecs","operation":"StopTask","capacity":"FARGATE","fault":"throttle"}"#,
            ["capacity: allowed only with RunTask of ecs", ""],
        ),
        (
            r#"{"service":"ecs","operation":"StopTask","beyond":1,"fault":"throttle"}"#,
            ["beyond: allowed only with RunTask of ecs", ""],
        ),
        (
            r#"{"service":"codebuild","operation":"StartBuild","fault":"no-capacity"}"#,
            ["fault: no-capacity", "RunTask of ecs"],
        ),
        (
            r#"{"service":"sns","operation":"Publish","fault":"account-limit"}"#,
            ["fault: account-limit", "StartBuild of codebuild"],
        ),
        ("", ["the body: ", "EOF"]),
        (
            r#"{"service":"ecs","operation":"RunTask","fault":"throttle"} x"#,
            ["the body: ", "trailing"],
        ),
    ];
    for (text, parts) in cases {
        let error = setup.refused(FAULTS, text).await;
        for part in parts {
            assert!(error.contains(part), "{text} was refused with {error:?}, without {part:?}");
        }
    }
    let of_events = [
        (r#"{"copis":2}"#, "did you mean copies?"),
        (r#"{"copies":101}"#, "copies: expected at most 100"),
        (r#"{"release":"backwards"}"#, "release: unknown variant `backwards`"),
        (r#"{"hold":true,"release":"kept"}"#, "release: not allowed together with hold"),
    ];
    for (text, part) in of_events {
        let error = setup.refused(EVENTS, text).await;
        assert!(error.contains(part), "{text} was refused with {error:?}, without {part:?}");
    }
}

#[tokio::test]
async fn events_are_dropped_repeated_and_held() {
    let setup = start().await;
    let mut deliveries = setup.events().subscribe();
    let mut delivered = || {
        let mut versions = Vec::new();
        while let Ok(event) = deliveries.try_recv() {
            versions.push(event["detail"]["version"].as_u64().unwrap());
        }
        versions
    };

    let (_, body) = setup.curl(EVENTS, r#"{"drop-next":1,"copies":2}"#).await;
    assert_eq!(body["events"], json!({ "copies": 2, "drop-next": 1 }));
    let task = setup.launch(&on_spot("token")).await;
    setup.ecs().run(&task).unwrap();
    assert_eq!(delivered(), [2, 2, 3, 3, 4, 4]);

    setup.curl(EVENTS, r#"{"copies":1,"hold":true}"#).await;
    setup.ecs().warn(&task).unwrap();
    setup.ecs().interrupt(&task, 0).unwrap();
    assert_eq!(delivered(), [0_u64; 0]);
    assert_eq!(setup.switched_on().await["events"]["held"], 5);
    setup.curl(EVENTS, r#"{"release":"reversed"}"#).await;
    assert_eq!(delivered(), [9, 8, 7, 6, 5]);

    // What is switched off delivers what it held.
    setup.curl(EVENTS, r#"{"copies":3,"drop-next":7,"hold":true}"#).await;
    assert_eq!(setup.delete(FAULTS).await.1["events"], json!({ "copies": 1, "drop-next": 0 }));
    setup.launch(&on_spot("another")).await;
    assert_eq!(delivered(), [1]);
}
