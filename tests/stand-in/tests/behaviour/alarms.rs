//! DescribeAlarms of CloudWatch, in the protocols that SDKs have for it.

use bellhop_domain::alarm::AlarmState;
use bellhop_stand_in::{AlarmType, Fault, Rule};
use ciborium::Value as Cbor;
use serde_json::{Value, json};

use crate::support::{Setup, start};

impl Setup {
    /// A request as the SDKs send it today: in CBOR, to a path that names the operation.
    async fn describe(&self, request: &Value) -> (u16, Cbor) {
        let mut body = Vec::new();
        ciborium::into_writer(request, &mut body).unwrap();
        let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0";
        let url = format!("{}/service/GraniteServiceVersion20100801/operation/DescribeAlarms", self.endpoint());
        let request = self
            .client
            .post(url)
            .header("authorization", scope)
            .header("content-type", "application/cbor");
        let answer = request.header("smithy-protocol", "rpc-v2-cbor").body(body).send().await.unwrap();
        assert_eq!(answer.headers()["smithy-protocol"], "rpc-v2-cbor");
        assert_eq!(answer.headers()["content-type"], "application/cbor");
        let status = answer.status().as_u16();
        (status, ciborium::from_reader(answer.bytes().await.unwrap().as_ref()).unwrap())
    }

    /// The names of the two lists, and the token.
    async fn names(&self, request: &Value) -> (Vec<String>, Vec<String>, Option<String>) {
        let (status, answer) = self.describe(request).await;
        assert_eq!(status, 200, "{answer:?}");
        let names = |list: &str| {
            let alarms = member(&answer, list).unwrap().as_array().unwrap().iter();
            alarms.map(|alarm| text(alarm, "AlarmName")).collect()
        };
        let token = member(&answer, "NextToken").and_then(Cbor::as_text).map(str::to_owned);
        (names("MetricAlarms"), names("CompositeAlarms"), token)
    }
}

fn member<'a>(structure: &'a Cbor, name: &str) -> Option<&'a Cbor> {
    let mut members = structure.as_map().unwrap().iter();
    members.find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

fn text(structure: &Cbor, name: &str) -> String {
    member(structure, name).unwrap().as_text().unwrap().to_owned()
}

const BOTH: [&str; 2] = ["MetricAlarm", "CompositeAlarm"];

/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>
#[tokio::test]
async fn alarms_are_described_by_their_names() {
    let setup = start().await;
    setup.cloudwatch().set_alarm(AlarmType::Metric, "errors", AlarmState::Alarm);
    setup.cloudwatch().set_alarm(AlarmType::Metric, "others", AlarmState::Ok);
    setup
        .cloudwatch()
        .set_alarm(AlarmType::Composite, "all", AlarmState::InsufficientData);
    let request = json!({ "AlarmNames": ["errors", "all", "unknown"], "AlarmTypes": BOTH });
    assert_eq!(
        setup.names(&request).await,
        (vec!["errors".to_owned()], vec!["all".to_owned()], None)
    );
    // Alarms of other types have to be asked for.
    let metrics = json!({ "AlarmNames": ["errors", "all", "unknown"] });
    assert_eq!(setup.names(&metrics).await, (vec!["errors".to_owned()], Vec::new(), None));

    setup.cloudwatch().set_alarm(AlarmType::Log, "logs", AlarmState::Alarm);
    let (_, answer) = setup.describe(&json!({ "AlarmTypes": ["LogAlarm"] })).await;
    let logs = &member(&answer, "LogAlarms").unwrap().as_array().unwrap()[0];
    assert_eq!(
        (text(logs, "AlarmName"), text(logs, "StateValue")),
        ("logs".to_owned(), "ALARM".to_owned())
    );

    let (_, answer) = setup.describe(&request).await;
    let errors = &member(&answer, "MetricAlarms").unwrap().as_array().unwrap()[0];
    assert_eq!(text(errors, "StateValue"), "ALARM");
    assert_eq!(text(errors, "AlarmArn"), "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors");
    let (tag, time) = member(errors, "StateUpdatedTimestamp").unwrap().as_tag().unwrap();
    assert!(tag == 1 && time.as_float().unwrap() > 1.7e9);
    let all = &member(&answer, "CompositeAlarms").unwrap().as_array().unwrap()[0];
    assert_eq!(text(all, "StateValue"), "INSUFFICIENT_DATA");

    let entry = &setup.journal().of("monitoring", "DescribeAlarms")[0];
    assert_eq!((entry.summary.as_str(), &entry.request), ("errors all unknown", &Some(request)));
}

