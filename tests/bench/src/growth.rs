//! What grows with the number of jobs of a run, and with the number of builds that are open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bellhop_stand_in::request_units::Table as Sizes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cases::{Case, Places, done, run_id};
use crate::cloud::{Asked, Cloud, Known, task_arn};
use crate::function::{Answer, Function, cpu_of_ms};
use crate::measure::{ms, summary};
use crate::statistics::Summary;
use crate::table::Item;

/// How many jobs a run has.
const JOBS: [usize; 4] = [1, 10, 100, 200];
/// How many builds are open.
const OPEN: [usize; 3] = [10, 1_000, 100_000];
/// How many due builds one sweep is given, beside those that fall to a minute: what it reads at a time (`shared/engine/src/sweep/mod.rs`).
const MANY: usize = 1_000;
/// How often the sweep looks at a running build, in its own minutes (`CHECK_RUNNING` in `shared/domain/src/build/deadline.rs`).
const LOOK_MINUTES: usize = 5;
/// How many sweeps are measured in each state, after one that is not.
const SWEEPS: usize = 5;
/// The run of the samples, and what in them is about one job of it.
const SAMPLE_RUN: &str = "tntzkamwvn";
const SAMPLE_TASK: &str = "8c2e4a6f0b1d4c3e9a5b7d9f1e3c5a70";

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Growth {
    pub(crate) lives: Vec<Life>,
    pub(crate) sweeps: Vec<Sweep>,
}

/// The whole life of a run of so many jobs: the push, the agents' changes, and the run's report. Everything but the sizes is divided by the jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Life {
    pub(crate) jobs: usize,
    /// Whether all jobs but the first need the first.
    pub(crate) needs: bool,
    /// Requests to DynamoDB for a build, by operation.
    pub(crate) requests: BTreeMap<String, f64>,
    /// Requests to all services for a build.
    pub(crate) all_requests: f64,
    /// Bytes of the bodies of requests to DynamoDB, for a build.
    pub(crate) sent: f64,
    /// Bytes of the bodies of DynamoDB's answers, for a build.
    pub(crate) received: f64,
    /// Write request units for a build, those of the indexes among them.
    pub(crate) write_units: f64,
    /// How often the run's own item is written for a build, and the write units of that.
    pub(crate) run_writes: f64,
    pub(crate) run_write_units: f64,
    /// Read request units for a build.
    pub(crate) read_units: f64,
    /// The largest item that was ever there: its sort key and its bytes.
    pub(crate) largest: (String, u64),
    /// CPU time of the functions for a build.
    pub(crate) cpu_ms: f64,
    /// How long the push took, from the event to the answer.
    pub(crate) push_ms: f64,
}

/// Sweeps of a ledger with so many open builds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sweep {
    pub(crate) open: usize,
    /// How many of them are due.
    pub(crate) due: usize,
    /// How many the sweep looked at.
    pub(crate) advanced: u64,
    /// Requests of one sweep, by service and operation.
    pub(crate) requests: BTreeMap<String, usize>,
    /// Bytes of all its requests' and answers' bodies.
    pub(crate) bytes: u64,
    /// From the event to the answer.
    pub(crate) sweep_ms: Summary,
    /// CPU time of the sweep.
    pub(crate) cpu_ms: Summary,
    /// CPU time of this process meanwhile, which answers for AWS.
    pub(crate) stub_cpu_ms: Summary,
    /// The most memory that the process had, in MiB.
    pub(crate) peak_mib: f64,
}

