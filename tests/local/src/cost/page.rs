//! The computed parts of `docs/cost.md`, each between a line `<!-- computed: NAME -->` and a line `<!-- end -->`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

use crate::cost::bill::{BUILDS, Costs, Line, Template, total};
use crate::cost::input::{self, Measured, Phase, Prices};
use xtask::workspace::root;

const END: &str = "<!-- end -->";
/// Builds a month, for the table of months.
const MONTHS: [f64; 5] = [0.0, 100.0, 1000.0, 10_000.0, 100_000.0];

/// The page.
pub(super) fn file() -> PathBuf {
    root().join("docs/cost.md")
}

/// Every computed part, by its name.
///
/// # Errors
/// A file does not fit.
pub(super) fn computed() -> anyhow::Result<BTreeMap<&'static str, String>> {
    let measured: Measured = input::read(&input::measured_file())?;
    let prices: Prices = input::read(&input::prices_file())?;
    let template = std::fs::read_to_string(root().join("infra/template.yaml")).context("cannot read infra/template.yaml")?;
    let template = Template::of(&template)?;
    let costs = Costs::of(&measured, template, &prices)?;
    Ok(BTreeMap::from([
        ("summary", summary(&costs)),
        ("builds", bill(&costs.builds, &prices)?),
        ("month", bill(&costs.month, &prices)?),
        ("busy", bill(&costs.busy, &prices)?),
        ("controllers", controllers(&costs, &prices)?),
        ("break-even", break_even(&costs)),
        ("measured", measurements(&measured)),
        ("prices", price_list(&prices)),
        ("assumptions", assumptions(&prices)),
    ]))
}

/// The page with its computed parts replaced.
///
/// # Errors
/// The page has a part that is not computed, or lacks one that is.
pub(super) fn replaced(page: &str, parts: &BTreeMap<&'static str, String>) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut left = parts.clone();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        let Some(name) = line.strip_prefix("<!-- computed: ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let part = left
            .remove(name)
            .with_context(|| format!("docs/cost.md has a part {name} twice, or it is not computed"))?;
        ensure!(lines.any(|line| line == END), "the part {name} of docs/cost.md has no end");
        let _ = writeln!(text, "\n{}\n\n{END}", part.trim_end());
    }
    if let Some(name) = left.keys().next() {
        bail!("docs/cost.md has no part {name}");
    }
    Ok(text)
}

fn summary(costs: &Costs) -> String {
    let mut text = format!(
        "1,000 builds cost **{}**, and a month without any **{}**; the metrics of a month with builds cost **{}** more.",
        dollars(total(&costs.builds)),
        dollars(total(&costs.month)),
        dollars(total(&costs.busy))
    );
    for (name, lines) in &costs.controllers {
        let usd = total(lines);
        let _ = write!(
            text,
            "\nA controller ({name}) costs **{}** a month, as much as the suite with **{} builds** a month.",
            dollars(usd),
            count(significant(costs.break_even(usd)))
        );
    }
    text
}

fn bill(lines: &[Line], prices: &Prices) -> anyhow::Result<String> {
    let mut text = "| what | how much | price | US$ |\n|---|--:|---|--:|\n".to_owned();
    for line in lines {
        let price = prices.prices.get(line.price).context("a line has no price")?;
        let per = if price.per > 1.0 {
            format!(" per {}", count(price.per))
        } else {
            String::new()
        };
        let unsure = if price.confirmed { "" } else { " \\*" };
        let _ = writeln!(
            text,
            "| {} | {} {} | {}{per}{unsure} | {:.4} |",
            line.what,
            number(line.amount),
            price.unit,
            price.usd,
            line.usd
        );
    }
    let _ = writeln!(text, "| **in all** | | | **{:.4}** |", total(lines));
    Ok(text)
}

fn controllers(costs: &Costs, prices: &Prices) -> anyhow::Result<String> {
    let mut text = String::new();
    for (name, lines) in &costs.controllers {
        let _ = writeln!(text, "{name}:\n\n{}", bill(lines, prices)?);
    }
    Ok(text)
}

fn break_even(costs: &Costs) -> String {
    let mut text = "| builds a month | the suite, US$ |".to_owned();
    let mut rule = "|--:|--:|".to_owned();
    for (name, _) in &costs.controllers {
        let _ = write!(text, " {name}, US$ |");
        rule.push_str("--:|");
    }
    let _ = writeln!(text, "\n{rule}");
    let mut months = MONTHS.to_vec();
    months.extend(costs.controllers.iter().map(|(_, lines)| costs.break_even(total(lines))));
    months.sort_by(f64::total_cmp);
    for builds in months {
        let _ = write!(text, "| {} | {:.2} |", count(builds), costs.month_with(builds));
        for (_, lines) in &costs.controllers {
            let _ = write!(text, " {:.2} |", total(lines));
        }
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "\nIf no call for a build met a cold start, {} builds would cost {} instead of {}.",
        count(BUILDS),
        dollars(costs.warm_usd),
        dollars(total(&costs.builds))
    );
    text
}

