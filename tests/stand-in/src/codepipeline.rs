//! CodePipeline's side of its invoke actions: the jobs that a function is invoked for and reports on.

mod actions;
mod api;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::http::StatusCode;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::proxy::Upstream;
use crate::support::{self, lock};
use crate::{Options, Timing};
pub use actions::{ARTIFACT_CREDENTIALS, ActionView, Artifact, InvokeAction, JobResult, JobView};
use actions::{Action, Standing, Status};

/// How many jobs a slow subscriber may lag behind before it misses some.
const SUBSCRIBER_CAPACITY: usize = 1024;
/// The characters of UserParameters.
const PARAMETERS_LIMIT: usize = 1000;
/// How long an upstream that does not answer, or has no capacity, is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The invoke actions of the stand-in's pipelines. Clones are handles to the same ones.
///
/// An action is named by its id, or by the id of one of its jobs. A job's event goes to [subscribers](Self::subscribe)
/// and, where [invoking](Self::set_invoking) is on, to the function itself.
#[derive(Clone)]
pub struct CodePipeline {
    inner: Arc<Inner>,
}

struct Inner {
    account: String,
    timing: Timing,
    state: Mutex<State>,
    delivered: broadcast::Sender<Value>,
    queue: mpsc::UnboundedSender<Invocation>,
    /// Counts the changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    actions: Vec<Action>,
    invoking: bool,
}

/// An event on its way to a function of the upstream.
pub(crate) struct Invocation {
    function: String,
    job: String,
    event: Value,
}

impl CodePipeline {
    pub(crate) fn new(options: &Options) -> (Self, mpsc::UnboundedReceiver<Invocation>) {
        let (delivered, _) = broadcast::channel(SUBSCRIBER_CAPACITY);
        let (queue, invocations) = mpsc::unbounded_channel();
        let codepipeline = Self {
            inner: Arc::new(Inner {
                account: options.account.clone(),
                timing: options.timing,
                state: Mutex::default(),
                delivered,
                queue,
                changes: watch::Sender::new(0),
            }),
        };
        (codepipeline, invocations)
    }

    // What there is.

    /// All actions, in the order in which they were started.
    pub fn actions(&self) -> Vec<ActionView> {
        lock(&self.inner.state).actions.iter().map(Action::view).collect()
    }

    /// One action.
    ///
    /// # Errors
    /// There is no such action.
    pub fn action(&self, action: &str) -> anyhow::Result<ActionView> {
        let state = lock(&self.inner.state);
        let action = state.actions.iter().find(|known| is_named(known, action));
        Ok(action.context("no such action")?.view())
    }

    /// The event of a job, or of the newest job of an action: what a handler gets.
    ///
    /// # Errors
    /// There is no such job or action.
    pub fn event(&self, job: &str) -> anyhow::Result<Value> {
        let state = lock(&self.inner.state);
        let action = state.actions.iter().find(|known| is_named(known, job)).context("no such job")?;
        let named = action.jobs.iter().find(|known| known.id == job);
        let job = named.or_else(|| action.jobs.last()).context("the action has no job")?;
        Ok(job.event.clone())
    }

    /// The event of every job from now on, a continuation's included.
    pub fn subscribe(&self) -> broadcast::Receiver<Value> {
        self.inner.delivered.subscribe()
    }

    /// Waits until something can be found among the actions.
    ///
    /// # Errors
    /// It was not found in time; the text names the actions there are.
    pub async fn wait_for<T>(&self, within: Duration, mut find: impl FnMut(&[ActionView]) -> Option<T>) -> anyhow::Result<T> {
        if let Some(found) = support::wait_for(&self.inner.changes, within, || find(&self.actions())).await {
            return Ok(found);
        }
        let actions = self.actions();
        let standing = |action: &ActionView| format!("{} {} {} jobs", action.id, action.status, action.jobs.len());
        let actions: Vec<_> = actions.iter().map(standing).collect();
        bail!("not found within {within:?}; the actions are {actions:?}")
    }