/// Measures both.
pub(crate) async fn growth(places: &Places, cloud: &Cloud) -> anyhow::Result<Growth> {
    let mut lives = Vec::new();
    for needs in [false, true] {
        for jobs in JOBS.into_iter().filter(|jobs| !needs || *jobs > 1) {
            lives.push(
                life(places, cloud, jobs, needs)
                    .await
                    .with_context(|| format!("a run of {jobs} jobs"))?,
            );
        }
    }
    let pattern = Pattern::make(places, cloud).await.context("a running build")?;
    let mut sweeps = Vec::new();
    for open in OPEN {
        // Nothing, what falls to one minute, and everything, as far as a sweep takes it.
        for due in BTreeSet::from([0, open / LOOK_MINUTES, open.min(MANY)]) {
            let swept = sweep(places, cloud, &pattern, open, due).await;
            sweeps.push(swept.with_context(|| format!("a sweep of {open} open builds, {due} of them due"))?);
        }
    }
    cloud.reset(&Known::default());
    Ok(Growth { lives, sweeps })
}

/// A pipeline file of so many jobs. With `needs`, all but the first need the first.
fn pipeline(jobs: usize, needs: bool) -> String {
    let mut text = "version: 1\njobs:\n".to_owned();
    for job in 0..jobs {
        let needed = if needs && job > 0 { "needs: [job-000], " } else { "" };
        text += &format!("  job-{job:03}: {{ {needed}agent: small, run: make test }}\n");
    }
    text
}

/// The events of a task that ends well, in the order in which EventBridge has them and the template's rule lets them through: the sample, the status, and
/// the version.
const TASK_EVENTS: [(&str, &str, u32); 3] = [
    ("ecs/running.json", "RUNNING", 4),
    ("ecs/deprovisioning.json", "DEPROVISIONING", 7),
    ("ecs/stopped-success.json", "STOPPED", 8),
];

/// An event of a task that a job's first attempt has.
fn task_event(places: &Places, of: (&str, &str, u32), arn: &str, job: &str) -> anyhow::Result<String> {
    let (sample, status, version) = of;
    let text = places.event(sample)?;
    let task = arn.rsplit('/').next().unwrap_or(arn);
    let text = text
        .replace(SAMPLE_TASK, task)
        .replace(&format!("{SAMPLE_RUN}/test"), &format!("{SAMPLE_RUN}/{job}"))
        .replace("\"value\": \"test\"", &format!("\"value\": \"{job}\""));
    let mut event: Value = serde_json::from_str(&text)?;
    event["detail"]["lastStatus"] = json!(status);
    event["detail"]["version"] = json!(version);
    Ok(event.to_string())
}

/// Each of the events of a task, with what the services know before it.
pub(crate) async fn task_cases(places: &Places, cloud: &Cloud) -> anyhow::Result<Vec<Case>> {
    let known = Known::with_pipeline(&pipeline(1, false)).with_own_tasks();
    let mut feed = Feed::start(places, cloud, &known).await?;
    feed.push(places).await?;
    let tasks = launched(cloud);
    let (job, arn) = tasks.first_key_value().context("nothing was launched")?;
    let mut cases = Vec::new();
    for of in TASK_EVENTS {
        let case = Case {
            name: of.1,
            function: "task-state",
            deciding: "",
            event: task_event(places, of, arn, job)?,
            known: cloud.known(),
        };
        feed.task_state.invoke(&case.event).await?;
        cases.push(case);
    }
    feed.end().await?;
    ensure!(is_over(&cloud.known()), "the build did not succeed");
    Ok(cases)
}

/// A sweep that has as much to do as it takes on.
pub(crate) async fn full_sweep(places: &Places, cloud: &Cloud) -> anyhow::Result<Case> {
    Ok(Case {
        name: "1,000 builds due",
        function: "sweep",
        deciding: "",
        event: places.event("schedule/sweep.json")?,
        known: Pattern::make(places, cloud).await?.ledger(MANY, MANY)?,
    })
}

/// The tasks that were launched, with their jobs, in the order of the jobs.
fn launched(cloud: &Cloud) -> BTreeMap<String, String> {
    let tasks = cloud.known().tasks.unwrap_or_default();
    let job = |started_by: &str| started_by.split('/').nth(2).unwrap_or_default().to_owned();
    tasks.into_iter().map(|(arn, started_by)| (job(&started_by), arn)).collect()
}

