//! What each function is given, and what its world is like before that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Known};
use crate::function::{Answer, Function, Program};

/// The suite configuration.
pub(crate) const CONFIGURATION: &str = "
version: 1
agents:
  small:
    ecs:
      clusters: { spot: ci-spot, on-demand: ci-main }
      task-definition: bellhop-agent-small
      subnets: [subnet-0a]
  docker:
    codebuild: { project: ci-docker }
";
/// The pipeline files.
const ON_ECS: &str = "version: 1\njobs:\n  test: { agent: small, run: make test }\n";
const ON_CODEBUILD: &str = "version: 1\njobs:\n  image: { agent: docker, run: make image }\n";
const ON_BOTH: &str = "version: 1\njobs:\n  test: { agent: small, run: make test }\n  image: { agent: docker, run: make image }\n";
/// The run that the samples are about.
const SAMPLE_RUN: &str = "tntzkamwvn";
/// Parts of an answer that would say that nothing was done.
const NOTHING_DONE: [&str; 6] = [
    "\"ignored:",
    "\"skipped\"",
    "\"error\"",
    "\"nothing\"",
    "\"again\"",
    "\"rejected\":\"",
];

/// How far ahead of now a warning of EC2's is dated.
const AHEAD: Duration = Duration::from_secs(60 * 60);

/// What happened before an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The table is empty.
    Nothing,
    /// `codecommit/push.json` was handled.
    Push,
    /// That, and `ecs/running.json`.
    Running,
    /// `codepipeline/job.json` was handled.
    Action,
}

/// One event for one function.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What it is, for people.
    pub(crate) name: &'static str,
    /// The function that gets it.
    pub(crate) function: &'static str,
    /// The call that it is all about, as the journal names it; empty where none is.
    pub(crate) deciding: &'static str,
    pub(crate) event: String,
    /// What the services know before it.
    pub(crate) known: Known,
}

impl Case {
    /// The same event of another run, one for each number: a function that gets an event of the same build again has it in its memory.
    pub(crate) fn of_another_run(&self, number: usize) -> anyhow::Result<Self> {
        let runs: BTreeSet<&str> = self.known.runs().collect();
        let mut runs = runs.into_iter();
        let (Some(run), None) = (runs.next(), runs.next()) else {
            return Ok(self.clone());
        };
        let other = run_id(number);
        Ok(Self {
            event: self.event.replace(run, &other),
            known: self.known.renamed(run, &other)?,
            ..self.clone()
        })
    }
}

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The folder of the functions' binaries.
    pub(crate) functions: PathBuf,
    /// The folder of the samples.
    pub(crate) events: PathBuf,
    /// The services' base URL.
    pub(crate) url: String,
    /// The file of trusted roots; Amazon's, which are in the functions, without it.
    pub(crate) roots: Option<PathBuf>,
}

impl Places {
    /// How a function is started.
    pub(crate) fn program(&self, function: &str) -> Program {
        self.started_as(self.functions.join(function), &[])
    }

