//! The tables of `docs/explanation/cost.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;

use crate::cost::bill::{BUILDS, Bills, Line, Notify, total};
use crate::cost::input::{Measured, Phase, Prices};
use crate::cost::inventory::Types;

/// The team whose bill is shown line by line: the one in the middle.
const SHOWN: usize = 1;

/// The figures in a few sentences.
pub(super) fn summary(bills: &Bills<'_>) -> anyhow::Result<String> {
    let mut text = format!(
        "Bellhop costs **{}** a month at rest, and **{}** for {} builds without their agents.\n\
         In a month with builds, metrics add **{}**.",
        dollars(total(&bills.rest(bills.default()?)?)),
        dollars(bills.builds_usd()?),
        count(BUILDS),
        dollars(bills.metrics()?.usd)
    );
    for (name, lines) in bills.controllers()? {
        let usd = total(&lines);
        let _ = write!(
            text,
            "\nA controller ({name}) costs **{}** a month.\nAt **{} builds** a month, Bellhop costs the same.",
            dollars(usd),
            count(significant(bills.break_even(usd)?))
        );
    }
    Ok(text)
}

/// The figures in three rows, for the README.
pub(super) fn rows(bills: &Bills<'_>) -> anyhow::Result<String> {
    let rest = total(&bills.rest(bills.default()?)?);
    let controllers = bills.controllers()?;
    let (_, controller) = controllers.first().context("there is no controller to compare with")?;
    Ok(format!(
        "| a month, without agents | US$ |\n|---|--:|\n\
         | Bellhop at rest, with network, alarms and backups | {rest:.2} |\n\
         | Bellhop with {} builds, and their metrics | {:.2} |\n\
         | a Jenkins controller on Fargate, as in AWS's blog post | {:.2} |\n",
        count(BUILDS),
        rest + bills.builds_usd()? + bills.metrics()?.usd,
        total(controller),
    ))
}

/// A bill, line by line.
pub(super) fn bill(lines: &[Line], prices: &Prices) -> anyhow::Result<String> {
    let mut text = "| what | how much | price | US$ |\n|---|--:|---|--:|\n".to_owned();
    for line in lines {
        let price = prices.prices.get(&line.price).context("a line has no price")?;
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

/// The bills of the controllers.
pub(super) fn controllers(bills: &Bills<'_>) -> anyhow::Result<String> {
    let mut text = String::new();
    for (name, lines) in bills.controllers()? {
        let _ = writeln!(text, "{name}:\n\n{}", bill(&lines, bills.prices)?);
    }
    Ok(text)
}

/// What each choice costs more than what it adds to.
pub(super) fn choices(bills: &Bills<'_>) -> anyhow::Result<String> {
    let mut text = "| choice | US$ more a month at rest | US$ more for 1,000 builds, agents included |\n|---|--:|--:|\n".to_owned();
    for choice in &bills.inventory.choices {
        let Some(beside) = &choice.beside else { continue };
        let (at_rest, of_builds) = bills.more(choice, bills.inventory.choice(beside)?)?;
        let _ = writeln!(text, "| {} | {} | {} |", choice.what, signed(at_rest), signed(of_builds));
    }
    let keys = bills.default()?.keys;
    let cold = bills.prices.assumed("cold-share")?;
    let all = total(&bills.builds(keys, Notify::All, cold)?) - bills.builds_usd()?;
    let _ = writeln!(
        text,
        "| `notify: {{ successes: all }}`: a message for every success | 0 | {} |",
        signed(all)
    );
    Ok(text)
}

/// A month of each team beside the controllers.
pub(super) fn teams(bills: &Bills<'_>) -> anyhow::Result<String> {
    let controllers = bills.controllers()?;
    let mut text = "| developers | builds a month | agents, US$ | Bellhop, US$ | **Bellhop with agents, US$** |".to_owned();
    let mut rule = "|--:|--:|--:|--:|--:|".to_owned();
    for (name, _) in &controllers {
        let _ = write!(text, " {name}, with the same agents, US$ |");
        rule.push_str("--:|");
    }
    let _ = writeln!(text, "\n{rule}");
    for month in bills.teams()? {
        let (suite, agents) = (total(&month.suite), total(&month.agents));
        let _ = write!(
            text,
            "| {} | {} | {agents:.2} | {suite:.2} | **{:.2}** |",
            month.team.developers,
            count(month.builds),
            suite + agents
        );
        for (_, lines) in &controllers {
            let _ = write!(text, " {:.2} |", total(lines) + agents);
        }
        text.push('\n');
    }
    Ok(text)
}

/// The agents of one team for a month, line by line.
pub(super) fn team(bills: &Bills<'_>) -> anyhow::Result<String> {
    let teams = bills.teams()?;
    let month = teams.get(SHOWN).context("too few teams")?;
    let agents = bill(&month.agents, bills.prices)?;
    Ok(format!(
        "{} developers, {} builds:\n\n{agents}",
        month.team.developers,
        count(month.builds)
    ))
}

/// How each type of resource is billed.
pub(super) fn types(types: &Types) -> String {
    let mut text = "| type | billed |\n|---|---|\n".to_owned();
    for (name, charge) in types {
        let mut how = Vec::new();
        if let Some(free) = &charge.free {
            how.push(format!("free: {} (<{}>)", free.why, free.source));
        }
        if let Some(month) = &charge.month {
            how.push(format!("for each hour of its existence: \"{}\"", month.what));
        }
        if !charge.used.is_empty() {
            how.push(format!("by use: {}", charge.used.join(", ")));
        }
        let _ = writeln!(text, "| `{name}` | {} |", how.join("; "));
    }
    text
}

/// What was measured.
pub(super) fn measurements(measured: &Measured) -> String {
    let mut text = format!(
        "Measured on {} on {} (functions built in the profile `{}`),\n\
         with {} builds of `{}`: {} lost their Spot capacity once,\n\
         {} failed, and {} followed a failure on their branch.\n\n",
        measured.date,
        measured.machine,
        measured.profile,
        measured.builds,
        measured.script,
        measured.interrupted,
        measured.failed,
        measured.repaired
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
        "\nA build leaves {} bytes in the table, including indexes (its own item has {}),\n\
         and {} objects with {} bytes in the bucket. The largest message has {} bytes.",
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

/// The prices.
pub(super) fn price_list(prices: &Prices) -> String {
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

/// The assumptions.
pub(super) fn assumptions(prices: &Prices) -> String {
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

/// A difference in dollars, with its sign.
fn signed(usd: f64) -> String {
    if usd.abs() < 0.005 { "0".to_owned() } else { format!("{usd:+.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn differences_have_a_sign() {
        assert_eq!(signed(1.234), "+1.23");
        assert_eq!(signed(-0.5), "-0.50");
        assert_eq!(signed(0.004), "0");
    }
}