/// What functions are given, and what the services are asked for it.
struct Feed<'a> {
    cloud: &'a Cloud,
    push: Function,
    task_state: Function,
}

impl<'a> Feed<'a> {
    async fn start(places: &Places, cloud: &'a Cloud, known: &Known) -> anyhow::Result<Self> {
        cloud.reset(known);
        Ok(Self {
            cloud,
            push: Function::start(&places.program("push")).await?,
            task_state: Function::start(&places.program("task-state")).await?,
        })
    }

    async fn push(&mut self, places: &Places) -> anyhow::Result<Answer> {
        let answer = self.push.invoke(&places.event("codecommit/push.json")?).await?;
        done(&answer)?;
        Ok(answer)
    }

    /// Lets all tasks that have come up since the last time run to their end. Gives whether there were any.
    async fn run_tasks(&mut self, places: &Places, over: &mut BTreeSet<String>) -> anyhow::Result<bool> {
        let mut tasks = launched(self.cloud);
        tasks.retain(|job, _| over.insert(job.clone()));
        let [running, rest @ ..] = TASK_EVENTS;
        for (job, arn) in &tasks {
            self.task_state.invoke(&task_event(places, running, arn, job)?).await?;
        }
        for (job, arn) in &tasks {
            for of in rest {
                self.task_state.invoke(&task_event(places, of, arn, job)?).await?;
            }
        }
        Ok(!tasks.is_empty())
    }

    async fn end(self) -> anyhow::Result<()> {
        self.push.end().await?;
        self.task_state.end().await
    }
}

async fn life(places: &Places, cloud: &Cloud, jobs: usize, needs: bool) -> anyhow::Result<Life> {
    let known = Known::with_pipeline(&pipeline(jobs, needs)).with_own_tasks();
    let mut feed = Feed::start(places, cloud, &known).await?;
    // What a start costs is another measurement's: an earlier event warms both up.
    feed.push(places).await?;
    feed.run_tasks(places, &mut BTreeSet::new()).await?;
    cloud.reset(&known);

    let before = feed.push.cpu_ms()? + feed.task_state.cpu_ms()?;
    let given = Instant::now();
    let answer = feed.push(places).await?;
    let push_ms = ms(answer.at - given);
    let mut over = BTreeSet::new();
    while feed.run_tasks(places, &mut over).await? {}
    let cpu = feed.push.cpu_ms()? + feed.task_state.cpu_ms()? - before;
    feed.end().await?;

    let asked = cloud.asked();
    ensure!(over.len() == jobs, "{} of {jobs} jobs were launched", over.len());
    ensure!(is_over(&cloud.known()), "not everything succeeded");
    ensure!(asked.iter().any(is_report), "no report of the run was written");
    let mut life = counted(&asked)?;
    (life.jobs, life.needs) = (jobs, needs);
    life.push_ms = push_ms;
    life.cpu_ms = cpu;
    #[expect(clippy::cast_precision_loss, reason = "up to a hundred jobs")]
    life.divide(jobs as f64);
    Ok(life)
}

/// Whether the run and all its builds have succeeded.
fn is_over(known: &Known) -> bool {
    let mut records = known.table.items().filter(|item| item.contains_key("status")).peekable();
    records.peek().is_some() && records.all(|item| item["status"]["S"] == "succeeded")
}

fn is_report(asked: &Asked) -> bool {
    asked.call == "s3 PutObject"
}

