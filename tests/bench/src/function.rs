//! A function's own process, served by Lambda's Runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// How long an invocation may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an invocation may take by what the function is told.
const DEADLINE: Duration = Duration::from_secs(60);

/// How a function is started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Nothing else is inherited.
    pub(crate) environment: Vec<(String, String)>,
}

/// A running function. Ends when it is dropped.
pub(crate) struct Function {
    process: Child,
    /// Just before the process was made.
    pub(crate) started: Instant,
    inputs: mpsc::Sender<String>,
    answers: mpsc::Receiver<Answer>,
    ready: Arc<OnceLock<Instant>>,
    server: JoinHandle<()>,
}

/// What a function answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// `response` or `error`.
    what: String,
    /// When the answer had arrived.
    pub(crate) at: Instant,
    pub(crate) text: String,
}

#[derive(Clone)]
struct Api {
    inputs: Arc<Mutex<mpsc::Receiver<String>>>,
    ready: Arc<OnceLock<Instant>>,
    answers: mpsc::Sender<Answer>,
}

impl Function {
    /// Starts a process.
    pub(crate) async fn start(program: &Program) -> anyhow::Result<Self> {
        let (inputs, waiting) = mpsc::channel(1);
        let (answering, answers) = mpsc::channel(1);
        let ready = Arc::new(OnceLock::new());
        let api = Api {
            ready: Arc::clone(&ready),
            inputs: Arc::new(Mutex::new(waiting)),
            answers: answering,
        };
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(answered))
            .route("/2018-06-01/runtime/init/error", post(not_started))
            .with_state(api);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            // Small answers would wait for acknowledgements; without it they only get slower.
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, routes).await;
        });
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let started = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        Ok(Self {
            process,
            started,
            inputs,
            answers,
            ready,
            server,
        })
    }

    /// Gives the process an event, and waits for its answer, which must be no error.
    pub(crate) async fn invoke(&mut self, event: &str) -> anyhow::Result<Answer> {
        self.inputs.send(event.to_owned()).await?;
        let answer = tokio::select! {
            answer = tokio::time::timeout(PATIENCE, self.answers.recv()) => answer.context("no answer in time")?.context("no server")?,
            ended = self.process.wait() => bail!("the process ended instead of answering: {}", ended?),
        };
        ensure!(answer.what == "response", "the function answered with an error: {}", answer.text);
        Ok(answer)
    }

    /// When the process asked for its first event: what Lambda calls its initialization was over.
    pub(crate) fn ready(&self) -> anyhow::Result<Instant> {
        self.ready.get().copied().context("the process has not asked for an event")
    }

    /// The same, once it has: gives up after a while.
    pub(crate) async fn until_ready(&self) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        while self.ready.get().is_none() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.ready()
    }

    /// The CPU time of all threads so far, in milliseconds, as the scheduler counts it.
    pub(crate) fn cpu_ms(&self) -> anyhow::Result<f64> {
        cpu_of_ms(&self.id()?.to_string())
    }

    /// The most memory that the process has had so far, in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }

    /// Ends the process and waits for its end, so that it takes nothing from the next one.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("cannot end a function")
    }

    /// The process id.
    pub(crate) fn id(&self) -> anyhow::Result<u32> {
        self.process.id().context("the process has ended")
    }
}

/// The CPU time of all threads of a process so far, in milliseconds: of one that is named by its id, or of `self`.
pub(crate) fn cpu_of_ms(process: &str) -> anyhow::Result<f64> {
    let mut nanoseconds = 0_u64;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let spent = text.split_whitespace().next().context("schedstat is empty")?;
        nanoseconds += spent.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64() * 1000.0)
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(api): State<Api>) -> Result<impl IntoResponse, StatusCode> {
    // Only the first time counts.
    let _ = api.ready.set(Instant::now());
    let input = api.inputs.lock().await.recv().await.ok_or(StatusCode::GONE)?;
    let deadline = Timestamp::now().as_millisecond() + i64::try_from(DEADLINE.as_millis()).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(
        "lambda-runtime-aws-request-id",
        HeaderValue::from_static("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
    );
    headers.insert("lambda-runtime-deadline-ms", HeaderValue::from(deadline));
    headers.insert(
        "lambda-runtime-invoked-function-arn",
        HeaderValue::from_static("arn:aws:lambda:us-east-1:123456789012:function:bench"),
    );
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Ok((headers, input))
}

async fn answered(State(api): State<Api>, Path((_, what)): Path<(String, String)>, text: String) -> StatusCode {
    take(&api, what, text).await
}

async fn not_started(State(api): State<Api>, text: String) -> StatusCode {
    take(&api, "init error".to_owned(), text).await
}

async fn take(api: &Api, what: String, text: String) -> StatusCode {
    let at = Instant::now();
    // An error says that the benchmark has gone on without this process.
    let _ = api.answers.send(Answer { what, at, text }).await;
    StatusCode::ACCEPTED
}
