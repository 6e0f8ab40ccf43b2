//! The figures for people: tables, targets and a picture.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::growth::{Growth, Life, Sweep};
use crate::measure::{Figures, Kind, Reaction};
use crate::memory::{Memory, Point, SIZES};
use crate::micro::Micro;
use crate::statistics::Summary;

/// What was found in this run. Parts that were not measured are missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) functions: Option<Part<Vec<Figures>>>,
    pub(crate) reactions: Option<Part<Vec<Reaction>>>,
    pub(crate) targets: Option<Part<Vec<Target>>>,
    pub(crate) growth: Option<Part<Growth>>,
    pub(crate) memory: Option<Part<Memory>>,
    pub(crate) decide: Option<Part<Vec<Micro>>>,
}

/// What belongs together, and where it was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part<T> {
    pub(crate) machine: Machine,
    pub(crate) measured: T,
}

impl<T> Part<T> {
    /// What was measured since `machine` was looked at.
    pub(crate) fn of(machine: Machine, measured: T) -> anyhow::Result<Self> {
        let machine = Machine {
            load_after: load()?,
            ..machine
        };
        Ok(Self { machine, measured })
    }

    fn tables(&self, tables: impl FnOnce(&T) -> String) -> String {
        format!("{}\n\n{}\n", tables(&self.measured), self.machine)
    }
}

/// Where something was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Of the last minute before the measurements, and after them.
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    /// The programs that were measured beside the functions.
    pub(crate) beside: Vec<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn now() -> anyhow::Result<Self> {
        Ok(Self {
            processor: processor()?,
            cores: std::thread::available_parallelism()?.get(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_before: load()?,
            load_after: String::new(),
            beside: Vec::new(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            processor,
            cores,
            kernel,
            load_before,
            load_after,
            beside,
        } = self;
        write!(
            f,
            "{processor}, {cores} cores, Linux {kernel}, load {load_before} before and {load_after} after"
        )?;
        beside.iter().try_for_each(|program| write!(f, "; {program}"))
    }
}

fn processor() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    Ok(line
        .map_or("unnamed processor", |line| line.trim_start_matches([' ', '\t', ':']))
        .to_owned())
}

/// The load of the last minute.
fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// What a figure should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) wanted: String,
    /// The worst of all functions.
    pub(crate) measured: String,
    pub(crate) reached: bool,
}

/// The functions' figures beside the targets.
pub(crate) fn targets(figures: &[Figures], reactions: &[Reaction]) -> Vec<Target> {
    let cold = |name: &str| {
        figures
            .iter()
            .find(|each| each.name == name)
            .map_or(f64::NAN, |each| median(each.cold_ms))
    };
    let worst = |value: fn(&Figures) -> f64| {
        let functions = figures.iter().filter(|each| each.kind == Kind::Function);
        functions
            .map(|each| (value(each), each.name.as_str()))
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .unwrap_or((f64::NAN, ""))
    };
    let (slowest, name) = worst(|each| median(each.cold_ms));
    let (cpu, cpu_name) = worst(|each| median(each.cpu_per_event_ms));
    let (peak, peak_name) = worst(|each| each.peak_mib);
    let (zip, zip_name) = worst(|each| each.zip_mib.unwrap_or(f64::NAN));
    let (over_empty, under_python, under_node) = (slowest / cold("empty"), cold("Python") / slowest, cold("Node.js") / slowest);
    let mut all = vec![
        target(
            "cold start beside an empty function",
            "at most 3 times",
            format!("{over_empty:.1} times ({name})"),
            over_empty <= 3.0,
        ),
        target(
            "cold start beside Python",
            "15 times faster",
            format!("{under_python:.1} times ({name})"),
            under_python >= 15.0,
        ),
        target(
            "cold start beside Node.js",
            "25 times faster",
            format!("{under_node:.1} times ({name})"),
            under_node >= 25.0,
        ),
        target("CPU of an event", "below 1 ms", format!("{cpu:.2} ms ({cpu_name})"), cpu < 1.0),
        target(
            "peak memory",
            "at most 20 MiB",
            format!("{peak:.1} MiB ({peak_name})"),
            peak <= 20.0,
        ),
        target("zip", "at most 5 MiB", format!("{zip:.2} MiB ({zip_name})"), zip <= 5.0),
    ];
    if let Some(warning) = reactions.first() {
        let writes = warning.before.iter().filter(|call| !call.contains("Get")).count();
        all.push(target(
            "round trips from a warning to RunTask",
            "2, one of them a write",
            format!("{}, {writes} of them a write", warning.round_trips),
            warning.round_trips == 2 && warning.before.len() == 2 && writes == 1,
        ));
    }
    all
}