/// What was asked of DynamoDB, in all.
fn counted(asked: &[Asked]) -> anyhow::Result<Life> {
    let mut life = Life {
        jobs: 0,
        needs: false,
        requests: BTreeMap::new(),
        all_requests: 0.0,
        sent: 0.0,
        received: 0.0,
        write_units: 0.0,
        run_writes: 0.0,
        run_write_units: 0.0,
        read_units: 0.0,
        largest: (String::new(), 0),
        cpu_ms: 0.0,
        push_ms: 0.0,
    };
    let mut sizes = Sizes::default();
    for each in asked {
        life.all_requests += 1.0;
        let Some(operation) = each.call.strip_prefix("dynamodb ") else {
            continue;
        };
        *life.requests.entry(operation.to_owned()).or_default() += 1.0;
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        {
            life.sent += each.sent as f64;
            life.received += each.received as f64;
        }
        let units = sizes.take_request(operation, &each.body, each.refused)?;
        life.write_units += units.write;
        if each.body["Item"]["sk"]["S"] == "RUN" {
            life.run_writes += 1.0;
            life.run_write_units += units.write;
        }
        life.read_units += units.read;
        if let Some((sk, bytes)) = sizes.largest().filter(|(_, bytes)| *bytes > life.largest.1) {
            life.largest = (sk.to_owned(), bytes);
        }
    }
    Ok(life)
}

impl Life {
    fn divide(&mut self, by: f64) {
        for value in self.requests.values_mut() {
            *value /= by;
        }
        for value in [
            &mut self.all_requests,
            &mut self.sent,
            &mut self.received,
            &mut self.write_units,
            &mut self.run_writes,
            &mut self.run_write_units,
            &mut self.read_units,
            &mut self.cpu_ms,
        ] {
            *value /= by;
        }
    }
}

/// A running build as real functions have made it, from which others are made.
struct Pattern {
    item: Item,
}

impl Pattern {
    async fn make(places: &Places, cloud: &Cloud) -> anyhow::Result<Self> {
        let known = Known::with_pipeline(&pipeline(1, false)).with_own_tasks();
        let mut feed = Feed::start(places, cloud, &known).await?;
        feed.push(places).await?;
        let tasks = launched(cloud);
        let (job, arn) = tasks.first_key_value().context("nothing was launched")?;
        feed.task_state.invoke(&task_event(places, TASK_EVENTS[0], arn, job)?).await?;
        feed.end().await?;
        let known = cloud.known();
        let build = known
            .table
            .items()
            .find(|item| item["status"]["S"] == "running" && item["sk"]["S"] != "RUN");
        Ok(Self {
            item: build.cloned().context("no build is running")?,
        })
    }

    /// The ledger with so many builds, each of a run of its own, of which so many are due. Everything else is due within the next minutes.
    fn ledger(&self, open: usize, due: usize) -> anyhow::Result<Known> {
        let now = Timestamp::now();
        let look = SignedDuration::from_mins(i64::try_from(LOOK_MINUTES)?);
        let mut known = Known::default().with_own_tasks();
        let tasks = known.tasks.get_or_insert_default();
        let text = self.item["doc"]["S"].as_str().context("a build without a document")?;
        for number in 0..open {
            let (run, arn) = (run_id(number), task_arn(number));
            let text = text.replace(SAMPLE_RUN, &run).replace(&task_arn(0), &arn);
            let mut doc: Value = serde_json::from_str(&text)?;
            let spread = SignedDuration::from_millis(i64::try_from(number % 100_000)?);
            let due_at = if number < due { now - spread } else { now + look + spread };
            let attempt = &mut doc["attempts"][0];
            ensure!(
                attempt["checked"].is_string() && attempt["started"].is_string(),
                "a running attempt reads {attempt}"
            );
            attempt["checked"] = json!((due_at - look).to_string());
            attempt["started"] = json!((due_at - look).to_string());
            let mut item = self.item.clone();
            let build = doc["spec"]["id"].as_str().context("a build without an id")?;
            tasks.insert(arn, format!("bellhop/{build}/1"));
            item.insert("doc".to_owned(), json!({ "S": doc.to_string() }));
            item.insert("pk".to_owned(), json!({ "S": format!("RUN#{run}") }));
            let shard = run.bytes().fold(0_u8, u8::wrapping_add) % 4;
            item.insert("due_shard".to_owned(), json!({ "S": format!("due#{shard}") }));
            item.insert("due_at".to_owned(), json!({ "N": due_at.as_millisecond().to_string() }));
            known.table.insert(item);
        }
        Ok(known)
    }
}