#[tokio::test]
async fn a_state_that_is_set_again_is_an_update_and_no_transition() {
    let setup = start().await;
    setup.cloudwatch().set_alarm(AlarmType::Metric, "errors", AlarmState::Ok);
    let times = async || {
        let (_, answer) = setup.describe(&json!({})).await;
        let alarm = &member(&answer, "MetricAlarms").unwrap().as_array().unwrap()[0];
        ["StateUpdatedTimestamp", "StateTransitionedTimestamp"]
            .map(|name| member(alarm, name).unwrap().as_tag().unwrap().1.as_float().unwrap())
    };
    let [first_updated, first_changed] = times().await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    setup.cloudwatch().set_alarm(AlarmType::Metric, "errors", AlarmState::Ok);
    let [updated, changed] = times().await;
    assert!(updated > first_updated && changed.to_bits() == first_changed.to_bits());
    // A name is one alarm's.
    setup.cloudwatch().set_alarm(AlarmType::Composite, "errors", AlarmState::Alarm);
    let types: Vec<_> = setup.cloudwatch().alarms().iter().map(|alarm| alarm.alarm_type).collect();
    assert_eq!(types, [AlarmType::Composite]);
    assert!(setup.cloudwatch().delete_alarm("errors") && !setup.cloudwatch().delete_alarm("errors"));
}

#[tokio::test]
async fn alarms_come_in_pages_and_by_prefix_and_state() {
    let setup = start().await;
    for number in 0..60 {
        let state = if number < 10 { AlarmState::Alarm } else { AlarmState::Ok };
        setup.cloudwatch().set_alarm(AlarmType::Metric, &format!("shop-{number:02}"), state);
        setup
            .cloudwatch()
            .set_alarm(AlarmType::Composite, &format!("whole-{number:02}"), state);
    }
    let (metrics, composites, token) = setup.names(&json!({})).await;
    assert_eq!((metrics.len(), composites.len(), token.as_deref()), (50, 0, Some("50")));
    let mut request = json!({ "AlarmTypes": BOTH, "MaxRecords": 45 });
    let mut sizes = Vec::new();
    loop {
        let (metrics, composites, token) = setup.names(&request).await;
        sizes.push((metrics.len(), composites.len()));
        match token {
            Some(token) => request["NextToken"] = token.into(),
            None => break,
        }
    }
    assert_eq!(sizes, [(45, 0), (15, 30), (0, 30)]);
    let found = setup.names(&json!({ "AlarmNamePrefix": "shop-0", "StateValue": "ALARM" })).await;
    assert_eq!(found.0.len(), 10);

    let many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    for (wrong, code) in [
        (json!({ "NextToken": "x" }), "InvalidNextToken"),
        (json!({ "AlarmNames": many }), "ValidationError"),
        (json!({ "AlarmNames": ["a"], "AlarmNamePrefix": "a" }), "ValidationError"),
        (json!({ "MaxRecords": 101 }), "ValidationError"),
    ] {
        let (status, answer) = setup.describe(&wrong).await;
        assert_eq!((status, text(&answer, "__type").as_str()), (400, code), "{wrong}");
    }
}

#[tokio::test]
async fn the_protocol_of_json_and_faults_work_as_well() {
    let setup = start().await;
    setup.cloudwatch().set_alarm(AlarmType::Metric, "errors", AlarmState::Ok);
    let target = "GraniteServiceVersion20100801.DescribeAlarms";
    let (status, body) = setup.call("monitoring", target, &json!({ "AlarmNames": ["errors"] })).await;
    assert_eq!((status, &body["MetricAlarms"][0]["StateValue"]), (200, &json!("OK")));

    setup.faults().inject(Rule::new("monitoring", "DescribeAlarms", Fault::Throttle));
    let (status, answer) = setup.describe(&json!({})).await;
    assert_eq!((status, text(&answer, "__type").as_str()), (400, "ThrottlingException"));
    assert_eq!(setup.names(&json!({})).await.0.len(), 1);
}
