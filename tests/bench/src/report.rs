//! The figures for people: tables, targets and a picture.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::measure::{Figures, Kind, Reaction};
use crate::statistics::Summary;

/// Everything that was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) figures: Vec<Figures>,
    pub(crate) reactions: Vec<Reaction>,
    pub(crate) targets: Vec<Target>,
}

/// Where it was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Before the measurements and after them, of the last minute.
    pub(crate) load: (String, String),
    pub(crate) python: String,
    pub(crate) node: String,
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
            .map_or(f64::NAN, |each| each.cold_ms.median)
    };
    let worst = |value: fn(&Figures) -> f64| {
        let functions = figures.iter().filter(|each| each.kind == Kind::Function);
        functions
            .map(|each| (value(each), each.name.as_str()))
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .unwrap_or((f64::NAN, ""))
    };
    let (slowest, name) = worst(|each| each.cold_ms.median);
    let (cpu, cpu_name) = worst(|each| each.cpu_per_event_ms.median);
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

fn target(what: &str, wanted: &str, measured: String, reached: bool) -> Target {
    Target {
        what: what.to_owned(),
        wanted: wanted.to_owned(),
        measured,
        reached,
    }
}

impl Report {
    /// The tables.
    pub(crate) fn tables(&self) -> String {
        let mut figures = table(&[
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
        for each in &self.figures {
            let size = |size: Option<f64>| size.map(|size| format!("{size:.2}")).unwrap_or_default();
            figures.add_row([
                each.name.clone(),
                spread(&each.cold_ms, 1),
                spread(&each.initialization_ms, 1),
                spread(&each.cold_cpu_ms, 1),
                spread(&each.warm_ms, 2),
                format!("{:.0}", each.per_second),
                spread(&each.cpu_per_event_ms, 2),
                format!("{:.1}", each.peak_mib),
                each.requests.to_string(),
                size(each.binary_mib),
                size(each.zip_mib),
            ]);
        }
        let mut reactions = table(&["from", "to", "requests before", "round trips", "warm ms", "cold ms"]);
        for each in &self.reactions {
            reactions.add_row([
                each.name.clone(),
                each.deciding.clone(),
                each.before.len().to_string(),
                each.round_trips.to_string(),
                spread(&each.warm_ms, 1),
                spread(&each.cold_ms, 1),
            ]);
        }
        let mut targets = table(&["target", "wanted", "measured", ""]);
        for each in &self.targets {
            let reached = if each.reached { "reached" } else { "not reached" };
            targets.add_row([each.what.as_str(), &each.wanted, &each.measured, reached]);
        }
        let Machine {
            processor,
            cores,
            kernel,
            load,
            python,
            node,
        } = &self.machine;
        format!(
            "{figures}\n\nEvery answer of AWS takes 5 ms:\n\n{reactions}\n\n{targets}\n\n\
             {processor}, {cores} cores, Linux {kernel}, load {} before and {} after; {python}, Node.js {node}\n",
            load.0, load.1
        )
    }

    /// The cold starts as a picture (SVG).
    pub(crate) fn picture(&self) -> String {
        const LEFT: f64 = 130.0;
        const WIDTH: f64 = 520.0;
        const ROW: f64 = 24.0;
        let longest = self.figures.iter().map(|each| each.cold_ms.upper_quartile).fold(1.0, f64::max);
        let x = |ms: f64| LEFT + ms / longest * WIDTH;
        let mut rows = String::new();
        let mut y = 44.0;
        for each in &self.figures {
            let Summary {
                lower_quartile,
                median,
                upper_quartile,
                ..
            } = each.cold_ms;
            let colour = match each.kind {
                Kind::Empty => "#8c959f",
                Kind::Function => "#0969da",
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
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 740 {height:.0}\" width=\"740\" height=\"{height:.0}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#1f2328\">\n  \
             <title>Cold starts: from the start of the process to its first answer</title>\n  \
             <rect width=\"740\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n  \
             <text x=\"16\" y=\"26\" font-weight=\"bold\">From the start of the process to its first answer: median and quartiles</text>\n\
             {rows}</svg>\n",
            height = y + 8.0,
        )
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
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn of(name: &str, kind: Kind, cold: f64, cpu: f64, peak: f64, zip: f64) -> Figures {
        let summary = |value| Summary::of(vec![value]).unwrap();
        Figures {
            name: name.to_owned(),
            kind,
            cold_ms: summary(cold),
            initialization_ms: summary(cold),
            cold_cpu_ms: summary(cold),
            warm_ms: summary(1.0),
            per_second: 1000.0,
            cpu_per_event_ms: summary(cpu),
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
}
