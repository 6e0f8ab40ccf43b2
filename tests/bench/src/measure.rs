//! The measurements. Contenders take turns, so that what else the machine does falls on all of them alike.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use crate::cases::{Case, Places, done};
use crate::cloud::{Asked, Cloud};
use crate::function::{Function, Program};
use crate::statistics::Summary;

/// How long each answer of AWS takes where reactions are measured.
pub(crate) const DELAY: Duration = Duration::from_millis(5);
/// How many events a process handles before warm ones are measured.
const UNMEASURED: usize = 30;

/// How often each thing is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Often {
    /// Processes of each contender that are started for one event.
    pub(crate) cold: usize,
    /// Processes of each contender that are kept for many.
    pub(crate) rounds: usize,
    /// Events of each of those.
    pub(crate) warm: usize,
    /// Events of each reaction, in one process, and processes for a first one.
    pub(crate) reactions: usize,
}

/// What is measured side by side.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) program: Program,
    pub(crate) case: Case,
    /// What is uploaded, of a function.
    pub(crate) zip: Option<PathBuf>,
}

/// What a contender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A function that does nothing.
    Empty,
    /// One of the functions.
    Function,
    /// The same of an earlier build.
    Before,
    /// A little function in another language.
    Twin,
}

/// What was measured of a contender: cold starts, warm events, or both.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// From the start of the process to its first answer.
    pub(crate) cold_ms: Option<Summary>,
    /// The part of it until the process asked for its first event.
    pub(crate) initialization_ms: Option<Summary>,
    /// The CPU time of the whole.
    pub(crate) cold_cpu_ms: Option<Summary>,
    /// From an event to its answer, once warm.
    pub(crate) warm_ms: Option<Summary>,
    /// Events one after the other in a second, once warm: the reciprocal of the median.
    pub(crate) per_second: Option<f64>,
    /// CPU time for an event, once warm, in each of the processes.
    pub(crate) cpu_per_event_ms: Option<Summary>,
    /// The greatest of all processes.
    pub(crate) peak_mib: f64,
    /// Requests to AWS for one event.
    pub(crate) requests: usize,
    /// Of a compiled contender.
    pub(crate) binary_mib: Option<f64>,
    /// What is uploaded, of a function.
    pub(crate) zip_mib: Option<f64>,
}

/// How long somebody waits for the call that matters.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reaction {
    pub(crate) name: String,
    pub(crate) function: String,
    /// The call, such as `ecs RunTask`.
    pub(crate) deciding: String,
    /// The requests that were answered before it, in the order of arrival.
    pub(crate) before: Vec<String>,
    /// How many of those have to wait for one another.
    pub(crate) round_trips: usize,
    /// From the event's being given to a warm process to the call's arrival.
    pub(crate) warm_ms: Summary,
    /// From the start of a process to the call's arrival.
    pub(crate) cold_ms: Summary,
}

#[derive(Default)]
struct Samples {
    cold: Vec<f64>,
    initialization: Vec<f64>,
    cold_cpu: Vec<f64>,
    warm: Vec<f64>,
    warm_cpu: Vec<f64>,
    peak: f64,
    requests: usize,
}

/// Measures contenders.
pub(crate) async fn figures(contenders: &[Contender], cloud: &Cloud, often: Often) -> anyhow::Result<Vec<Figures>> {
    let mut all: Vec<Samples> = contenders.iter().map(|_| Samples::default()).collect();
    // The first turn only brings the files into memory.
    let turns = if often.cold > 0 { often.cold + 1 } else { 0 };
    for turn in 0..turns {
        for (contender, samples) in contenders.iter().zip(&mut all) {
            cold(contender, cloud, samples, turn > 0)
                .await
                .with_context(|| contender.name.clone())?;
        }
    }
    for _ in 0..often.rounds {
        for (contender, samples) in contenders.iter().zip(&mut all) {
            warm(contender, cloud, samples, often.warm)
                .await
                .with_context(|| contender.name.clone())?;
        }
    }
    let mut figures = Vec::new();
    for (contender, samples) in contenders.iter().zip(all) {
        let warm_ms = Summary::of(samples.warm);
        figures.push(Figures {
            name: contender.name.clone(),
            kind: contender.kind,
            cold_ms: Summary::of(samples.cold),
            initialization_ms: Summary::of(samples.initialization),
            cold_cpu_ms: Summary::of(samples.cold_cpu),
            per_second: warm_ms.map(|warm| 1000.0 / warm.median),
            warm_ms,
            cpu_per_event_ms: Summary::of(samples.warm_cpu),
            peak_mib: samples.peak,
            requests: samples.requests,
            binary_mib: (contender.kind != Kind::Twin)
                .then(|| size_mib(&contender.program.path))
                .transpose()?,
            zip_mib: contender.zip.as_deref().map(size_mib).transpose()?,
        });
    }
    Ok(figures)
}

async fn cold(contender: &Contender, cloud: &Cloud, samples: &mut Samples, counts: bool) -> anyhow::Result<()> {
    cloud.reset(&contender.case.known);
    let mut function = Function::start(&contender.program).await?;
    let answer = function.invoke(&contender.case.event).await?;
    done(&answer)?;
    if counts {
        samples.cold.push(ms(answer.at - function.started));
        samples.initialization.push(ms(function.ready()? - function.started));
        samples.cold_cpu.push(function.cpu_ms()?);
        samples.peak = samples.peak.max(function.peak_mib()?);
        samples.requests = cloud.asked().len();
    }
    function.end().await
}