    /// Waits until an action has this status, such as `Succeeded`.
    ///
    /// # Errors
    /// It did not come to have it in time.
    pub async fn wait_for_status(&self, action: &str, status: &str, within: Duration) -> anyhow::Result<ActionView> {
        let id = self.action(action)?.id;
        let found = |actions: &[ActionView]| {
            let fits = |action: &&ActionView| action.id == id && action.status == status;
            actions.iter().find(fits).cloned()
        };
        let waited = self.wait_for(within, found).await;
        waited.with_context(|| format!("action {id} did not become {status}"))
    }

    // How it is set up.

    /// Switches the invoking of functions through the upstream on or off, for the jobs to come. It is off at first, and
    /// without an upstream it does nothing.
    pub fn set_invoking(&self, invoking: bool) {
        lock(&self.inner.state).invoking = invoking;
    }

    // What happens.

    /// A pipeline comes to this action: its first job is opened.
    ///
    /// # Errors
    /// CodePipeline would not accept it: the function has no name, or the parameters are longer than 1000 characters.
    pub fn start(&self, action: InvokeAction) -> anyhow::Result<ActionView> {
        if action.function.is_empty() {
            bail!("the function has no name");
        }
        let parameters = action.user_parameters.as_deref().unwrap_or_default();
        if parameters.chars().count() > PARAMETERS_LIMIT {
            bail!("UserParameters has more than {PARAMETERS_LIMIT} characters");
        }
        let view = {
            let mut state = lock(&self.inner.state);
            let mut action = Action::new(action, &self.inner.account, self.inner.timing.action_timeout);
            self.open(state.invoking, &mut action, None);
            let view = action.view();
            state.actions.push(action);
            view
        };
        self.changed();
        Ok(view)
    }

    /// The pipeline execution is stopped or superseded: the action is abandoned, its open job is withdrawn, and no
    /// other follows.
    ///
    /// # Errors
    /// There is no such action, or it is over already.
    pub fn stop(&self, action: &str) -> anyhow::Result<ActionView> {
        self.change(action, |action, _| {
            action.end(Status::Abandoned, JobResult::Withdrawn);
            Ok(())
        })
    }

    /// The action's time is over now: it fails, and its open job is [timed out](JobResult::TimedOut).
    ///
    /// # Errors
    /// There is no such action, or it is over already.
    pub fn time_out(&self, action: &str) -> anyhow::Result<ActionView> {
        self.change(action, |action, _| {
            action.end(Status::Failed, JobResult::TimedOut);
            Ok(())
        })
    }

    /// The action's next job comes now, without the wait of [`Timing::job_continuation`].
    ///
    /// # Errors
    /// There is no such action, or it does not wait for its next job.
    pub fn go_on(&self, action: &str) -> anyhow::Result<ActionView> {
        self.change(action, |action, invoking| {
            let Standing::NextJob { token, .. } = &action.standing else {
                bail!("the action does not wait for its next job");
            };
            let token = token.clone();
            self.open(invoking, action, Some(token));
            Ok(())
        })
    }

    /// A job's event, or that of an action's newest job, is delivered once more, as an asynchronous invocation may be.
    ///
    /// # Errors
    /// There is no such job or action.
    pub fn deliver_again(&self, job: &str) -> anyhow::Result<()> {
        let event = self.event(job)?;
        let function = self.action(job)?.function;
        let invoking = lock(&self.inner.state).invoking;
        self.deliver(invoking, &function, event);
        Ok(())
    }

    // For the rest of the crate.

