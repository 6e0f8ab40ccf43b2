//! Invocations of the functions, each with what it answers.

use std::time::Duration;

use bellhop_domain::backup::Definition;
use bellhop_domain::ids::RunId;
use bellhop_engine::{BackupService, Engine, Fault, RunStarter};
use bellhop_runtime::{Callers, Invocation};
use bellhop_spot_interruption::Watch;
use serde_json::{Value, json};

use super::creation::BACKUP_ROLE;
use super::{SUITE_TABLE, World};

/// How long a function has for one invocation.
const INVOCATION: Duration = Duration::from_secs(60);

// The functions. Where nothing else is said, an invocation is like a cold start: nothing is remembered from the one before.
impl World {
    /// What decides and acts on builds and runs.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.with_clock(self.suite.engine())
    }

    /// What starts runs.
    #[must_use]
    pub fn run_starter(&self) -> RunStarter {
        RunStarter {
            engine: self.engine(),
            ..self.suite.run_starter()
        }
    }

    /// An engine of the suite, with the functions' time.
    fn with_clock(&self, engine: Engine) -> Engine {
        Engine {
            clock: self.clock.clone(),
            ..engine
        }
    }

    /// Invokes `push`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn push(&self, event: &Value) -> Result<Value, Fault> {
        self.push_warm(&self.run_starter(), event).await
    }

    /// Invokes `push` where it has been invoked before.
    ///
    /// # Errors
    /// The handler's.
    pub async fn push_warm(&self, starter: &RunStarter, event: &Value) -> Result<Value, Fault> {
        if let Some(run) = run_of(&self.settings.suite, event) {
            *self.newest_run.lock().expect("no test panics while it holds the lock") = Some(run);
        }
        bellhop_push::handle(starter, event).await
    }

    /// What `spot-interruption` remembers between two invocations of one environment: at first, nothing.
    #[must_use]
    pub fn spot_watch(&self) -> Watch {
        Watch::new(self.with_clock(self.suite.instance_engine()))
    }

    /// Invokes `alarm`, and then the functions that it wakes.
    ///
    /// # Errors
    /// The handler's, or else the first one of a woken function's handler.
    pub async fn alarm(&self, event: &Value) -> Result<Value, Fault> {
        self.with_wake_ups(self.alarm_alone(event)).await
    }

    /// Invokes `alarm`, and leaves the functions that it wakes to the next delivery.
    pub(super) async fn alarm_alone(&self, event: &Value) -> Result<Value, Fault> {
        bellhop_alarm::handle(&self.with_clock(self.suite.alarm_engine()), event).await
    }

    /// Invokes `pipeline`. The run that it answers with is the newest one from then on.
    ///
    /// # Errors
    /// The handler's.
    pub async fn pipeline(&self, event: &Value) -> Result<Value, Fault> {
        let answer = bellhop_pipeline::handle(&self.run_starter(), event).await?;
        self.follow(&answer[0]["run"]);
        Ok(answer)
    }

    /// Invokes `control`, as an invocation of a name of its own. The run that it answers with is the newest one from then on.
    ///
    /// # Errors
    /// The handler's.
    pub async fn control(&self, event: &Value) -> Result<Value, Fault> {
        self.control_as(&format!("{:032x}", fastrand::u128(..)), event).await
    }

    /// Invokes `control` as the invocation of this name, as for [`World::control`].
    ///
    /// # Errors
    /// The handler's.
    pub async fn control_as(&self, request_id: &str, event: &Value) -> Result<Value, Fault> {
        let answer = self.invoke_control(Callers::Unverified, request_id, event).await?;
        self.follow(&answer["run"]);
        Ok(answer)
    }

    /// Invokes the function behind the function URL as the invocation of this name, and gives its response.
    ///
    /// # Errors
    /// The handler's.
    pub async fn control_url_as(&self, request_id: &str, event: &Value) -> Result<Value, Fault> {
        self.invoke_control(Callers::Verified, request_id, event).await
    }

    /// Sends a request to the function URL, signed by this principal. Gives the status, and the answer. The run that it answers with is the newest one
    /// from then on.
    ///
    /// # Errors
    /// The handler's.
    ///
    /// # Panics
    /// The response has no status, or no JSON.
    pub async fn control_url(&self, caller: &str, request: &Value) -> Result<(u64, Value), Fault> {
        let id = format!("{:032x}", fastrand::u128(..));
        let context = json!({
            "authorizer": { "iam": { "userArn": caller } },
            "http": { "method": "POST", "path": "/" },
            "requestId": id,
        });
        let body = request.to_string();
        let event = json!({ "version": "2.0", "requestContext": context, "body": body, "isBase64Encoded": false });
        let response = self.control_url_as(&id, &event).await?;
        let status = response["statusCode"].as_u64().expect("a status");
        let answer: Value = serde_json::from_str(response["body"].as_str().expect("a body")).expect("JSON");
        self.follow(&answer["run"]);
        Ok((status, answer))
    }

    async fn invoke_control(&self, callers: Callers, request_id: &str, event: &Value) -> Result<Value, Fault> {
        let invocation = Invocation {
            event: event.clone(),
            request_id: request_id.to_owned(),
            deadline: self.engine().clock.now() + INVOCATION,
        };
        bellhop_control::handle(&self.run_starter(), callers, &invocation).await
    }

    /// What starts and watches backups: those of the configuration, and the suite's own table.
    #[must_use]
    pub fn backup_service(&self) -> BackupService {
        BackupService {
            engine: self.with_clock(self.suite.backup_service().engine),
            table: Some(Definition::of_suite_table(SUITE_TABLE, "bellhop", BACKUP_ROLE)),
        }
    }

    /// Invokes `backup`, as an invocation of a name of its own.
    ///
    /// # Errors
    /// The handler's.
    pub async fn backup(&self, event: &Value) -> Result<Value, Fault> {
        let invocation = Invocation {
            event: event.clone(),
            request_id: format!("{:032x}", fastrand::u128(..)),
            deadline: self.engine().clock.now() + INVOCATION,
        };
        bellhop_backup::handle(&self.backup_service(), &invocation).await
    }

    fn follow(&self, run: &Value) {
        if let Some(run) = run.as_str() {
            let run = run.parse().expect("a function answers with the id of a run");
            *self.newest_run.lock().expect("no test panics while it holds the lock") = Some(run);
        }
    }

    /// Invokes `sweep`, and then the functions that it wakes.
    ///
    /// # Errors
    /// The handler's, or else the first one of a woken function's handler.
    pub async fn sweep(&self) -> Result<Value, Fault> {
        let engine = self.engine();
        let deadline = engine.clock.now() + INVOCATION;
        let every_minute = json!({ "source": "aws.events", "detail-type": "Scheduled Event" });
        self.with_wake_ups(bellhop_sweep::handle(&engine, &every_minute, deadline)).await
    }

    /// Invokes `sweep` with what has arrived in the timer queue, as SQS does; none if nothing has.
    ///
    /// # Errors
    /// As [`World::sweep`].
    pub async fn timed(&self) -> Option<Result<Value, Fault>> {
        let messages = self.local_aws.receive_all(&self.timer_queue).await;
        if messages.is_empty() {
            return None;
        }
        let engine = self.engine();
        let deadline = engine.clock.now() + INVOCATION;
        let record = |message: Value| json!({ "eventSource": "aws:sqs", "body": message.to_string() });
        let event = json!({ "Records": messages.into_iter().map(record).collect::<Vec<_>>() });
        Some(self.with_wake_ups(bellhop_sweep::handle(&engine, &event, deadline)).await)
    }

    /// Invokes `sweep` so much later, and then the functions that it wakes.
    ///
    /// # Errors
    /// As [`World::sweep`].
    pub async fn sweep_after(&self, span: Duration) -> Result<Value, Fault> {
        self.clock.advance(span);
        self.sweep().await
    }

    /// Invokes `push` with the first push, which has to start a run, and gives the run's id.
    ///
    /// # Panics
    /// No run is started.
    pub async fn start(&self) -> RunId {
        self.start_by(&self.first_push).await
    }

    /// Invokes `push` with an event that has to start a run, and gives the run's id.
    ///
    /// # Panics
    /// No run is started.
    pub async fn start_by(&self, event: &Value) -> RunId {
        let answer = self.push(event).await.expect("the push is handled");
        assert!(answer[0]["builds"].is_u64(), "no run was started: {answer}");
        self.newest_run()
    }
}

/// The run that an event of EventBridge's about a push starts, if it starts one.
fn run_of(suite: &str, event: &Value) -> Option<RunId> {
    let reference = event["detail"]["referenceFullName"].as_str()?.parse().ok()?;
    Some(RunId::derive(suite, event["id"].as_str()?, &reference))
}
