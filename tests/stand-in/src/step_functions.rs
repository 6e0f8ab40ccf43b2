//! Step Functions: state machines, their executions, and what happens to them.
//!
//! The test decides what a state machine does: an execution runs until the test ends it or StopExecution stops it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bellhop_model::step_functions::{Status, execution_arn};
use bellhop_model::tokens::{Known, Tokens};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Options;
use crate::calls::Call;
use crate::events::Events;
use crate::replies::{Answer, AwsError};
use crate::support::{self, epoch, lock};

/// What a name may not have
/// (<https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>).
const NOT_IN_NAMES: &str = "<>{}[]?*\"#%\\^|~`$&,;:/ ";
/// The most characters of a name.
const LONGEST_NAME: usize = 80;
/// The most bytes of an input.
const LONGEST_INPUT: usize = 262_144;

/// The state machines of the stand-in and their executions. Clones are handles to the same ones.
#[derive(Clone)]
pub struct StepFunctions {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    events: Events,
    state: Mutex<State>,
    /// Counts the changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    machines: BTreeSet<String>,
    executions: Vec<ExecutionView>,
    /// By the ARN of each execution: its input, and its place.
    names: Tokens<String, usize, Infallible, Instant>,
    hides_inputs: bool,
}

/// An execution, as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionView {
    /// Its ARN.
    pub arn: String,
    /// Its state machine's ARN.
    pub state_machine: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// Its input, as it was given.
    pub input: String,
    /// The error of one that failed or was stopped.
    pub error: Option<String>,
    /// The cause of one that failed or was stopped.
    pub cause: Option<String>,
    started: Timestamp,
    stopped: Option<Timestamp>,
}

impl ExecutionView {
    /// A variable of the environment in its input.
    pub fn variable(&self, name: &str) -> Option<String> {
        let input: Value = serde_json::from_str(&self.input).ok()?;
        Some(input["environment"][name].as_str()?.to_owned())
    }

    /// What every state machine here returns.
    fn output(&self) -> Option<&'static str> {
        (self.status == Status::Succeeded).then_some("{}")
    }

    fn redrive_status(&self) -> &'static str {
        match self.status.not_redrivable() {
            Some(_) => "NOT_REDRIVABLE",
            None => "REDRIVABLE",
        }
    }

    fn detail(&self, hides_input: bool) -> Value {
        let output = self.output();
        json!({
            "executionArn": self.arn, "stateMachineArn": self.state_machine, "name": self.name, "status": self.status.name(),
            "startDate": self.started.as_millisecond(), "stopDate": self.stopped.map(Timestamp::as_millisecond),
            "input": (!hides_input).then_some(&self.input), "inputDetails": { "included": !hides_input },
            "output": output, "outputDetails": output.map(|_| json!({ "included": true })),
            "stateMachineVersionArn": null, "stateMachineAliasArn": null, "redriveCount": 0, "redriveDate": null,
            "redriveStatus": self.redrive_status(), "redriveStatusReason": self.status.not_redrivable(),
            "error": self.error, "cause": self.cause,
        })
    }

    fn description(&self) -> Value {
        let mut all = json!({
            "executionArn": self.arn, "stateMachineArn": self.state_machine, "name": self.name, "status": self.status.name(),
            "startDate": epoch(self.started), "input": self.input, "inputDetails": { "included": true },
            "redriveCount": 0, "redriveStatus": self.redrive_status(),
        });
        if let Some(stopped) = self.stopped {
            all["stopDate"] = epoch(stopped).into();
        }
        if let Some(output) = self.output() {
            all["output"] = output.into();
            all["outputDetails"] = json!({ "included": true });
        }
        let reason = self.status.not_redrivable();
        for (name, text) in [("error", &self.error), ("cause", &self.cause), ("redriveStatusReason", &reason)] {
            if let Some(text) = text {
                all[name] = text.as_str().into();
            }
        }
        all
    }
}

