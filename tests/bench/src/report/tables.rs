//! One table for each part of the measurements.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::targets::Target;
use crate::agent::Agent;
use crate::growth::{Growth, Life, Sweep};
use crate::measure::{Figures, Reaction};
use crate::memory::{Memory, Point, SIZES};
use crate::micro::Micro;
use crate::statistics::Summary;

pub(super) fn of_functions(figures: &[Figures]) -> String {
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

pub(super) fn of_reactions(reactions: &[Reaction]) -> String {
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

pub(super) fn of_targets(targets: &[Target]) -> String {
    let mut table = table(&["target", "wanted", "measured", ""]);
    for each in targets {
        let reached = if each.reached { "reached" } else { "not reached" };
        table.add_row([each.what.as_str(), &each.wanted, &each.measured, reached]);
    }
    table.to_string()
}

pub(super) fn of_growth(growth: &Growth) -> String {
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

pub(super) fn of_agent(agent: &Agent) -> String {
    let mut table = table(&["", "the agent", "bash alone"]);
    let Agent {
        start_ms, mib_per_second, ..
    } = agent;
    table.add_row([
        "ms until the script begins".to_owned(),
        spread(&start_ms.agent, 1),
        spread(&start_ms.bash, 1),
    ]);
    table.add_row([
        "MiB/s of a script that prints 1 GiB".to_owned(),
        spread(&mib_per_second.agent, 0),
        spread(&mib_per_second.bash, 0),
    ]);
    table.add_row([
        "MiB/s of the same, with a secret to mask".to_owned(),
        spread(&agent.masking_mib_per_second, 0),
        String::new(),
    ]);
    for (what, mib) in [
        ("peak MiB, a short script", agent.peak_mib),
        ("peak MiB, 1 GiB printed", agent.peak_printing_mib),
        ("peak MiB, an artifact of 256 MiB", agent.peak_uploading_mib),
        ("binary MiB", agent.binary_mib),
    ] {
        table.add_row([what.to_owned(), format!("{mib:.1}"), String::new()]);
    }
    table.to_string()
}

pub(super) fn of_memory(memory: &Memory) -> String {
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

pub(super) fn of_micro(all: &[Micro]) -> String {
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
