//! The computed parts of `docs/explanation/cost.md` and `README.md`, each between a line `<!-- computed: NAME -->` and a line `<!-- end -->`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

use crate::cost::bill::{Bills, Notify};
use crate::cost::input::{self, Measured, Prices};
use crate::cost::inventory::{self, Inventory, Types};
use crate::cost::tables;
use xtask::workspace::root;

const END: &str = "<!-- end -->";

/// Every page with its parts computed again: its file, its text as it is, and as it should be.
///
/// # Errors
/// A file does not fit, or a page lacks a part.
pub(super) fn pages() -> anyhow::Result<Vec<(PathBuf, String, String)>> {
    let mut parts = computed()?;
    let of_readme = parts.remove_entry("readme").into_iter().collect();
    let pages = [("README.md", of_readme), ("docs/explanation/cost.md", parts)].map(|(name, parts)| {
        let file = root().join(name);
        let before = std::fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
        let after = replaced(&before, &parts).with_context(|| format!("{name} does not fit"))?;
        Ok((file, before, after))
    });
    pages.into_iter().collect()
}

/// Every computed part, by its name.
///
/// # Errors
/// A file does not fit.
fn computed() -> anyhow::Result<BTreeMap<&'static str, String>> {
    let measured: Measured = input::read(&input::measured_file())?;
    let prices: Prices = input::read(&input::prices_file())?;
    let found: Inventory = input::read(&inventory::inventory_file())?;
    let types: Types = input::read(&inventory::types_file())?;
    let bills = Bills::of(&measured, &found, &types, &prices)?;
    let default = bills.default()?;
    let builds = bills.builds(default.keys, Notify::Changes, prices.assumed("cold-share")?)?;
    Ok(BTreeMap::from([
        ("readme", tables::rows(&bills)?),
        ("summary", tables::summary(&bills)?),
        ("rest", tables::bill(&bills.rest(default)?, &prices)?),
        ("choices", tables::choices(&bills)?),
        ("builds", tables::bill(&builds, &prices)?),
        ("teams", tables::teams(&bills)?),
        ("team", tables::team(&bills)?),
        ("controllers", tables::controllers(&bills)?),
        ("types", tables::types(&types)),
        ("measured", tables::measurements(&measured)),
        ("prices", tables::price_list(&prices)),
        ("assumptions", tables::assumptions(&prices)),
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
            .with_context(|| format!("the part {name} is there twice, or is not computed"))?;
        ensure!(lines.any(|line| line == END), "the part {name} has no end");
        let _ = writeln!(text, "\n{}\n\n{END}", part.trim_end());
    }
    if let Some(name) = left.keys().next() {
        bail!("there is no part {name}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_current() {
        for (file, page, current) in pages().unwrap() {
            assert!(
                page == current,
                "{} is not what its data give: run `cargo xtask cost --page`",
                file.display()
            );
        }
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
