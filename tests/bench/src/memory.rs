//! What a function costs and how fast it is with each size of memory, which is how Lambda sells CPU time.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use crate::cases::{Case, Places};
use crate::cloud::Cloud;
use crate::function::Function;
use crate::growth;
use crate::measure::{DELAY, ms, summary, until};
use crate::share::{Share, part};
use crate::statistics::Summary;

/// The sizes, in MB.
pub(crate) const SIZES: [u32; 5] = [128, 256, 512, 1024, 1769];
/// US$ for a GB-second on arm64, and for a request (docs/explanation/cost/prices.json).
const GB_SECOND: f64 = 0.000_013_333_4;
const CALL: f64 = 0.000_000_2;
/// How many sweeps there are in a month.
const SWEEPS_A_MONTH: f64 = 43_800.0;
/// Warm events of each process, after one that does not count.
const WARM: usize = 5;
/// How long a process rests between events, as it does on Lambda: for so long that nothing of its share is owed any more.
const REST: Duration = Duration::from_millis(80);

/// One event, and how often it comes for a build.
pub(crate) struct Event {
    pub(crate) case: Case,
    pub(crate) a_build: f64,
    /// Whether it takes so long that one process has to do for each size.
    once: bool,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Memory {
    /// Whether the kernel limited the processes; if not, times are computed from CPU times.
    pub(crate) limited: bool,
    pub(crate) events: Vec<Curve>,
    pub(crate) bills: Vec<Bill>,
}

/// One event at every size.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) function: String,
    /// How often it comes for a build.
    pub(crate) a_build: f64,
    /// Until the process asked for its first event, which Lambda does at full speed.
    pub(crate) initialization_ms: Summary,
    pub(crate) points: Vec<Point>,
}

/// One event at one size.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Point {
    pub(crate) mb: u32,
    /// From the first event to its answer, after the initialization.
    pub(crate) first_ms: Summary,
    /// From a later event to its answer.
    pub(crate) warm_ms: Summary,
    /// From an event to the call that it is all about: of the first, and of later ones.
    pub(crate) deciding_ms: Option<(Summary, Summary)>,
    /// US$ for a million such events, warm, without the price of the calls.
    pub(crate) dollars: f64,
}

/// All that is called for builds, and the sweep, at one size.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bill {
    pub(crate) mb: u32,
    /// US$ for the functions' time and calls of a million builds, where no call meets a cold start, and where each does.
    pub(crate) warm: f64,
    pub(crate) cold: f64,
    /// US$ for a month of sweeps that find nothing to do.
    pub(crate) sweeps: f64,
}

/// The events of a build, as often as they come where one in four is interrupted, as docs/explanation/cost.md has it, and one for every other function.
pub(crate) async fn events(places: &Places, cloud: &Cloud) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    for case in places.reactions(cloud).await? {
        let a_build = match case.name {
            "push, agent on ECS" => 1.0,
            "Spot warning of Fargate" => 0.25,
            _ => continue,
        };
        events.push(Event {
            case,
            a_build,
            once: false,
        });
    }
    events.sort_by(|one, other| other.a_build.total_cmp(&one.a_build));
    let life = growth::task_cases(places, cloud).await?;
    events.extend(life.into_iter().map(|case| Event {
        case,
        a_build: 1.25,
        once: false,
    }));
    let others = places.one_each(cloud).await?.into_iter();
    let others = others.filter(|case| !["push", "task-state"].contains(&case.function));
    events.extend(others.map(|case| Event {
        case: Case {
            name: case.function,
            ..case
        },
        a_build: 0.0,
        once: false,
    }));
    // The most that one event may come to.
    events.push(Event {
        case: growth::full_sweep(places, cloud).await?,
        a_build: 0.0,
        once: true,
    });
    Ok(events)
}

/// Measures all events at all sizes.
pub(crate) async fn memory(events: &[Event], places: &Places, cloud: &Cloud, processes: usize) -> anyhow::Result<Memory> {
    cloud.hold_back(DELAY);
    let mut samples: Vec<Samples> = events.iter().map(|_| Samples::default()).collect();
    let mut limited = true;
    // One size after the other in each turn, so that what else the machine does falls on all of them alike.
    for turn in 0..processes {
        for (place, mb) in SIZES.into_iter().enumerate() {
            let share = Share::of(mb);
            limited &= share.is_some();
            for (event, samples) in events.iter().zip(&mut samples).filter(|(event, _)| turn == 0 || !event.once) {
                let process = process(&event.case, places, cloud, share.as_ref(), mb, samples, place).await;
                process.with_context(|| format!("{} with {mb} MB", event.case.name))?;
            }
        }
    }
    cloud.hold_back(Duration::ZERO);
    let curves = events.iter().zip(samples).map(|(event, samples)| samples.curve(event));
    let events = curves.collect::<anyhow::Result<Vec<_>>>()?;
    let bills = SIZES.into_iter().enumerate().map(|(place, mb)| bill(&events, place, mb)).collect();
    Ok(Memory { limited, events, bills })
}

#[derive(Default)]
struct Samples {
    initialization: Vec<f64>,
    sizes: [Size; SIZES.len()],
}

