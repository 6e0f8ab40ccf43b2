//! Handles requests of people, schedules and programs: start, cancel, retry, show, list.

use bellhop_domain::caller::Caller;
use bellhop_domain::decision::Ignored;
use bellhop_domain::ids::{JobName, RepositoryName, RunId};
use bellhop_domain::outcome::Outcome;
use bellhop_domain::report;
use bellhop_domain::request::{Request, Retry, Submitted};
use bellhop_domain::run::{Listed, Run, RunClass, RunEvent};
use bellhop_engine::{Engine, Fault, Handled, Refused, Retried, RunStarter, Started};
use bellhop_events::function_url::{Call, Rejection};
use bellhop_events::{Event, control, function_url, parse};
use bellhop_runtime::{Callers, Invocation};
use serde_json::{Value, json};

/// How many runs a page of the list has.
const LISTED: usize = 20;
/// How many runs of a repository are searched for those with a status: a page may have fewer than it could, and not be the last one.
const SEARCHED: usize = 200;
/// The error about an input without a request.
const NO_REQUEST: &str = "not a request: expected one of start, cancel, retry, show, list";
/// The error about an HTTP request to a function that is behind no function URL. Anybody who may invoke the function could have written it.
const NOT_HERE: &str = "not a request: this function has no function URL and believes no name; send the request by itself";

/// What is answered, and what it means over HTTP.
struct Answer {
    status: u16,
    document: Value,
}

/// Fulfils a request and returns the state of the run, or `{"error": …}` with the reason. With verified callers, both come as a response of the
/// [function URL](https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads).
///
/// # Errors
/// If a service cannot be reached now. Retrying the same invocation starts nothing twice: a request without an id uses the invocation's id.
pub async fn handle(starter: &RunStarter, callers: Callers, invocation: &Invocation) -> Result<Value, Fault> {
    match callers {
        Callers::Verified => Ok(response(&over_http(starter, invocation).await?)),
        Callers::Unverified => directly(starter, invocation).await,
    }
}