fn median(summary: Option<Summary>) -> f64 {
    summary.map_or(f64::NAN, |summary| summary.median)
}

fn target(what: &str, wanted: &str, measured: String, reached: bool) -> Target {
    Target {
        what: what.to_owned(),
        wanted: wanted.to_owned(),
        measured,
        reached,
    }
}

impl Report {
    /// What was measured, beside what earlier runs have left of the parts that were not measured in this one.
    pub(crate) fn results(&self, earlier: &str) -> anyhow::Result<Value> {
        let mut all: Map<String, Value> = serde_json::from_str(earlier).unwrap_or_default();
        let Self {
            functions,
            reactions,
            targets,
            growth,
            memory,
            decide,
        } = self;
        for (name, part) in [
            ("functions", serde_json::to_value(functions)?),
            ("reactions", serde_json::to_value(reactions)?),
            ("targets", serde_json::to_value(targets)?),
            ("growth", serde_json::to_value(growth)?),
            ("memory", serde_json::to_value(memory)?),
            ("decide", serde_json::to_value(decide)?),
        ] {
            if !part.is_null() {
                all.insert(name.to_owned(), part);
            }
        }
        Ok(json!(all))
    }

    /// The tables of each part that was measured, by its name.
    pub(crate) fn tables(&self) -> Vec<(&'static str, String)> {
        let all = [
            (
                "functions",
                self.functions.as_ref().map(|part| part.tables(|all| of_functions(all))),
            ),
            (
                "reactions",
                self.reactions.as_ref().map(|part| part.tables(|all| of_reactions(all))),
            ),
            ("targets", self.targets.as_ref().map(|part| part.tables(|all| of_targets(all)))),
            ("growth", self.growth.as_ref().map(|part| part.tables(of_growth))),
            ("memory", self.memory.as_ref().map(|part| part.tables(of_memory))),
            ("decide", self.decide.as_ref().map(|part| part.tables(|all| of_micro(all)))),
        ];
        all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }

    /// The cold starts as a picture (SVG), if they were measured.
    pub(crate) fn picture(&self) -> Option<String> {
        const LEFT: f64 = 130.0;
        const WIDTH: f64 = 520.0;
        const ROW: f64 = 24.0;
        let figures = &self.functions.as_ref()?.measured;
        let figures: Vec<(&Figures, Summary)> = figures.iter().map(|each| Some((each, each.cold_ms?))).collect::<Option<_>>()?;
        let longest = figures.iter().map(|(_, cold)| cold.upper_quartile).fold(1.0, f64::max);
        let x = |ms: f64| LEFT + ms / longest * WIDTH;
        let mut rows = String::new();
        let mut y = 44.0;
        for (each, cold) in figures {
            let Summary {
                lower_quartile,
                median,
                upper_quartile,
                ..
            } = cold;
            let colour = match each.kind {
                Kind::Empty => "#8c959f",
                Kind::Function | Kind::Before => "#0969da",
                Kind::Twin => "#bc4c00",
            };
            let (middle, text) = (y + 8.0, y + 12.0);
            // Writing to a text does not fail.
            let _ = write!(
                rows,
                "  <text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\n  \
                 <rect x=\"{LEFT:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"16\" fill=\"{colour}\"/>\n  \
                 <path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"#1f2328\" stroke-width=\"2\"/>\n  \
                 <text x=\"{:.1}\" y=\"{text:.1}\">{median:.1} ms</text>\n",
                LEFT - 8.0,
                each.name,
                x(median) - LEFT,
                x(lower_quartile),
                x(upper_quartile),
                x(upper_quartile) + 8.0,
            );
            y += ROW;
        }
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 740 {height:.0}\" width=\"740\" height=\"{height:.0}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#1f2328\">\n  \
             <title>Cold starts: from the start of the process to its first answer</title>\n  \
             <rect width=\"740\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n  \
             <text x=\"16\" y=\"26\" font-weight=\"bold\">From the start of the process to its first answer: median and quartiles</text>\n\
             {rows}</svg>\n",
            height = y + 8.0,
        ))
    }
}