    fn change(&self, name: &str, change: impl FnOnce(&mut Action, bool) -> anyhow::Result<()>) -> anyhow::Result<ActionView> {
        let view = {
            let mut state = lock(&self.inner.state);
            let invoking = state.invoking;
            let action = state.actions.iter_mut().find(|known| is_named(known, name));
            let action = action.context("no such action")?;
            if action.is_over() {
                bail!("the action has already ended");
            }
            change(action, invoking)?;
            action.view()
        };
        self.changed();
        Ok(view)
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// Opens the action's next job and delivers its event.
    fn open(&self, invoking: bool, action: &mut Action, token: Option<String>) {
        let event = action.open(token, self.inner.timing.job_timeout);
        self.deliver(invoking, &action.plan.function, event);
    }

    fn deliver(&self, invoking: bool, function: &str, event: Value) {
        // Errors only say that nobody listens any more.
        let _ = self.inner.delivered.send(event.clone());
        if invoking {
            let job = event["CodePipeline.job"]["id"].as_str().unwrap_or_default().to_owned();
            let _ = self.inner.queue.send(Invocation {
                function: function.to_owned(),
                job,
                event,
            });
        }
    }

    /// Does what is due by now, and returns when something is due next.
    fn act(&self) -> Option<Instant> {
        let now = Instant::now();
        let (mut next, mut acted) = (None::<Instant>, false);
        {
            let mut state = lock(&self.inner.state);
            let invoking = state.invoking;
            for action in state.actions.iter_mut().filter(|action| !action.is_over()) {
                let due = match &action.standing {
                    Standing::Result { until } => *until,
                    Standing::NextJob { at, .. } => *at,
                    Standing::Over => continue,
                };
                if now >= due.min(action.deadline) {
                    acted = true;
                    match action.standing.clone() {
                        Standing::NextJob { token, .. } if now < action.deadline => self.open(invoking, action, Some(token)),
                        _ => action.end(Status::Failed, JobResult::TimedOut),
                    }
                } else {
                    let due = due.min(action.deadline);
                    next = Some(next.map_or(due, |next| next.min(due)));
                }
            }
        }
        if acted {
            self.changed();
        }
        next
    }

    /// The function of a job could not be invoked, which fails the action.
    fn not_invoked(&self, job: &str, message: String) {
        let failed = self.change(job, |action, _| {
            if !action.waits_for(job) {
                bail!("the job already has a result");
            }
            let kind = "ConfigurationError".to_owned();
            action.end(Status::Failed, JobResult::Failed { kind, message });
            Ok(())
        });
        if let Err(error) = failed {
            tracing::debug!(job, "{error:#}");
        }
    }
}

fn is_named(action: &Action, name: &str) -> bool {
    action.id == name || action.jobs.iter().any(|job| job.id == name)
}

/// Ends jobs and opens them when their time has come, until it is dropped.
pub(crate) async fn keep_time(codepipeline: CodePipeline) {
    let mut changes = codepipeline.inner.changes.subscribe();
    loop {
        let due = codepipeline.act();
        let until_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = until_due => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Invokes the functions of the queued jobs, in order, without waiting for them.
pub(crate) async fn invoke(codepipeline: CodePipeline, mut queue: mpsc::UnboundedReceiver<Invocation>, upstream: Upstream) {
    while let Some(invocation) = queue.recv().await {
        let Invocation { function, job, event } = invocation;
        match accepted(&upstream, &function, &event).await {
            Ok(()) => {}
            Err(error) => {
                let message = format!("The AWS Lambda function {function} cannot be invoked: {error:#}");
                codepipeline.not_invoked(&job, message);
            }
        }
    }
}

async fn accepted(upstream: &Upstream, function: &str, event: &Value) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        let answer = upstream.invoke(function, event).await;
        let passing = match &answer {
            Ok(Some(status)) => *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error(),
            Ok(None) => false,
            Err(_) => true,
        };
        if passing && start.elapsed() < PATIENCE {
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
            continue;
        }
        return match answer? {
            Some(status) if !status.is_success() => bail!("{status}"),
            _ => Ok(()),
        };
    }
}