// The test's side.
impl StepFunctions {
    pub(crate) fn new(options: &Options, events: Events) -> Self {
        Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                events,
                state: Mutex::default(),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// Makes a state machine, and returns its ARN.
    pub fn create_state_machine(&self, name: &str) -> String {
        let Inner { region, account, .. } = &*self.inner;
        let arn = format!("arn:aws:states:{region}:{account}:stateMachine:{name}");
        lock(&self.inner.state).machines.insert(arn.clone());
        arn
    }

    /// Takes a state machine away. Its executions stay known here.
    pub fn delete_state_machine(&self, arn: &str) {
        lock(&self.inner.state).machines.remove(arn);
    }

    /// Whether events leave out the input, as they do if it is too large.
    pub fn hide_inputs(&self, hides: bool) {
        lock(&self.inner.state).hides_inputs = hides;
    }

    /// All executions, in the order of their starts.
    pub fn executions(&self) -> Vec<ExecutionView> {
        lock(&self.inner.state).executions.clone()
    }

    /// One execution, by its ARN.
    ///
    /// # Errors
    /// There is none.
    pub fn execution(&self, arn: &str) -> anyhow::Result<ExecutionView> {
        let state = lock(&self.inner.state);
        state.find(arn).cloned().context("no such execution")
    }

    /// The events of an execution so far, delivered or not, oldest first.
    pub fn events_of(&self, arn: &str) -> Vec<Value> {
        self.inner.events.about(arn)
    }

    /// Waits until something can be found among the executions.
    ///
    /// # Errors
    /// It was not found in time; the text names the executions there are.
    pub async fn wait_for<T>(&self, within: Duration, mut find: impl FnMut(&[ExecutionView]) -> Option<T>) -> anyhow::Result<T> {
        if let Some(found) = support::wait_for(&self.inner.changes, within, || find(&self.executions())).await {
            return Ok(found);
        }
        bail!("not found within {within:?}; the executions are {:?}", self.executions())
    }

    /// An execution starts another one of its state machine, with its own input and another name.
    ///
    /// # Errors
    /// There is no such execution.
    pub fn start_child(&self, arn: &str) -> anyhow::Result<Vec<Value>> {
        let (machine, input) = {
            let parent = self.execution(arn)?;
            (parent.state_machine, parent.input)
        };
        let mut state = lock(&self.inner.state);
        let child = self.create(&mut state, &machine, &support::uuid(), input);
        drop(state);
        self.changed();
        Ok(self.events_of(&child))
    }

    /// An execution succeeds. Returns the events.
    ///
    /// # Errors
    /// It does not run.
    pub fn succeed(&self, arn: &str) -> anyhow::Result<Vec<Value>> {
        self.end(arn, Status::Succeeded, None, None)
    }

    /// An execution fails with error and cause. Returns the events.
    ///
    /// # Errors
    /// It does not run.
    pub fn fail(&self, arn: &str, error: &str, cause: &str) -> anyhow::Result<Vec<Value>> {
        self.end(arn, Status::Failed, Some(error), Some(cause))
    }

    /// An execution takes longer than its state machine allows. Returns the events.
    ///
    /// # Errors
    /// It does not run.
    pub fn time_out(&self, arn: &str) -> anyhow::Result<Vec<Value>> {
        self.end(arn, Status::TimedOut, None, None)
    }

    fn end(&self, arn: &str, status: Status, error: Option<&str>, cause: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let mut state = lock(&self.inner.state);
        let hides_inputs = state.hides_inputs;
        let execution = state.find_mut(arn).context("no such execution")?;
        if execution.status != Status::Running {
            bail!("execution {arn} is {}", execution.status.name());
        }
        execution.status = status;
        execution.error = error.map(str::to_owned);
        execution.cause = cause.map(str::to_owned);
        execution.stopped = Some(Timestamp::now());
        let event = self.announce(execution, hides_inputs);
        drop(state);
        self.changed();
        Ok(vec![event])
    }

    fn announce(&self, execution: &ExecutionView, hides_inputs: bool) -> Value {
        let detail = execution.detail(hides_inputs);
        let kind = "Step Functions Execution Status Change";
        self.inner.events.publish("aws.states", kind, &[&execution.arn], detail)
    }

    fn create(&self, state: &mut State, machine: &str, name: &str, input: String) -> String {
        let execution = ExecutionView {
            arn: execution_arn(machine, name),
            state_machine: machine.to_owned(),
            name: name.to_owned(),
            status: Status::Running,
            input: input.clone(),
            error: None,
            cause: None,
            started: Timestamp::now(),
            stopped: None,
        };
        let arn = execution.arn.clone();
        self.announce(&execution, state.hides_inputs);
        // A name is used up for 90 days, which is for ever here.
        state.names.made(&arn, input, state.executions.len(), None);
        state.executions.push(execution);
        arn
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
    }
}

// The operations.
impl StepFunctions {
    pub(crate) fn answer(&self, call: &Call) -> Result<Answer, AwsError> {
        let request = call.json()?;
        match call.operation.as_str() {
            "StartExecution" => self.start_execution(request),
            "StopExecution" => self.stop_execution(request),
            "DescribeExecution" => self.describe_execution(request),
            _ => Err(AwsError::unknown_operation(call)),
        }
    }