fn of_functions(figures: &[Figures]) -> String {
    let mut table = table(&[
        "",
        "cold start ms",
        "until ready ms",
        "its CPU ms",
        "warm ms",
        "events/s",
        "CPU/event ms",
        "peak MiB",
        "requests",
        "binary MiB",
        "zip MiB",
    ]);
    for each in figures {
        let size = |size: Option<f64>| size.map(|size| format!("{size:.2}")).unwrap_or_default();
        let times = |times: &Option<Summary>, places| times.as_ref().map(|times| spread(times, places)).unwrap_or_default();
        table.add_row([
            each.name.clone(),
            times(&each.cold_ms, 1),
            times(&each.initialization_ms, 1),
            times(&each.cold_cpu_ms, 1),
            times(&each.warm_ms, 2),
            each.per_second.map(|count| format!("{count:.0}")).unwrap_or_default(),
            times(&each.cpu_per_event_ms, 2),
            format!("{:.1}", each.peak_mib),
            each.requests.to_string(),
            size(each.binary_mib),
            size(each.zip_mib),
        ]);
    }
    table.to_string()
}

fn of_reactions(reactions: &[Reaction]) -> String {
    let mut table = table(&["from", "to", "requests before", "round trips", "warm ms", "cold ms"]);
    for each in reactions {
        table.add_row([
            each.name.clone(),
            each.deciding.clone(),
            each.before.len().to_string(),
            each.round_trips.to_string(),
            spread(&each.warm_ms, 1),
            spread(&each.cold_ms, 1),
        ]);
    }
    format!("Every answer of AWS takes 5 ms:\n\n{table}")
}

fn of_targets(targets: &[Target]) -> String {
    let mut table = table(&["target", "wanted", "measured", ""]);
    for each in targets {
        let reached = if each.reached { "reached" } else { "not reached" };
        table.add_row([each.what.as_str(), &each.wanted, &each.measured, reached]);
    }
    table.to_string()
}

fn of_growth(growth: &Growth) -> String {
    const OPERATIONS: [&str; 5] = ["GetItem", "PutItem", "UpdateItem", "Query", "TransactWriteItems"];
    let mut lives = table(&[
        "jobs of the run",
        "GetItem",
        "PutItem",
        "UpdateItem",
        "Query",
        "Transact",
        "of DynamoDB",
        "of all",
        "KiB sent",
        "KiB received",
        "write units",
        "for writes of the run",
        "read units",
        "CPU ms",
        "largest item, bytes",
        "push ms",
    ]);
    for life in &growth.lives {
        let Life { jobs, needs, largest, .. } = life;
        let name = if *needs {
            format!("{jobs}, {} need the first", jobs - 1)
        } else {
            jobs.to_string()
        };
        let requests = OPERATIONS.map(|name| format!("{:.2}", life.requests.get(name).unwrap_or(&0.0)));
        let kib = |bytes: f64| format!("{:.1}", bytes / 1024.0);
        let rest = [
            format!("{:.2}", life.requests.values().sum::<f64>()),
            format!("{:.2}", life.all_requests),
            kib(life.sent),
            kib(life.received),
            format!("{:.1}", life.write_units),
            format!("{:.1} ({:.1})", life.run_write_units, life.run_writes),
            format!("{:.1}", life.read_units),
            format!("{:.1}", life.cpu_ms),
            format!("{} ({})", largest.1, if largest.0 == "RUN" { "run" } else { "build" }),
            format!("{:.0}", life.push_ms),
        ];
        lives.add_row([name].into_iter().chain(requests).chain(rest));
    }
    let mut sweeps = table(&[
        "open",
        "due",
        "taken",
        "requests of a sweep",
        "KiB",
        "sweep ms",
        "its CPU ms",
        "CPU of the stand-in ms",
        "peak MiB",
    ]);
    for each in &growth.sweeps {
        let Sweep {
            open,
            due,
            advanced,
            requests,
            bytes,
            ..
        } = each;
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let kib = *bytes as f64 / 1024.0;
        sweeps.add_row([
            open.to_string(),
            due.to_string(),
            advanced.to_string(),
            named(requests),
            format!("{kib:.0}"),
            spread(&each.sweep_ms, 1),
            spread(&each.cpu_ms, 1),
            spread(&each.stub_cpu_ms, 1),
            format!("{:.1}", each.peak_mib),
        ]);
    }
    format!("For each build of a run, from the push to the run's report:\n\n{lives}\n\nOne sweep:\n\n{sweeps}")
}