/// Fulfils the requests of a direct invocation. Several requests in one input (through SNS or SQS) are answered as a list. No name in it is believed.
async fn directly(starter: &RunStarter, invocation: &Invocation) -> Result<Value, Fault> {
    let mut answers = Vec::new();
    let mut fault = None;
    for (index, event) in parse(&invocation.event).events.into_iter().enumerate() {
        let Event::Request(request) = event else { continue };
        let trigger = match index {
            0 => invocation.request_id.clone(),
            _ => format!("{}/{index}", invocation.request_id),
        };
        let answer = match request {
            Ok(Submitted { request, schedule }) => fulfil(starter, request, &Caller::unverified(schedule), &trigger).await,
            Err(message) => Ok(invalid(400, &message)),
        };
        match answer {
            Ok(answer) => answers.push(answer.document),
            Err(other) => {
                fault.get_or_insert(other);
            }
        }
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    if answers.is_empty() {
        let message = match invocation.event.as_object() {
            Some(object) if function_url::is_http(object) => NOT_HERE.to_owned(),
            // The input contains no request: the parser of requests returns the error.
            _ => control::submitted(&invocation.event).err().unwrap_or_else(|| NO_REQUEST.to_owned()),
        };
        answers.push(invalid(400, &message).document);
    }
    let only = answers.len() == 1;
    Ok(if only { answers.remove(0) } else { Value::Array(answers) })
}

/// Fulfils the request of an HTTP request, whose caller IAM has verified.
async fn over_http(starter: &RunStarter, invocation: &Invocation) -> Result<Answer, Fault> {
    match function_url::call(&invocation.event, &invocation.request_id) {
        Ok(Call { caller, submitted }) => fulfil(starter, submitted.request, &Caller::Principal(caller), &invocation.request_id).await,
        Err(Rejection { status, message }) => Ok(invalid(status, &message)),
    }
}

fn response(answer: &Answer) -> Value {
    json!({
        "statusCode": answer.status,
        "headers": { "content-type": "application/json", "cache-control": "no-store", "allow": "POST" },
        "body": answer.document.to_string(),
    })
}

async fn fulfil(starter: &RunStarter, request: Request, caller: &Caller, trigger: &str) -> Result<Answer, Fault> {
    let verb = request.verb();
    let answer = answer(starter, request, caller, trigger).await?;
    let (run, status) = (answer.document["run"].as_str(), answer.status);
    tracing::info!(verb, by = %caller, run, status, "request");
    Ok(answer)
}

async fn answer(starter: &RunStarter, request: Request, caller: &Caller, trigger: &str) -> Result<Answer, Fault> {
    let engine = &starter.engine;
    match request {
        Request::Start(start) => {
            let started = starter.request(&start, &name_of(start.id.as_deref(), trigger), caller).await?;
            of_started(engine, started).await
        }
        Request::Retry(Retry { what, id }) => match starter.retry(&what, &name_of(id.as_deref(), trigger), caller).await? {
            Ok(Retried { started, left_out, also }) => {
                let mut answer = of_started(engine, Ok(started)).await?;
                for (key, jobs) in [("left-out", left_out), ("also-repeated", also)] {
                    if !jobs.is_empty() {
                        answer.document[key] = json!(jobs);
                    }
                }
                Ok(answer)
            }
            Err(refused) => match engine.ledger.load::<Run>(what.run()).await? {
                Some(_) => of_started(engine, Err(refused)).await,
                None => Ok(no_run(what.run())),
            },
        },
        Request::CancelRun(run) => cancel(engine, &run, None, caller).await,
        Request::CancelBuild(build) => cancel(engine, &build.run, Some(build.job), caller).await,
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

async fn of_started(engine: &Engine, started: Result<Started, Refused>) -> Result<Answer, Fault> {
    match started {
        Ok(Started::Run { id, .. } | Started::Rejected { id, .. } | Started::Again(id)) => show(engine, &id).await,
        Ok(Started::Nothing(why)) => Ok(error_of(409, &format!("nothing was started: {why}"))),
        Err(Refused(message)) => {
            tracing::warn!(why = message, "the request cannot be fulfilled");
            Ok(error_of(409, &message))
        }
    }
}

async fn cancel(engine: &Engine, run: &RunId, job: Option<JobName>, caller: &Caller) -> Result<Answer, Fault> {
    let event = RunEvent::Cancel {
        job: job.clone(),
        outcome: Outcome::Cancelled,
        cause: format!("cancelled by {caller}"),
    };
    match (engine.run(run, event).await?, job) {
        (Handled::Unknown, _) => Ok(no_run(run)),
        (Handled::Ignored(Ignored::UnknownJob), Some(job)) => Ok(error_of(404, &format!("run {run} has no job {job}"))),
        _ => show(engine, run).await,
    }
}

async fn show(engine: &Engine, id: &RunId) -> Result<Answer, Fault> {
    let Some(run) = engine.ledger.load::<Run>(id).await? else {
        return Ok(no_run(id));
    };
    let builds = engine.ledger.builds_of(id).await?;
    Ok(ok(report::of_run(&run.record, builds.iter().map(|build| &build.record))))
}

async fn list(
    engine: &Engine,
    repository: Option<&RepositoryName>,
    class: Option<RunClass>,
    before: Option<&str>,
) -> Result<Answer, Fault> {
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
    Ok(ok(json!({ "version": 1, "repository": repository, "runs": runs, "next": next })))
}

/// The place of the last run of a page; `None` for a page that is not full, which is the last one.
fn last_of_full(runs: &[Listed], limit: usize) -> Option<String> {
    runs.get(limit - 1).map(Listed::place)
}

fn ok(document: Value) -> Answer {
    Answer { status: 200, document }
}

fn invalid(status: u16, message: &str) -> Answer {
    tracing::warn!(why = message, "invalid request");
    error_of(status, message)
}

fn no_run(run: &RunId) -> Answer {
    error_of(404, &format!("there is no run {run}"))
}

fn error_of(status: u16, message: &str) -> Answer {
    let document = json!({ "error": message });
    Answer { status, document }
}
