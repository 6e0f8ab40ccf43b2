//! Executions of Step Functions: names that can be used once, ends, and refusals.

use bellhop_model::step_functions::Status;
use bellhop_stand_in::ExecutionView;
use serde_json::{Value, json};

use crate::support::{Setup, start};

const INPUT: &str = r#"{"environment":{"CHANNEL":"stable"}}"#;

impl Setup {
    async fn states_call(&self, operation: &str, body: &Value) -> (u16, Value) {
        self.call("states", &format!("AWSStepFunctions.{operation}"), body).await
    }

    /// StartExecution, and the execution's ARN.
    async fn start_execution(&self, machine: &str) -> String {
        let (status, body) = self.states_call("StartExecution", &of(machine, "once", INPUT)).await;
        assert_eq!(status, 200, "{body}");
        body["executionArn"].as_str().unwrap().to_owned()
    }
}

async fn with_state_machine() -> (Setup, String) {
    let setup = start().await;
    let machine = setup.step_functions().create_state_machine("release");
    (setup, machine)
}

fn of(machine: &str, name: &str, input: &str) -> Value {
    json!({ "stateMachineArn": machine, "name": name, "input": input })
}

/// The status and the code of a refusal.
fn refusal((status, body): (u16, Value)) -> (u16, String) {
    (status, body["__type"].as_str().unwrap_or_default().to_owned())
}

fn statuses(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["detail"]["status"].as_str().unwrap()).collect()
}

/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
#[tokio::test]
async fn a_name_and_its_input_start_one_execution() {
    let (setup, machine) = with_state_machine().await;
    let first = setup.states_call("StartExecution", &of(&machine, "once", INPUT)).await;
    assert_eq!(first.0, 200);
    assert_eq!(
        first.1["executionArn"],
        "arn:aws:states:us-east-1:000000000000:execution:release:once"
    );
    let again = setup.states_call("StartExecution", &of(&machine, "once", INPUT)).await;
    assert_eq!(again, first, "a repeated start of one that runs is answered as the first was");

    let exists = (400, "ExecutionAlreadyExists".to_owned());
    let other = setup.states_call("StartExecution", &of(&machine, "once", "{}")).await;
    assert_eq!(refusal(other), exists, "another input");
    let arn = first.1["executionArn"].as_str().unwrap();
    setup.step_functions().succeed(arn).unwrap();
    let closed = setup.states_call("StartExecution", &of(&machine, "once", INPUT)).await;
    assert_eq!(refusal(closed), exists, "one that has ended");
    assert_eq!(setup.step_functions().executions().len(), 1);
}

#[tokio::test]
async fn a_failure_is_described_and_told_with_its_cause() {
    let (setup, machine) = with_state_machine().await;
    let arn = setup.start_execution(&machine).await;
    setup.step_functions().fail(&arn, "Exit", "exit code 3").unwrap();

    let (status, description) = setup.states_call("DescribeExecution", &json!({ "executionArn": arn })).await;
    assert_eq!(status, 200);
    assert_eq!(description["status"], "FAILED");
    assert_eq!(
        (&description["error"], &description["cause"]),
        (&json!("Exit"), &json!("exit code 3"))
    );
    assert_eq!(description["input"], INPUT);

    let events = setup.step_functions().events_of(&arn);
    assert_eq!(statuses(&events), ["RUNNING", "FAILED"]);
    let [up, end] = [0, 1].map(|place| &events[place]["detail"]);
    assert_eq!(events[1]["resources"], json!([arn]));
    assert_eq!((&up["input"], &up["inputDetails"]["included"]), (&json!(INPUT), &json!(true)));
    assert_eq!((&end["error"], &end["cause"]), (&json!("Exit"), &json!("exit code 3")));
    assert!(up["stopDate"].is_null() && end["stopDate"].as_i64() >= up["startDate"].as_i64());
    assert_eq!(
        (&up["redriveStatus"], &up["redriveStatusReason"]),
        (&json!("NOT_REDRIVABLE"), &json!("Execution is RUNNING and cannot be redriven"))
    );
    assert_eq!(
        (&end["redriveStatus"], &description["redriveStatus"]),
        (&json!("REDRIVABLE"), &json!("REDRIVABLE"))
    );
    assert!(end["redriveStatusReason"].is_null() && end["outputDetails"].is_null());
}

#[tokio::test]
async fn a_success_has_an_output() {
    let (setup, machine) = with_state_machine().await;
    let without_input = setup
        .states_call("StartExecution", &json!({ "stateMachineArn": machine, "name": "once" }))
        .await;
    assert_eq!(without_input.0, 200, "{}", without_input.1);
    let arn = without_input.1["executionArn"].as_str().unwrap();
    setup.step_functions().succeed(arn).unwrap();
    let (_, description) = setup.states_call("DescribeExecution", &json!({ "executionArn": arn })).await;
    let events = setup.step_functions().events_of(arn);
    for said in [&description, &events[1]["detail"]] {
        assert_eq!(
            (&said["input"], &said["output"], &said["outputDetails"]["included"]),
            (&json!("{}"), &json!("{}"), &json!(true))
        );
    }
}

#[tokio::test]
async fn an_event_may_lack_its_input() {
    let (setup, machine) = with_state_machine().await;
    setup.step_functions().hide_inputs(true);
    let arn = setup.start_execution(&machine).await;
    let detail = &setup.step_functions().events_of(&arn)[0]["detail"];
    assert!(detail["input"].is_null() && detail["inputDetails"]["included"] == false, "{detail}");
}

#[tokio::test]
async fn an_execution_is_stopped_once() {
    let (setup, machine) = with_state_machine().await;
    let arn = setup.start_execution(&machine).await;
    let stop = json!({ "executionArn": arn, "error": "Bellhop", "cause": "cancelled" });
    let (status, body) = setup.states_call("StopExecution", &stop).await;
    assert_eq!(status, 200, "{body}");
    let ExecutionView { status, error, cause, .. } = setup.step_functions().execution(&arn).unwrap();
    let reason = (error.as_deref(), cause.as_deref());
    assert_eq!((status, reason), (Status::Aborted, (Some("Bellhop"), Some("cancelled"))));
    assert_eq!(statuses(&setup.step_functions().events_of(&arn)), ["RUNNING", "ABORTED"]);

    let again = setup.states_call("StopExecution", &stop).await;
    assert_eq!(refusal(again), (400, "ValidationException".to_owned()));
    assert!(setup.step_functions().succeed(&arn).is_err(), "it has ended");
}

#[tokio::test]
async fn what_cannot_be_started_or_found_is_refused() {
    let (setup, machine) = with_state_machine().await;
    let too_long = "n".repeat(81);
    for (request, code) in [
        (of(&machine, "a b", INPUT), "InvalidName"),
        (of(&machine, &too_long, INPUT), "InvalidName"),
        (of(&machine, "once", "{"), "InvalidExecutionInput"),
        (of(&format!("{machine}-gone"), "once", INPUT), "StateMachineDoesNotExist"),
    ] {
        let answer = setup.states_call("StartExecution", &request).await;
        assert_eq!(refusal(answer), (400, code.to_owned()), "{request}");
    }
    let unknown = json!({ "executionArn": "arn:aws:states:us-east-1:000000000000:execution:release:unknown" });
    for operation in ["DescribeExecution", "StopExecution"] {
        let answer = setup.states_call(operation, &unknown).await;
        assert_eq!(refusal(answer), (400, "ExecutionDoesNotExist".to_owned()), "{operation}");
    }
    assert_eq!(setup.step_functions().executions(), []);
}