/// Requests by their operations, without the service.
fn named(requests: &BTreeMap<String, usize>) -> String {
    let each = requests
        .iter()
        .map(|(call, count)| format!("{count} {}", call.rsplit(' ').next().unwrap_or(call)));
    each.collect::<Vec<_>>().join(", ")
}

fn of_memory(memory: &Memory) -> String {
    let sizes: Vec<String> = SIZES.iter().map(|mb| format!("{mb} MB")).collect();
    let heading = |first: &[&str]| {
        let names = first.iter().copied().chain(sizes.iter().map(String::as_str));
        table(&names.collect::<Vec<_>>())
    };
    let (mut warm, mut cold, mut prices) = (
        heading(&["warm ms"]),
        heading(&["first event ms", "until ready"]),
        heading(&["US$"]),
    );
    for event in &memory.events {
        let name = if event.name == event.function {
            event.name.clone()
        } else {
            format!("{}: {}", event.function, event.name)
        };
        let row =
            |first: Vec<String>, cell: fn(&Point) -> String| first.into_iter().chain(event.points.iter().map(cell)).collect::<Vec<_>>();
        warm.add_row(row(vec![name.clone()], |point| spread(&point.warm_ms, 1)));
        let ready = format!("{:.1}", event.initialization_ms.median);
        cold.add_row(row(vec![name.clone(), ready], |point| spread(&point.first_ms, 1)));
        prices.add_row(row(vec![name], |point| format!("{:.2}", point.dollars)));
    }
    let mut bills = heading(&[""]);
    let bill = |name: &str, cells: Vec<String>| [name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>();
    let dollars = |value: fn(&crate::memory::Bill) -> f64| memory.bills.iter().map(|bill| format!("{:.2}", value(bill))).collect();
    bills.add_row(bill("US$ a million builds, warm", dollars(|bill| bill.warm)));
    bills.add_row(bill("US$ a million builds, every call cold", dollars(|bill| bill.cold)));
    bills.add_row(bill("US$ a month of sweeps", dollars(|bill| bill.sweeps)));
    for event in memory
        .events
        .iter()
        .filter(|event| event.points.iter().all(|point| point.deciding_ms.is_some()))
    {
        let cells = event.points.iter().filter_map(|point| point.deciding_ms.as_ref());
        let cells = cells.map(|(_, warm)| spread(warm, 1)).collect();
        bills.add_row(bill(&format!("{}, to RunTask: warm ms", event.name), cells));
        let ready = event.initialization_ms.median;
        let cells = event.points.iter().filter_map(|point| point.deciding_ms.as_ref());
        let cells = cells.map(|(first, _)| format!("{:.1}", ready + first.median)).collect();
        bills.add_row(bill(&format!("{}, to RunTask: cold ms", event.name), cells));
    }
    let how = if memory.limited {
        "The kernel gives each process its share of a CPU"
    } else {
        "Computed from CPU times, as the kernel could not be told to limit anything"
    };
    format!(
        "{how}; every answer of AWS takes 5 ms:\n\n{warm}\n\nAfter the initialization, which has a whole CPU:\n\n{cold}\n\n\
         A million warm events, without US$ 0.20 for the calls:\n\n{prices}\n\n{bills}"
    )
}

fn of_micro(all: &[Micro]) -> String {
    let mut table = table(&["", "what", "time (95 % confidence)", "a second"]);
    for each in all {
        let time = format!("{} ({}-{})", short(each.mean_ns), short(each.lower_ns), short(each.upper_ns));
        table.add_row([each.group.clone(), each.name.clone(), time, format!("{:.0}", each.per_second)]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    table.to_string()
}

/// Nanoseconds in the unit in which they are easy to read.
fn short(nanoseconds: f64) -> String {
    match nanoseconds {
        ..1e3 => format!("{nanoseconds:.0} ns"),
        ..1e6 => format!("{:.2} µs", nanoseconds / 1e3),
        _ => format!("{:.2} ms", nanoseconds / 1e6),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The median, and the quartiles behind it.
fn spread(summary: &Summary, places: usize) -> String {
    let Summary {
        lower_quartile,
        median,
        upper_quartile,
        ..
    } = summary;
    format!("{median:.places$} ({lower_quartile:.places$}-{upper_quartile:.places$})")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn of(name: &str, kind: Kind, cold: f64, cpu: f64, peak: f64, zip: f64) -> Figures {
        let summary = |value| Summary::of(vec![value]).unwrap();
        Figures {
            name: name.to_owned(),
            kind,
            cold_ms: Some(summary(cold)),
            initialization_ms: Some(summary(cold)),
            cold_cpu_ms: Some(summary(cold)),
            warm_ms: Some(summary(1.0)),
            per_second: Some(1000.0),
            cpu_per_event_ms: Some(summary(cpu)),
            peak_mib: peak,
            requests: 1,
            binary_mib: None,
            zip_mib: (kind == Kind::Function).then_some(zip),
        }
    }

    fn reaction(before: &[&str], round_trips: usize) -> Reaction {
        let summary = Summary::of(vec![1.0]).unwrap();
        Reaction {
            name: "warning".to_owned(),
            function: "task-state".to_owned(),
            deciding: "ecs RunTask".to_owned(),
            before: before.iter().map(|call| (*call).to_owned()).collect(),
            round_trips,
            warm_ms: summary,
            cold_ms: summary,
        }
    }

    #[test]
    fn the_worst_function_counts() {
        let good = [
            of("empty", Kind::Empty, 5.0, 0.1, 4.0, 0.0),
            of("push", Kind::Function, 10.0, 0.5, 12.0, 4.0),
            of("Python", Kind::Twin, 300.0, 3.0, 60.0, 0.0),
            of("Node.js", Kind::Twin, 500.0, 3.0, 90.0, 0.0),
        ];
        let warned = [reaction(&["dynamodb GetItem", "dynamodb PutItem"], 2)];
        assert!(targets(&good, &warned).iter().all(|target| target.reached));

        let mut bad = good.to_vec();
        bad.push(of("sweep", Kind::Function, 21.0, 1.5, 30.0, 6.0));
        let slow = [reaction(&["dynamodb GetItem", "s3 GetObject", "dynamodb PutItem"], 3)];
        let targets = targets(&bad, &slow);
        assert!(targets.iter().all(|target| !target.reached), "{targets:#?}");
        assert!(targets[..6].iter().all(|target| target.measured.contains("sweep")), "{targets:#?}");
    }

    #[test]
    fn parts_that_were_not_measured_stay_as_they_were() {
        let machine = Machine {
            processor: "a processor".to_owned(),
            cores: 2,
            kernel: "6".to_owned(),
            load_before: "0.10".to_owned(),
            load_after: String::new(),
            beside: Vec::new(),
        };
        let micro = Micro {
            group: "decide".to_owned(),
            name: "a build".to_owned(),
            mean_ns: 2500.0,
            lower_ns: 990.0,
            upper_ns: 3e6,
            per_second: 400_000.0,
        };
        let report = Report {
            decide: Some(Part::of(machine, vec![micro]).unwrap()),
            ..Report::default()
        };
        let results = report.results(r#"{"growth":1,"decide":2}"#).unwrap();
        assert_eq!(results["growth"], 1);
        assert_eq!(results["decide"]["measured"][0]["name"], "a build");
        let tables = report.tables();
        let [("decide", text)] = tables.as_slice() else {
            panic!("{tables:?}")
        };
        assert!(text.contains("2.50 µs (990 ns-3.00 ms)"), "{text}");
        assert!(report.picture().is_none());
    }
}
