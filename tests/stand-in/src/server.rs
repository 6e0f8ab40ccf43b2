//! The server: one connection after another, one request after another, each answered here or forwarded.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::calls::Call;
use crate::faults::Fault;
use crate::record::{Exchange, Recorder};
use crate::replies::{Answer, AwsError};
use crate::{Cloud, codebuild, control, replies};

/// Marks a response in whose place the connection is to be cut.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct Cut;

/// Accepts connections until it is dropped, which ends them all.
///
/// axum's own server cannot cut a connection without an answer, and a lost reply must not look like an answer.
pub(crate) async fn serve(listener: TcpListener, cloud: Cloud) {
    let router = control::routes().fallback(answer).with_state(cloud);
    let service = TowerToHyperService::new(router);
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        // Small requests and answers would wait for each other's acknowledgements; without it they only get slower.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let per_request = service_fn(move |request: Request<Incoming>| {
            let answer = service.call(request.map(Body::new));
            async move {
                let response = match answer.await {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                match response.extensions().get::<Cut>() {
                    Some(cut) => Err(cut.clone()),
                    None => Ok(response),
                }
            }
        });
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), per_request);
            // A connection ends with an error whenever it is cut, by either side.
            if let Err(error) = connection.await {
                tracing::debug!("connection: {error}");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one AWS request.
async fn answer(State(cloud): State<Cloud>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        // The caller went away in the middle of its request.
        return Ok(cut());
    };
    // In a task of its own: AWS goes on with what it has received, also when the caller hangs up.
    let work = tokio::spawn(async move { work(&cloud, &parts, body).await });
    Ok(work.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
}

fn cut() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}

/// What comes of a request.
struct Work {
    response: Response<Body>,
    /// What the journal adds to the summary.
    note: Option<String>,
    /// Whether the upstream has answered.
    is_forwarded: bool,
}

async fn work(cloud: &Cloud, parts: &Parts, body: Bytes) -> Response<Body> {
    let call = Call::identify(parts, &body);
    let mut entry = cloud.journal.arrived(&call);
    let fault = cloud.faults.pick(&call, |capacity| cloud.ecs.live(capacity));
    entry.fault = fault.as_ref().map(|fault| fault.name().to_owned());

    if let Some(Fault::Delay(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let refusal = fault.as_ref().and_then(|fault| refusal(cloud, fault, &call));
    let work = match refusal {
        Some(response) => Work::here(response, None),
        None => {
            let work = perform(cloud, &call, parts, body.clone()).await;
            if let Some(note) = &work.note {
                entry.summary = format!("{} {note}", entry.summary);
            }
            match fault {
                Some(Fault::LoseReply) => Work::here(cut(), None),
                _ => work,
            }
        }
    };
    let Work {
        mut response,
        is_forwarded,
        ..
    } = work;
    if response.extensions().get::<Cut>().is_none() {
        entry.status = Some(response.status().as_u16());
    }
    if let Some(recorder) = &cloud.recorder {
        response = record(recorder, &call, parts, &body, entry.fault.as_deref(), response, is_forwarded).await;
    }
    cloud.journal.answered(entry);
    response
}

impl Work {
    /// What is answered here.
    fn here(response: Response<Body>, note: Option<String>) -> Self {
        Self {
            response,
            note,
            is_forwarded: false,
        }
    }
}

/// Records a request with its response, whose body has to be read for that, and gives the same response.
async fn record(
    recorder: &Recorder,
    call: &Call,
    parts: &Parts,
    body: &Bytes,
    fault: Option<&str>,
    response: Response<Body>,
    is_forwarded: bool,
) -> Response<Body> {
    let is_cut = response.extensions().get::<Cut>().is_some();
    let (head, content) = response.into_parts();
    // It is in memory already.
    let content = axum::body::to_bytes(content, usize::MAX).await.unwrap_or_default();
    recorder.exchange(&Exchange {
        call,
        parts,
        body,
        fault,
        status: (!is_cut).then_some(head.status),
        answer: (!is_cut && !is_forwarded).then_some((&head.headers, &content)),
    });
    Response::from_parts(head, content.into())
}

/// The answer of a request that must not take effect.
fn refusal(cloud: &Cloud, fault: &Fault, call: &Call) -> Option<Response<Body>> {
    let error = match fault {
        Fault::LoseReply | Fault::Delay(_) => return None,
        Fault::Refuse => return Some(cut()),
        Fault::NoCapacity => return Some(replies::success(call, &cloud.ecs.has_no_capacity(call))),
        Fault::Throttle => AwsError::throttle(call),
        Fault::DisguisedThrottle => AwsError::client("ClientException", "Rate exceeded"),
        Fault::ServerError => AwsError::server(call),
        Fault::AccountLimit if call.service == "codebuild" => codebuild::queue_is_full(0),
        Fault::AccountLimit => AwsError::client(
            "ClientException",
            "You've reached the limit on the number of tasks you can run concurrently",
        ),
        Fault::Error { status, code, message } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
            AwsError::new(status, code, message)
        }
    };
    Some(error.respond(call))
}

/// Lets the request take effect.
async fn perform(cloud: &Cloud, call: &Call, parts: &Parts, body: Bytes) -> Work {
    // Of other callers, the upstream knows more.
    if (call.service.as_str(), call.operation.as_str()) == ("sts", "GetCallerIdentity")
        && let Some(identity) = call.access_key.as_deref().and_then(|key| cloud.ecs.caller_identity(key))
    {
        return Work::here(replies::xml(identity), None);
    }
    let answer = match call.service.as_str() {
        "ecs" => cloud.ecs.answer(call),
        "codecommit" => cloud.codecommit.answer(call).await,
        "codebuild" => cloud.codebuild.answer(call),
        "states" => cloud.step_functions.answer(call),
        "codepipeline" => cloud.codepipeline.answer(call),
        "backup" if !cloud.backup.hands_on(call, parts.uri.path()) => {
            let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
            cloud.backup.answer(call, &parts.method, path, query, &body)
        }
        "cloudcontrolapi" => cloud.backup.answer_cloud_control(call),
        "lambda" if cloud.lambda.answers(&parts.method, parts.uri.path()) => {
            return match cloud.lambda.answer(call, parts).await {
                Ok(reply) => Work::here(reply.respond(), reply.note),
                Err(error) => Work::here(error.respond(call), Some(format!("({error})"))),
            };
        }
        "monitoring" if cloud.cloudwatch.answers(call, &cloud.upstream) => cloud.cloudwatch.answer(call),
        _ => {
            let response = cloud.upstream.forward(parts, body).await;
            return Work {
                response: response.unwrap_or_else(|error| error.respond(call)),
                note: None,
                is_forwarded: true,
            };
        }
    };
    match answer {
        Ok(Answer { body, note }) => Work::here(replies::success(call, &body), note),
        Err(error) => Work::here(error.respond(call), Some(format!("({error})"))),
    }
}