    /// How something else is started in the same environment.
    pub(crate) fn started_as(&self, path: PathBuf, arguments: &[&Path]) -> Program {
        let suite = [
            ("BELLHOP_TABLE", "bellhop"),
            ("BELLHOP_BUCKET", "bellhop"),
            ("BELLHOP_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:bellhop"),
            ("BELLHOP_WAKE_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:bellhop-wake"),
            (
                "BELLHOP_TIMER_QUEUE_URL",
                "https://sqs.us-east-1.amazonaws.com/123456789012/bellhop-timers",
            ),
            ("BELLHOP_SUITE", "bellhop"),
            ("BELLHOP_TABLE_ARN", "arn:aws:dynamodb:us-east-1:123456789012:table/bellhop"),
            ("BELLHOP_BACKUP_VAULT", "bellhop"),
            ("BELLHOP_BACKUP_ROLE_ARN", "arn:aws:iam::123456789012:role/backup"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
            ("AWS_SESSION_TOKEN", "bench"),
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ];
        let mut environment = suite.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        // Reading the trusted roots is a part of a cold start.
        environment.extend(
            self.roots
                .iter()
                .map(|roots| ("SSL_CERT_FILE".to_owned(), roots.display().to_string())),
        );
        Program {
            path,
            arguments: arguments.iter().map(|argument| argument.display().to_string()).collect(),
            environment,
        }
    }

    /// A sample's text. Its agent has started just now: one that has run for longer than its job's timeout would also get a timer.
    pub(crate) fn event(&self, sample: &str) -> anyhow::Result<String> {
        let path = self.events.join(sample);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut event: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        let now = Timestamp::now();
        let starts = [
            ("/detail/startedAt", now.to_string()),
            (
                "/detail/additional-information/build-start-time",
                now.strftime("%b %-d, %Y %-I:%M:%S %p").to_string(),
            ),
        ];
        for (path, start) in starts {
            if let Some(time) = event.pointer_mut(path) {
                *time = start.into();
            }
        }
        Ok(format!("{event:#}"))
    }

    /// One event for each function, whose handling calls AWS.
    pub(crate) async fn one_each(&self, cloud: &Cloud) -> anyhow::Result<Vec<Case>> {
        let cases = [
            ("push", "codecommit/push.json", Before::Nothing),
            ("task-state", "ecs/spot-warning.json", Before::Running),
            ("build-state", "codebuild/provisioned.json", Before::Push),
            ("spot-interruption", "ec2/spot-warning.json", Before::Running),
            ("alarm", "alarm/alarm.json", Before::Nothing),
            ("pipeline", "codepipeline/job.json", Before::Nothing),
            ("control", "control/show.json", Before::Push),
            ("backup", "schedule/backups.json", Before::Nothing),
            // Nothing is due, and nothing comes to be while others are measured.
            ("sweep", "schedule/sweep.json", Before::Nothing),
        ];
        let mut all = Vec::new();
        for (function, sample, before) in cases {
            all.push(self.case(cloud, sample, function, sample, before, ON_BOTH, "").await?);
        }
        Ok(all)
    }

    /// The events that somebody waits for, each with the call that answers them.
    pub(crate) async fn reactions(&self, cloud: &Cloud) -> anyhow::Result<Vec<Case>> {
        let cases = [
            (
                "Spot warning of Fargate",
                "task-state",
                "ecs/spot-warning.json",
                Before::Running,
                ON_ECS,
                "ecs RunTask",
            ),
            (
                "Spot warning of EC2",
                "spot-interruption",
                "ec2/spot-warning.json",
                Before::Running,
                ON_ECS,
                "ecs RunTask",
            ),
            (
                "push, agent on ECS",
                "push",
                "codecommit/push.json",
                Before::Nothing,
                ON_ECS,
                "ecs RunTask",
            ),
            (
                "push, agent on CodeBuild",
                "push",
                "codecommit/push.json",
                Before::Nothing,
                ON_CODEBUILD,
                "codebuild StartBuild",
            ),
            (
                "end of a pipeline's task",
                "task-state",
                "ecs/stopped-success.json",
                Before::Action,
                ON_ECS,
                "codepipeline PutJobSuccessResult",
            ),
        ];
        let mut all = Vec::new();
        for (name, function, sample, before, pipeline, deciding) in cases {
            all.push(self.case(cloud, name, function, sample, before, pipeline, deciding).await?);
        }
        Ok(all)
    }

    #[expect(clippy::too_many_arguments, reason = "a case has so many parts")]
    async fn case(
        &self,
        cloud: &Cloud,
        name: &'static str,
        function: &'static str,
        sample: &str,
        before: Before,
        pipeline: &'static str,
        deciding: &'static str,
    ) -> anyhow::Result<Case> {
        let mut event = self.event(sample)?;
        if sample.starts_with("ec2/") {
            // A warning is over after its two minutes; the benchmarks take longer.
            let mut ahead: Value = serde_json::from_str(&event)?;
            ahead["time"] = json!(Timestamp::now().checked_add(AHEAD)?.to_string());
            event = ahead.to_string();
        }
        cloud.reset(&Known::with_pipeline(pipeline));
        let push = ("push", "codecommit/push.json");
        let earlier = match before {
            Before::Nothing => vec![],
            Before::Push => vec![push],
            Before::Running => vec![push, ("task-state", "ecs/running.json")],
            Before::Action => vec![("pipeline", "codepipeline/job.json")],
        };
        for (function, sample) in earlier {
            let mut function = Function::start(&self.program(function)).await?;
            done(&function.invoke(&self.event(sample)?).await?)?;
            function.end().await?;
        }
        if before == Before::Action {
            // The samples are about another run.
            let launched = cloud.asked().into_iter().find(|asked| asked.call == "ecs RunTask");
            let launched = launched.context("the action's run launched nothing")?;
            let run = launched.body["startedBy"]
                .as_str()
                .and_then(|started_by| started_by.split('/').nth(1));
            event = event.replace(SAMPLE_RUN, run.context("a task without an attempt's name")?);
        }
        let case = Case {
            name,
            function,
            deciding,
            event,
            known: cloud.known(),
        };
        // Whatever is measured has to be the work itself.
        cloud.reset(&case.known);
        let mut function = Function::start(&self.program(case.function)).await?;
        let answer = function.invoke(&case.event).await?;
        function.end().await?;
        done(&answer).with_context(|| format!("{name}: {:?}", cloud.asked()))?;
        ensure!(!cloud.asked().is_empty(), "{name}: no call of AWS");
        Ok(case)
    }
}

/// Ten letters and digits, another run's for each number.
pub(crate) fn run_id(mut number: usize) -> String {
    let mut id = Vec::new();
    for _ in 0..10 {
        id.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[number % 32]));
        number /= 32;
    }
    id.into_iter().rev().collect()
}

/// Whether an answer says that something was done.
pub(crate) fn done(answer: &Answer) -> anyhow::Result<()> {
    let word = NOTHING_DONE.iter().find(|word| answer.text.contains(**word));
    ensure!(word.is_none(), "the answer is {}", answer.text);
    Ok(())
}
