//! The figures for people: tables, targets and a picture.
//!
//! [`Report`] holds what was measured, by its parts; a new part is a field here, a table in [`tables`] and, where it must not get worse, a target in [`targets`].

mod machine;
mod tables;
mod targets;

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::agent::Agent;
use crate::growth::Growth;
use crate::measure::{Figures, Kind, Reaction};
use crate::memory::Memory;
use crate::micro::Micro;
use crate::statistics::Summary;
pub(crate) use machine::Machine;
use machine::load;
use tables::{of_agent, of_functions, of_growth, of_memory, of_micro, of_reactions, of_targets};
use targets::Target;
pub(crate) use targets::targets;

/// What was found in this run. Parts that were not measured are missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) functions: Option<Part<Vec<Figures>>>,
    pub(crate) reactions: Option<Part<Vec<Reaction>>>,
    pub(crate) targets: Option<Part<Vec<Target>>>,
    pub(crate) growth: Option<Part<Growth>>,
    pub(crate) memory: Option<Part<Memory>>,
    pub(crate) agent: Option<Part<Agent>>,
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
            agent,
            decide,
        } = self;
        for (name, part) in [
            ("functions", serde_json::to_value(functions)?),
            ("reactions", serde_json::to_value(reactions)?),
            ("targets", serde_json::to_value(targets)?),
            ("growth", serde_json::to_value(growth)?),
            ("memory", serde_json::to_value(memory)?),
            ("agent", serde_json::to_value(agent)?),
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
            ("agent", self.agent.as_ref().map(|part| part.tables(of_agent))),
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
