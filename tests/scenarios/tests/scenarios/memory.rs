//! Inputs that are made to use memory up, given to the real binary in a process that has no more of it than the template gives.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bellhop_scenarios::{Environment, World};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

/// `MemorySize` of the functions in infra/template.yaml.
const MEMORY_MIB: u64 = 256;
/// The largest input that Lambda takes.
const LARGEST_INPUT: usize = 6 * 1024 * 1024;
/// How long an input may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A function's own process, served by Lambda's Runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).
struct Function {
    process: Child,
    inputs: mpsc::Sender<String>,
    answers: mpsc::Receiver<(String, String)>,
}

#[derive(Clone)]
struct Api {
    inputs: Arc<Mutex<mpsc::Receiver<String>>>,
    answers: mpsc::Sender<(String, String)>,
}

impl Function {
    /// Starts `push` with so many MiB of memory for its data.
    async fn start(world: &World, mib: u64) -> Self {
        let (inputs, waiting) = mpsc::channel(1);
        let (answering, answers) = mpsc::channel(1);
        let api = Api {
            inputs: Arc::new(Mutex::new(waiting)),
            answers: answering,
        };
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(answered))
            .with_state(api);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let process = Command::new("bash")
            .args(["-c", &format!("ulimit -d {} && exec \"$0\"", mib * 1024)])
            .arg(Environment::binaries().join("push"))
            .env_clear()
            .envs(world.environment())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "push")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", mib.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { process, inputs, answers }
    }

    /// Gives the process an input, and gives whether it answered with `response` or `error`, and the answer; or how the process ended instead.
    async fn invoke(&mut self, input: String) -> Result<(String, String), ExitStatus> {
        self.inputs.send(input).await.unwrap();
        tokio::select! {
            answer = tokio::time::timeout(PATIENCE, self.answers.recv()) => Ok(answer.unwrap().unwrap()),
            ended = self.process.wait() => Err(ended.unwrap()),
        }
    }

    /// The most memory that the process has had so far, in KiB; where the machine tells it.
    fn peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

async fn next(State(api): State<Api>) -> impl IntoResponse {
    let input = api.inputs.lock().await.recv().await.unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(
        "lambda-runtime-aws-request-id",
        "8476a536-e9f4-11e8-9739-2dfe598c3fcd".parse().unwrap(),
    );
    headers.insert("lambda-runtime-deadline-ms", "4102444800000".parse().unwrap());
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:push";
    headers.insert("lambda-runtime-invoked-function-arn", arn.parse().unwrap());
    (headers, input)
}

async fn answered(State(api): State<Api>, Path((_, what)): Path<(String, String)>, body: String) {
    api.answers.send((what, body)).await.unwrap();
}

/// Inputs of the largest size, as unpleasant as can be.
fn inputs() -> Vec<(&'static str, String)> {
    let fill = |unit: &str, room: usize| unit.repeat(room / unit.len());
    let room = LARGEST_INPUT - 200;
    let mut wrapped = "x".repeat(1000);
    while wrapped.len() < LARGEST_INPUT / 3 {
        wrapped = json!({ "Records": [{ "eventSource": "aws:sqs", "body": wrapped }] }).to_string();
    }
    vec![
        ("a long text", format!("\"{}\"", fill("x", room))),
        ("a list of lists", format!("[{}]", fill("[],", room).trim_end_matches(','))),
        ("lists in lists", format!("{}{}", fill("[", room / 2), fill("]", room / 2))),
        (
            "objects in objects",
            format!("{}1{}", fill("{\"a\":", room / 2), fill("}", room / 10)),
        ),
        ("many records", format!("{{\"Records\":[{}{{}}]}}", fill("{},", room))),
        (
            "many broken pushes",
            format!("{{\"Records\":[{}{{}}]}}", fill("{\"eventSource\":\"aws:codecommit\"},", room)),
        ),
        ("wrappings in wrappings", wrapped),
        (
            "many fields",
            format!("{{{}\"z\":1}}", (0..300_000).map(|i| format!("\"f{i}\":{i},")).collect::<String>()),
        ),
        ("no JSON", fill("{", room)),
    ]
}

/// Pipeline files that are small or large and become much larger.
fn files() -> Vec<(&'static str, String)> {
    let mut bomb = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..30 {
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(", ")));
    }
    let mut variables = format!(
        "version: 1\njobs:\n  test:\n    agent: small\n    run: x\n    environment:\n      A: &a {}\n",
        "x".repeat(200_000)
    );
    for i in 0..4000 {
        variables.push_str(&format!("      A{i}: *a\n"));
    }
    vec![
        ("aliases of aliases", bomb),
        ("aliases of a long text", variables),
        ("lists in lists", format!("version: 1\njobs: {}", "[".repeat(250 * 1024))),
        ("keys in keys", format!("version: 1\njobs: {}", "{a: ".repeat(60 * 1024))),
        ("a huge file", format!("version: 1\njobs: # {}", "x".repeat(5 * 1024 * 1024))),
    ]
}

#[tokio::test]
async fn nothing_that_is_given_to_a_function_uses_its_memory_up() {
    let world = World::new().await;
    let mut function = Function::start(&world, MEMORY_MIB).await;
    for (what, input) in inputs() {
        assert!(input.len() <= LARGEST_INPUT, "{what}: {}", input.len());
        let (kind, answer) = function.invoke(input).await.unwrap_or_else(|ended| panic!("{what}: {ended}"));
        // What is nested beyond every reader's bound is no input to any handler: the runtime itself refuses it.
        let refused = ["lists in lists", "objects in objects", "no JSON"].contains(&what);
        assert_eq!(kind == "error", refused, "{what}: {answer:.200}");
        assert!(answer.len() < LARGEST_INPUT, "{what}: {kind} of {} bytes", answer.len());
    }
    for (what, file) in files() {
        let push = world.commit(&[(".bellhop.yaml", &file)], what).await;
        let answer = function.invoke(push.to_string()).await;
        let (kind, answer) = answer.unwrap_or_else(|ended| panic!("{what}: {ended}"));
        assert!(
            kind == "response" && answer.contains("rejected") && answer.len() < 2000,
            "{what}: {kind} {answer}"
        );
    }
    // The same process goes on as if nothing had been.
    let good = "version: 1\njobs:\n  test: { agent: small, run: x }\n";
    let push = world.commit(&[(".bellhop.yaml", good)], "Good").await;
    let (_, answer) = function.invoke(push.to_string()).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer[0]["builds"], 1, "{answer}");
    if let Some(peak) = function.peak_kib() {
        assert!(peak < MEMORY_MIB * 1024, "{peak} KiB at its peak");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_has_too_little_memory_is_seen_to_end() {
    let world = World::new().await;
    let mut function = Function::start(&world, 12).await;
    let mut ended = None;
    for (_, input) in inputs() {
        if let Err(status) = function.invoke(input).await {
            ended = Some(status);
            break;
        }
    }
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?}");
}