#[derive(Default)]
struct Size {
    first: Vec<f64>,
    warm: Vec<f64>,
    first_deciding: Vec<f64>,
    warm_deciding: Vec<f64>,
}

/// One process: its start at full speed, and its events with the size's share.
async fn process(
    case: &Case,
    places: &Places,
    cloud: &Cloud,
    share: Option<&Share>,
    mb: u32,
    samples: &mut Samples,
    place: usize,
) -> anyhow::Result<()> {
    let mut function = Function::start(&places.program(case.function)).await?;
    let ready = function.until_ready().await?;
    samples.initialization.push(ms(ready - function.started));
    if let Some(share) = share {
        share.limit(function.id()?)?;
    }
    let size = &mut samples.sizes[place];
    for turn in 0..WARM + 2 {
        tokio::time::sleep(REST).await;
        let another = case.of_another_run(turn)?;
        cloud.reset(&another.known);
        let cpu = function.cpu_ms()?;
        let given = Instant::now();
        let answer = function.invoke(&another.event).await?;
        // Without a limit: it would have taken at least as long as its CPU time at that share.
        let longer = match share {
            Some(_) => 0.0,
            None => ((function.cpu_ms()? - cpu) / part(mb) - ms(answer.at - given)).max(0.0),
        };
        let (all, deciding) = match turn {
            0 => (&mut size.first, &mut size.first_deciding),
            // The second one still finds things for the first time, such as connections that were made side by side.
            1 => continue,
            _ => (&mut size.warm, &mut size.warm_deciding),
        };
        all.push(ms(answer.at - given) + longer);
        if !case.deciding.is_empty() {
            let asked = cloud.asked();
            let (_, call) = until(&asked, case.deciding)?;
            deciding.push(ms(call.arrived - given) + longer);
        }
    }
    function.end().await
}

impl Samples {
    fn curve(self, event: &Event) -> anyhow::Result<Curve> {
        let points = SIZES.into_iter().zip(self.sizes).map(|(mb, size)| {
            let warm_ms = summary(size.warm)?;
            let deciding_ms = Summary::of(size.first_deciding).zip(Summary::of(size.warm_deciding));
            Ok(Point {
                mb,
                first_ms: summary(size.first)?,
                dollars: price(mb, warm_ms.median) * 1e6,
                warm_ms,
                deciding_ms,
            })
        });
        Ok(Curve {
            name: event.case.name.to_owned(),
            function: event.case.function.to_owned(),
            a_build: event.a_build,
            points: points.collect::<anyhow::Result<_>>()?,
            initialization_ms: summary(self.initialization)?,
        })
    }
}

/// US$ for some milliseconds, each begun one counting as whole.
fn price(mb: u32, milliseconds: f64) -> f64 {
    f64::from(mb) / 1024.0 * milliseconds.ceil() / 1000.0 * GB_SECOND
}

fn bill(events: &[Curve], place: usize, mb: u32) -> Bill {
    let mut bill = Bill {
        mb,
        warm: 0.0,
        cold: 0.0,
        sweeps: 0.0,
    };
    for event in events {
        let point = &event.points[place];
        let warm = price(mb, point.warm_ms.median) + CALL;
        bill.warm += event.a_build * warm * 1e6;
        // A runtime of one's own is billed for its initialization.
        bill.cold += event.a_build * (price(mb, event.initialization_ms.median + point.first_ms.median) + CALL) * 1e6;
        if event.name == "sweep" {
            bill.sweeps += warm * SWEEPS_A_MONTH;
        }
    }
    bill
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn curve(function: &str, a_build: f64, first: f64, warm: f64) -> Curve {
        let summary = |value| Summary::of(vec![value]).unwrap();
        let points = SIZES.map(|mb| Point {
            mb,
            first_ms: summary(first),
            warm_ms: summary(warm),
            deciding_ms: None,
            dollars: 0.0,
        });
        Curve {
            name: function.to_owned(),
            function: function.to_owned(),
            a_build,
            initialization_ms: summary(10.0),
            points: points.to_vec(),
        }
    }

    #[test]
    fn a_begun_millisecond_is_a_whole_one() {
        assert_eq!(price(1024, 1000.0), GB_SECOND);
        assert_eq!(price(1024, 999.1), GB_SECOND);
        assert_eq!(price(512, 2000.0), GB_SECOND);
    }

    #[test]
    fn a_build_is_its_events_and_a_month_its_sweeps() {
        let events = [
            curve("push", 1.0, 40.0, 20.0),
            curve("task-state", 4.0, 30.0, 10.0),
            curve("sweep", 0.0, 9.0, 5.0),
        ];
        let bill = bill(&events, 3, 1024);
        let close = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(close(bill.warm, (0.060 * GB_SECOND + 5.0 * CALL) * 1e6), "{bill:?}");
        assert!(close(bill.cold, ((0.050 + 4.0 * 0.040) * GB_SECOND + 5.0 * CALL) * 1e6), "{bill:?}");
        assert!(close(bill.sweeps, 43_800.0 * (0.005 * GB_SECOND + CALL)), "{bill:?}");
    }
}