async fn sweep(places: &Places, cloud: &Cloud, pattern: &Pattern, open: usize, due: usize) -> anyhow::Result<Sweep> {
    let event = places.event("schedule/sweep.json")?;
    let known = pattern.ledger(open, due)?;
    let mut function = Function::start(&places.program("sweep")).await?;
    let (mut sweep_ms, mut cpu_ms, mut stub_cpu_ms) = (Vec::new(), Vec::new(), Vec::new());
    let mut advanced = 0;
    for turn in 0..=SWEEPS {
        cloud.reset(&known);
        let (cpu, stub) = (function.cpu_ms()?, cpu_of_ms("self")?);
        let given = Instant::now();
        let answer = function.invoke(&event).await?;
        if turn > 0 {
            sweep_ms.push(ms(answer.at - given));
            cpu_ms.push(function.cpu_ms()? - cpu);
            stub_cpu_ms.push(cpu_of_ms("self")? - stub);
        }
        let said: Value = serde_json::from_str(&answer.text)?;
        advanced = said["advanced"].as_u64().context("a sweep does not say how much it advanced")?;
        ensure!(
            said["due"] == due && advanced == due as u64 && said["left"] == 0,
            "the sweep answered {said}"
        );
    }
    let asked = cloud.asked();
    let mut requests = BTreeMap::new();
    for each in &asked {
        *requests.entry(each.call.clone()).or_default() += 1;
    }
    let peak_mib = function.peak_mib()?;
    function.end().await?;
    Ok(Sweep {
        open,
        due,
        advanced,
        requests,
        bytes: asked.iter().map(|asked| asked.sent + asked.received).sum(),
        sweep_ms: summary(sweep_ms)?,
        cpu_ms: summary(cpu_ms)?,
        stub_cpu_ms: summary(stub_cpu_ms)?,
        peak_mib,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn asked(operation: &str, body: Value, refused: bool) -> Asked {
        Asked {
            call: format!("dynamodb {operation}"),
            arrived: Instant::now(),
            answered: None,
            body,
            sent: 100,
            received: 2,
            refused,
        }
    }

    #[test]
    fn requests_are_counted_and_divided_among_the_builds() {
        let item = |size: usize| json!({ "Item": { "pk": { "S": "RUN#r" }, "sk": { "S": "RUN" }, "doc": { "S": "x".repeat(size) } } });
        let all = [
            asked("PutItem", item(2000), false),
            asked("PutItem", item(100), false),
            // Costs what is there, and changes nothing.
            asked("PutItem", item(9000), true),
            Asked {
                call: "ecs RunTask".to_owned(),
                ..asked("", json!({}), false)
            },
        ];
        let mut life = counted(&all).unwrap();
        assert_eq!(life.write_units, 2.0 + 2.0 + 1.0);
        assert_eq!((life.run_writes, life.run_write_units), (3.0, life.write_units));
        // pk, RUN#r, sk, RUN and doc are 15 bytes.
        assert_eq!(life.largest, ("RUN".to_owned(), 2015));
        life.divide(2.0);
        assert_eq!(life.requests, BTreeMap::from([("PutItem".to_owned(), 1.5)]));
        assert_eq!((life.all_requests, life.sent, life.received), (2.0, 150.0, 3.0));
    }

    #[test]
    fn runs_have_ids_of_their_own() {
        let ids: BTreeSet<String> = (0..5_000).map(run_id).collect();
        assert_eq!(ids.len(), 5_000);
        assert!(ids.iter().all(|id| id.len() == 10));
    }

    #[test]
    fn all_jobs_but_the_first_need_the_first() {
        assert_eq!(pipeline(1, true), pipeline(1, false));
        assert_eq!(pipeline(3, true).matches("needs: [job-000]").count(), 2);
    }
}