fn measurements(measured: &Measured) -> String {
    let mut text = format!(
        "Measured on {} on {} (functions built in the profile `{}`), with {} builds of `{}`, of which {} lost their Spot capacity once.\n\n",
        measured.date, measured.machine, measured.profile, measured.builds, measured.script, measured.interrupted
    );
    text.push_str("| | function | calls | processor time of a start, ms | of a call, ms | requests of a call | bytes logged by a call |\n|---|---|--:|--:|--:|--:|--:|\n");
    let phases = [
        ("a build", &measured.build),
        ("a sweep", &measured.sweep),
        ("a check of backups", &measured.check),
        ("a daily backup", &measured.backup),
    ];
    for (what, phase) in phases {
        for (function, work) in &phase.functions {
            let requests: u64 = work.calls.values().sum();
            let init = measured.init_cpu_ms.get(function).copied().unwrap_or_default();
            let own = (work.cpu_ms - work.processes as f64 * init).max(0.0);
            let of_a_call = |amount: f64| match work.invocations {
                0 => "–".to_owned(),
                invocations => number(amount / invocations as f64),
            };
            let _ = writeln!(
                text,
                "| {what} | `{function}` | {} | {} | {} | {} | {} |",
                number(work.invocations as f64 / f64::from(phase.times)),
                number(init),
                of_a_call(own),
                of_a_call(requests as f64),
                of_a_call(work.log_bytes as f64)
            );
        }
    }
    text.push_str("\n| | write request units | read request units | requests |\n|---|--:|--:|---|\n");
    for (what, phase) in phases {
        let times = f64::from(phase.times);
        let _ = writeln!(
            text,
            "| {what} | {} | {} | {} |",
            number(phase.write_units / times),
            number(phase.read_units / times),
            requests(phase)
        );
    }
    let left = &measured.left;
    let builds = f64::from(measured.builds);
    let _ = write!(
        text,
        "\nA build leaves {} bytes in the table, the indexes among them (its own item has {}), and {} objects with {} bytes in the bucket. The largest \
         message has {} bytes.",
        number(left.table_bytes as f64 / builds),
        number(left.build_item_bytes),
        number(left.objects as f64 / builds),
        number(left.object_bytes as f64 / builds),
        count(left.largest_message_bytes as f64)
    );
    text
}

/// All requests of a phase, those of agents among them, by operation.
fn requests(phase: &Phase) -> String {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (call, times) in phase.functions.values().flat_map(|work| &work.calls).chain(&phase.agents) {
        *all.entry(call).or_default() += times;
    }
    let one = |(call, times): (&&str, &u64)| format!("{} {call}", number(*times as f64 / f64::from(phase.times)));
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn price_list(prices: &Prices) -> String {
    let mut text = "| price | US$ | for | source | read | |\n|---|--:|---|---|---|---|\n".to_owned();
    for (name, price) in &prices.prices {
        let mut note = price.note.clone();
        if !price.confirmed {
            let unsure = format!("\\* not confirmed, as known on {}", price.seen);
            note = if note.is_empty() { unsure } else { format!("{unsure}; {note}") };
        }
        let per = if price.per > 1.0 {
            format!("{} ", count(price.per))
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "| `{name}` | {} | {per}{} | <{}> | {} | {note} |",
            price.usd, price.unit, price.source, price.seen
        );
    }
    text
}

fn assumptions(prices: &Prices) -> String {
    let mut text = "| assumption | value | why |\n|---|--:|---|\n".to_owned();
    for (name, assumption) in &prices.assumptions {
        let _ = writeln!(text, "| `{name}` | {} {} | {} |", assumption.value, assumption.unit, assumption.why);
    }
    text
}

/// Dollars and cents.
fn dollars(usd: f64) -> String {
    format!("US$ {usd:.2}")
}

/// To three digits: what is beyond hangs on the assumptions.
fn significant(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powf(2.0 - value.log10().floor());
    (value * scale).round() / scale
}

/// A number to three digits, or to the unit where it has more.
fn number(value: f64) -> String {
    if value >= 100.0 {
        return count(value);
    }
    significant(value).to_string()
}

/// A whole number, with commas.
fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_current() {
        let page = std::fs::read_to_string(file()).unwrap();
        let current = replaced(&page, &computed().unwrap()).unwrap();
        assert!(
            page == current,
            "docs/cost.md is not what its data give: run `cargo xtask cost --page`"
        );
    }

    #[test]
    fn parts_are_replaced_and_none_is_forgotten() {
        let parts = BTreeMap::from([("a", "new\n".to_owned())]);
        let page = "one\n<!-- computed: a -->\nold\n<!-- end -->\ntwo\n";
        let expected = "one\n<!-- computed: a -->\n\nnew\n\n<!-- end -->\ntwo\n";
        assert_eq!(replaced(page, &parts).unwrap(), expected);
        assert_eq!(replaced(expected, &parts).unwrap(), expected);
        assert!(replaced("one\n", &parts).is_err());
        assert!(replaced(&format!("{page}{page}"), &parts).is_err());
        assert!(replaced("<!-- computed: a -->\nold\n", &parts).is_err());
        assert!(replaced(&page.replace(": a", ": b"), &parts).is_err());
    }

    #[test]
    fn numbers_are_short() {
        let short = [
            (0.0, "0"),
            (0.012_345, "0.0123"),
            (1.0, "1"),
            (12.345, "12.3"),
            (1234.5, "1,234"),
            (1e6, "1,000,000"),
        ];
        for (value, expected) in short {
            assert_eq!(number(value), expected);
        }
        assert_eq!(count(significant(123_456.0)), "123,000");
    }

    #[test]
    fn every_price_says_where_it_is_from_and_every_assumption_why() {
        let prices: Prices = input::read(&input::prices_file()).unwrap();
        assert_eq!(prices.region, "us-east-1");
        for (name, price) in &prices.prices {
            assert!(price.source.starts_with("http") && price.usd >= 0.0 && price.per >= 1.0, "{name}");
            assert!(price.seen.parse::<jiff::civil::Date>().is_ok(), "{name}");
        }
        for (name, assumption) in &prices.assumptions {
            assert!(!assumption.why.is_empty() && assumption.value >= 0.0, "{name}");
        }
    }
}