async fn warm(contender: &Contender, cloud: &Cloud, samples: &mut Samples, events: usize) -> anyhow::Result<()> {
    let mut function = Function::start(&contender.program).await?;
    let mut cpu = 0.0;
    for turn in 0..UNMEASURED + events {
        if turn == UNMEASURED {
            cpu = function.cpu_ms()?;
        }
        let case = contender.case.of_another_run(turn)?;
        cloud.reset(&case.known);
        let given = Instant::now();
        let answer = function.invoke(&case.event).await?;
        if turn >= UNMEASURED {
            samples.warm.push(ms(answer.at - given));
        }
    }
    samples.requests = cloud.asked().len();
    #[expect(clippy::cast_precision_loss, reason = "some hundred events")]
    samples.warm_cpu.push((function.cpu_ms()? - cpu) / events as f64);
    samples.peak = samples.peak.max(function.peak_mib()?);
    function.end().await
}

/// Measures reactions, with every answer of AWS held back.
pub(crate) async fn reactions(cases: &[Case], places: &Places, cloud: &Cloud, often: Often) -> anyhow::Result<Vec<Reaction>> {
    cloud.hold_back(DELAY);
    let mut all = Vec::new();
    for case in cases {
        all.push(reaction(case, places, cloud, often).await.with_context(|| case.name.to_owned())?);
    }
    cloud.hold_back(Duration::ZERO);
    Ok(all)
}

async fn reaction(case: &Case, places: &Places, cloud: &Cloud, often: Often) -> anyhow::Result<Reaction> {
    let program = places.program(case.function);
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..often.reactions {
        cloud.reset(&case.known);
        let mut function = Function::start(&program).await?;
        function.invoke(&case.event).await?;
        let asked = cloud.asked();
        let (_, call) = until(&asked, case.deciding)?;
        cold.push(ms(call.arrived - function.started));
        function.end().await?;
    }
    let mut function = Function::start(&program).await?;
    let mut before = Vec::new();
    for turn in 0..=often.reactions {
        let another = case.of_another_run(turn)?;
        cloud.reset(&another.known);
        let given = Instant::now();
        function.invoke(&another.event).await?;
        let asked = cloud.asked();
        let (earlier, call) = until(&asked, case.deciding)?;
        // The first one is no warm one.
        if turn > 0 {
            warm.push(ms(call.arrived - given));
            before = earlier;
        }
    }
    function.end().await?;
    Ok(Reaction {
        name: case.name.to_owned(),
        function: case.function.to_owned(),
        deciding: case.deciding.to_owned(),
        round_trips: round_trips(&before),
        before: before.into_iter().map(|asked| asked.call).collect(),
        warm_ms: summary(warm)?,
        cold_ms: summary(cold)?,
    })
}

/// What was answered before a call came, and the call. What is asked beside the call does not keep it waiting.
pub(crate) fn until<'a>(asked: &'a [Asked], deciding: &str) -> anyhow::Result<(Vec<Asked>, &'a Asked)> {
    let call = asked.iter().find(|asked| asked.call == deciding);
    let call = call.with_context(|| format!("{deciding} was not called"))?;
    let was_answered = |asked: &&Asked| asked.answered.is_some_and(|answered| answered <= call.arrived);
    Ok((asked.iter().filter(was_answered).cloned().collect(), call))
}

/// How many requests came after one another at the least: the most of them of which no two were under way at once.
fn round_trips(asked: &[Asked]) -> usize {
    let mut by_end: Vec<(Instant, Instant)> = asked.iter().filter_map(|asked| Some((asked.answered?, asked.arrived))).collect();
    by_end.sort();
    let (mut count, mut free) = (0, None);
    for (answered, arrived) in by_end {
        if free.is_none_or(|free| arrived >= free) {
            count += 1;
            free = Some(answered);
        }
    }
    count
}

/// Median and quartiles.
pub(crate) fn summary(values: Vec<f64>) -> anyhow::Result<Summary> {
    Summary::of(values).context("nothing was measured")
}

/// In milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn size_mib(file: &Path) -> anyhow::Result<f64> {
    let bytes = std::fs::metadata(file)
        .with_context(|| format!("cannot read {}", file.display()))?
        .len();
    #[expect(clippy::cast_precision_loss, reason = "files of some MiB")]
    Ok(bytes as f64 / (1024.0 * 1024.0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn requests_side_by_side_are_one_round_trip() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let asked = |arrived, answered| Asked {
            call: String::new(),
            arrived: at(arrived),
            answered: Some(at(answered)),
            body: Value::Null,
            sent: 0,
            received: 0,
            refused: false,
        };
        // One, then three at once, then one.
        let all = [asked(0, 5), asked(6, 11), asked(6, 12), asked(7, 12), asked(13, 18)];
        assert_eq!(round_trips(&all), 3);
        assert_eq!(round_trips(&[]), 0);
    }

    #[test]
    fn what_is_asked_beside_a_call_is_not_before_it() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let asked = |call: &str, arrived, answered| Asked {
            call: call.to_owned(),
            arrived: at(arrived),
            answered: Some(at(answered)),
            body: Value::Null,
            sent: 0,
            received: 0,
            refused: false,
        };
        let all = [
            asked("dynamodb PutItem", 0, 5),
            asked("sns Publish", 6, 11),
            asked("ecs RunTask", 7, 12),
        ];
        let (before, call) = until(&all, "ecs RunTask").unwrap();
        assert_eq!(before.len(), 1);
        assert_eq!(before[0].call, "dynamodb PutItem");
        assert_eq!(call.arrived, at(7));
        assert!(until(&all, "ecs StopTask").is_err());
    }
}