    fn start_execution(&self, request: &Value) -> Result<Answer, AwsError> {
        let text = |name: &str| request[name].as_str().unwrap_or_default();
        let machine = text("stateMachineArn");
        let input = request["input"].as_str().unwrap_or("{}");
        let name = match text("name") {
            "" => support::uuid(),
            name => name.to_owned(),
        };
        if name.chars().count() > LONGEST_NAME || name.chars().any(|letter| NOT_IN_NAMES.contains(letter) || letter.is_control()) {
            return Err(AwsError::client("InvalidName", format!("Invalid Name: '{name}'")));
        }
        if input.len() > LONGEST_INPUT || serde_json::from_str::<Value>(input).is_err() {
            return Err(AwsError::client("InvalidExecutionInput", "Invalid State Machine Execution Input"));
        }
        let mut state = lock(&self.inner.state);
        if !state.machines.contains(machine) {
            let message = format!("State Machine Does Not Exist: '{machine}'");
            return Err(AwsError::client("StateMachineDoesNotExist", message));
        }
        let arn = execution_arn(machine, &name);
        let input = input.to_owned();
        let known = match state.names.look(&arn, &input, &Instant::now()) {
            None => None,
            Some(Known::Made(place)) => {
                let made = state.executions.get(*place);
                Some(made.filter(|execution| execution.status == Status::Running).cloned())
            }
            Some(Known::OfAnother(_)) => Some(None),
            Some(Known::Refused(never)) => match *never {},
        };
        let (execution, note) = match known {
            Some(Some(open)) => (open, "(reused name)".to_owned()),
            Some(None) => {
                let message = format!("Execution Already Exists: '{arn}'");
                return Err(AwsError::client("ExecutionAlreadyExists", message));
            }
            None => {
                let arn = self.create(&mut state, machine, &name, input);
                let execution = state.find(&arn).cloned();
                (execution.ok_or_else(|| does_not_exist(&arn))?, format!("-> {name}"))
            }
        };
        drop(state);
        self.changed();
        Ok(Answer {
            body: json!({ "executionArn": execution.arn, "startDate": epoch(execution.started) }),
            note: Some(note),
        })
    }

    fn stop_execution(&self, request: &Value) -> Result<Answer, AwsError> {
        let text = |name: &str| request[name].as_str();
        let arn = text("executionArn").unwrap_or_default();
        // AWS does not document the answer for an execution that has ended. The stand-in refuses, which is harder for the caller.
        let ended = self.execution(arn).map_err(|_| does_not_exist(arn))?.stopped;
        if ended.is_some() {
            return Err(AwsError::client(
                "ValidationException",
                format!("Execution is not running: '{arn}'"),
            ));
        }
        let stopped = self.end(arn, Status::Aborted, text("error"), text("cause"));
        stopped.map_err(|error| AwsError::client("ValidationException", error.to_string()))?;
        let stopped = self.execution(arn).ok().and_then(|execution| execution.stopped);
        Ok(json!({ "stopDate": stopped.map(epoch) }).into())
    }

    fn describe_execution(&self, request: &Value) -> Result<Answer, AwsError> {
        let arn = request["executionArn"].as_str().unwrap_or_default();
        let execution = self.execution(arn).map_err(|_| does_not_exist(arn))?;
        Ok(execution.description().into())
    }
}

impl State {
    fn find(&self, arn: &str) -> Option<&ExecutionView> {
        self.executions.iter().find(|execution| execution.arn == arn)
    }

    fn find_mut(&mut self, arn: &str) -> Option<&mut ExecutionView> {
        self.executions.iter_mut().find(|execution| execution.arn == arn)
    }
}

fn does_not_exist(arn: &str) -> AwsError {
    AwsError::client("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"))
}
