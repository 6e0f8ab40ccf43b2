//! Handles backup schedules, requests for backups, and job events of AWS Backup.

use bellhop_domain::backup::{BackupRequest, JobObservation};
use bellhop_engine::{Asked, BackupService, Fault, Handled, Refused};
use bellhop_events::{Event, backup, parse};
use bellhop_runtime::Invocation;
use serde_json::{Map, Value, json};

/// Handles an input. A schedule, or `{"backup":"*"}`, starts all backups; a request with a name starts one. `{"check":"backups"}` checks all backups
/// and returns their states. A job event goes to the backup that started the job. Returns the result of each part, and `{"error": …}` for a request
/// that cannot be fulfilled.
///
/// # Errors
/// If a service cannot be reached now. Retrying the same invocation starts nothing twice.
pub async fn handle(backups: &BackupService, invocation: &Invocation) -> Result<Value, Fault> {
    let parsed = parse(&invocation.event);
    let mut answers = Vec::new();
    let mut fault = None;
    for skipped in &parsed.skipped {
        tracing::info!(what = skipped.what, why = %skipped.why, "acknowledged");
        answers.push(json!({ "skipped": skipped.to_string() }));
    }
    let understood = parsed.events.iter().any(is_ours);
    for (index, event) in parsed.events.into_iter().enumerate() {
        let by = format!("{}/{index}", invocation.request_id);
        let result = match event {
            Event::Schedule(slot) => started(backups, None, slot, &by).await,
            Event::BackupRequest(Ok(BackupRequest::Start { name, slot })) => {
                let name = Some(name.as_str()).filter(|name| *name != backup::ALL);
                started(backups, name, slot, &by).await
            }
            Event::BackupRequest(Ok(BackupRequest::Check)) => checked(backups).await,
            Event::BackupRequest(Err(message)) => {
                tracing::warn!(why = message, "invalid request");
                Ok(json!({ "error": message }))
            }
            Event::BackupJob(seen) => changed(backups, &seen).await,
            Event::WakeUp(records) => bellhop_runtime::take_wake_up(&backups.engine, records).await,
            _ => {
                tracing::info!("acknowledged: an event for another function");
                Ok(json!({ "skipped": "an event for another function" }))
            }
        };
        match result {
            Ok(answer) => answers.push(answer),
            // The first fault is returned for the invocation and logged with it.
            Err(first) if fault.is_none() => fault = Some(first),
            Err(other) => tracing::error!(error = %other, "an event could not be processed"),
        }
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    if !understood && !is_wrapped(&invocation.event) {
        // The input was meant as a request: the parser of requests returns the error.
        answers = backup::request(&invocation.event)
            .err()
            .map(|error| json!({ "error": error }))
            .into_iter()
            .collect();
    }
    let only = answers.len() == 1;
    Ok(if only { answers.remove(0) } else { Value::Array(answers) })
}

fn is_ours(event: &Event) -> bool {
    matches!(
        event,
        Event::Schedule(_) | Event::BackupRequest(_) | Event::BackupJob(_) | Event::WakeUp(_)
    )
}

/// Whether AWS sent the input: no person reads the answer then.
fn is_wrapped(input: &Value) -> bool {
    [
        "detail-type",
        "detailType",
        "Records",
        "Type",
        "Messages",
        "Body",
        "CodePipeline.job",
        "alarmArn",
        "Event",
    ]
    .iter()
    .any(|key| input.get(key).is_some())
}

async fn started(backups: &BackupService, name: Option<&str>, slot: Option<jiff::Timestamp>, by: &str) -> Result<Value, Fault> {
    let asked = backups.start(name, slot, by).await?;
    Ok(answer("started", &asked))
}

/// Checks all backups, and returns their states for the requester.
async fn checked(backups: &BackupService) -> Result<Value, Fault> {
    let asked = backups.check().await?;
    let mut answer = answer("checked", &asked);
    for (name, state) in backups.states().await? {
        answer["backups"][name] = state;
    }
    Ok(answer)
}

async fn changed(backups: &BackupService, seen: &JobObservation) -> Result<Value, Fault> {
    let (kind, id) = (seen.kind.as_str(), &seen.id);
    let (name, result) = match backups.job(seen).await? {
        Some((name, handled)) => (Some(name), described(handled)),
        None => (None, "ignored: this suite did not start the job".to_owned()),
    };
    tracing::info!(backup = name, kind, id, state = ?seen.state, result, "job event");
    Ok(json!({ "backup": name, "kind": kind, "job": id, "result": result }))
}

fn answer(done: &str, asked: &Asked) -> Value {
    let results: Map<String, Value> = asked
        .backups
        .iter()
        .map(|(name, handled)| {
            let result = match handled {
                Handled::Done => done.to_owned(),
                other => described(*other),
            };
            (name.clone(), Value::String(result))
        })
        .collect();
    let mut answer = json!({ "backups": results });
    if let (Some(Refused(why)), Some(object)) = (&asked.refused, answer.as_object_mut()) {
        tracing::warn!(why, "part of the request cannot be fulfilled");
        object.insert("error".to_owned(), Value::String(why.clone()));
    }
    answer
}

fn described(handled: Handled) -> String {
    match handled {
        Handled::Done => "done".to_owned(),
        Handled::Ignored(reason) => format!("ignored: {reason}"),
        Handled::Unknown => "ignored: no such backup".to_owned(),
    }
}
