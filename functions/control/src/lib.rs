//! Handles requests of people, schedules and programs: start, cancel, retry, show, list.

use bellhop_domain::ids::{RepositoryName, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::report;
use bellhop_domain::request::Request;
use bellhop_domain::run::{Listed, Run, RunClass, RunEvent};
use bellhop_engine::{Engine, Fault, Handled, Refused, Retried, RunStarter, Started};
use bellhop_events::{Event, control, parse};
use bellhop_runtime::Invocation;
use serde_json::{Value, json};

/// How many runs a page of the list has.
const LISTED: usize = 20;
/// How many runs of a repository are searched for those with a status: a page may have fewer than it could, and not be the last one.
const SEARCHED: usize = 200;

/// Fulfils a request and returns the state of the run, or `{"error": …}` with the reason. Several requests in one input (through SNS or SQS) are
/// answered as a list.
///
/// # Errors
/// If a service cannot be reached now. Retrying the same invocation starts nothing twice: a request without an id uses the invocation's id.
pub async fn handle(starter: &RunStarter, invocation: &Invocation) -> Result<Value, Fault> {
    let mut answers = Vec::new();
    let mut fault = None;
    for (index, event) in parse(&invocation.event).events.into_iter().enumerate() {
        let Event::Request(request) = event else { continue };
        let trigger = match index {
            0 => invocation.request_id.clone(),
            _ => format!("{}/{index}", invocation.request_id),
        };
        match answer(starter, request, &trigger).await {
            Ok(answer) => answers.push(answer),
            Err(other) => {
                fault.get_or_insert(other);
            }
        }
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    if answers.is_empty() {
        // The input contains no request: the parser of requests returns the error.
        let error = control::request(&invocation.event).err();
        answers.push(error_of(
            error
                .as_deref()
                .unwrap_or("not a request: expected one of start, cancel, retry, show, list"),
        ));
    }
    let only = answers.len() == 1;
    Ok(if only { answers.remove(0) } else { Value::Array(answers) })
}

async fn answer(starter: &RunStarter, request: Result<Request, String>, trigger: &str) -> Result<Value, Fault> {
    let engine = &starter.engine;
    let request = match request {
        Ok(request) => request,
        Err(message) => {
            tracing::warn!(why = message, "invalid request");
            return Ok(error_of(&message));
        }
    };
    match request {
        Request::Start(start) => {
            let started = starter.request(&start, &name_of(start.id.as_deref(), trigger)).await?;
            of_started(engine, started).await
        }
        Request::Retry(retry) => match starter.retry(&retry.what, &name_of(retry.id.as_deref(), trigger)).await? {
            Ok(Retried { started, left_out, also }) => {
                let mut answer = of_started(engine, Ok(started)).await?;
                for (key, jobs) in [("left-out", left_out), ("also-repeated", also)] {
                    if !jobs.is_empty() {
                        answer[key] = json!(jobs);
                    }
                }
                Ok(answer)
            }
            Err(refused) => of_started(engine, Err(refused)).await,
        },
        Request::CancelRun(run) => cancel(engine, &run, None).await,
        Request::CancelBuild(build) => cancel(engine, &build.run, Some(build.job)).await,
        Request::Show(run) => show(engine, &run).await,
        Request::List { repository, class, before } => list(engine, repository.as_ref(), class, before.as_deref()).await,
    }
}

/// The trigger from which the run's id is derived. A requester's id cannot collide with the id of an invocation.
fn name_of(id: Option<&str>, trigger: &str) -> String {
    match id {
        Some(id) => format!("control/id/{id}"),
        None => format!("control/{trigger}"),
    }
}

async fn of_started(engine: &Engine, started: Result<Started, Refused>) -> Result<Value, Fault> {
    match started {
        Ok(Started::Run { id, .. } | Started::Rejected { id, .. } | Started::Again(id)) => show(engine, &id).await,
        Ok(Started::Nothing(why)) => Ok(error_of(&format!("nothing was started: {why}"))),
        Err(Refused(message)) => {
            tracing::warn!(why = message, "the request cannot be fulfilled");
            Ok(error_of(&message))
        }
    }
}

async fn cancel(engine: &Engine, run: &RunId, job: Option<bellhop_domain::ids::JobName>) -> Result<Value, Fault> {
    let event = RunEvent::Cancel {
        job: job.clone(),
        outcome: Outcome::Cancelled,
        cause: "cancelled by hand".to_owned(),
    };
    match (engine.run(run, event).await?, job) {
        (Handled::Unknown, _) => Ok(error_of(&format!("there is no run {run}"))),
        (Handled::Ignored(bellhop_domain::decision::Ignored::UnknownJob), Some(job)) => {
            Ok(error_of(&format!("run {run} has no job {job}")))
        }
        _ => show(engine, run).await,
    }
}

async fn show(engine: &Engine, id: &RunId) -> Result<Value, Fault> {
    let Some(run) = engine.ledger.load::<Run>(id).await? else {
        return Ok(error_of(&format!("there is no run {id}")));
    };
    let builds = engine.ledger.builds_of(id).await?;
    Ok(report::of_run(&run.record, builds.iter().map(|build| &build.record)))
}

async fn list(engine: &Engine, repository: Option<&RepositoryName>, class: Option<RunClass>, before: Option<&str>) -> Result<Value, Fault> {
    let (runs, next) = match repository {
        None => {
            let classes = class.map_or_else(|| RunClass::ALL.to_vec(), |class| vec![class]);
            let runs = engine.ledger.runs_of_all(&classes, before, LISTED).await?;
            let next = last_of_full(&runs, LISTED);
            (runs, next)
        }
        Some(repository) => {
            let limit = if class.is_some() { SEARCHED } else { LISTED };
            let mut runs = engine.ledger.runs_of(repository, before, limit).await?;
            let searched = last_of_full(&runs, limit);
            runs.retain(|run| class.is_none_or(|class| run.class() == class));
            runs.truncate(LISTED);
            let next = last_of_full(&runs, LISTED).or(searched);
            (runs, next)
        }
    };
    let runs: Vec<Value> = runs.iter().map(report::summary).collect();
    Ok(json!({ "version": 1, "repository": repository, "runs": runs, "next": next }))
}

/// The place of the last run of a page; `None` for a page that is not full, which is the last one.
fn last_of_full(runs: &[Listed], limit: usize) -> Option<String> {
    runs.get(limit - 1).map(Listed::place)
}

fn error_of(message: &str) -> Value {
    json!({ "error": message })
}
