//! What the templates make, for each choice of their parameters, and how each type of resource is billed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use xtask::workspace::root;

/// The name of the choice that changes nothing.
pub(super) const DEFAULT: &str = "default";

/// What the templates make. `tests/local/inventory.py` writes it from `infra/` and `docs/explanation/cost/choices.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inventory {
    /// Every name under which a resource of any template may be billed: its type, and what kind of endpoint it is.
    pub(super) types: Vec<String>,
    /// Every function's memory.
    pub(super) memory_mb: f64,
    /// Days between two backups of the table that the function starts.
    pub(super) backup_every_days: f64,
    /// Backups of the table that the plan of AWS Backup keeps.
    pub(super) plan_copies: f64,
    /// By task definition.
    pub(super) agents: BTreeMap<String, Size>,
    /// How many there are by default, by these names.
    pub(super) resources: BTreeMap<String, f64>,
    /// The default first.
    pub(super) choices: Vec<Choice>,
}

/// The size of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    pub(super) vcpu: f64,
    pub(super) gb: f64,
    /// What its disk has beyond what Fargate gives each task.
    pub(super) billed_disk_gb: f64,
}

/// A choice of parameters, and what it makes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    pub(super) name: String,
    /// The choice that it adds to.
    #[serde(default)]
    pub(super) beside: Option<String>,
    /// The parameters that it adds, with their values.
    pub(super) parameters: BTreeMap<String, String>,
    /// What it is, for the page.
    pub(super) what: String,
    pub(super) keys: Keys,
    /// Whether agents have public addresses.
    pub(super) public_addresses: bool,
    /// How many more resources there are than by default.
    pub(super) more: BTreeMap<String, f64>,
}

/// What is encrypted with a key whose requests are billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) table: bool,
    pub(super) topic: bool,
    pub(super) bucket: bool,
    /// The agents' images.
    pub(super) images: bool,
}

impl Inventory {
    /// A choice by its name.
    pub(super) fn choice(&self, name: &str) -> anyhow::Result<&Choice> {
        let found = self.choices.iter().find(|choice| choice.name == name);
        found.with_context(|| format!("docs/explanation/cost/resources.json has no choice {name}"))
    }

    /// How many resources a choice makes, by the names under which they are billed.
    pub(super) fn resources<'a>(&'a self, choice: &'a Choice) -> BTreeMap<&'a str, f64> {
        let mut all: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, times) in self.resources.iter().chain(&choice.more) {
            *all.entry(name).or_default() += times;
        }
        all.retain(|_, times| *times > 0.0);
        all
    }

    /// The size of an agent by the end of its task definition's name.
    pub(super) fn agent(&self, name: &str) -> anyhow::Result<Size> {
        let ending = format!("-{name}");
        let found = self.agents.iter().find(|(family, _)| family.ends_with(&ending));
        let (_, size) = found.with_context(|| format!("no task definition is of the agent {name}"))?;
        Ok(*size)
    }
}

/// How each type of resource is billed, by the names of [`Inventory::types`]. Kept by hand.
pub(super) type Types = BTreeMap<String, Charge>;

/// How a type of resource is billed: not at all, for as long as it exists, by its use, or by both.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Charge {
    /// Why it costs nothing.
    #[serde(default)]
    pub(super) free: Option<Free>,
    /// What a month of its existence costs.
    #[serde(default)]
    pub(super) month: Option<Month>,
    /// The lines of the bills that count its use.
    #[serde(default, rename = "use")]
    pub(super) used: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Free {
    pub(super) why: String,
    pub(super) source: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Month {
    /// The line of the bill.
    pub(super) what: String,
    /// The price's name.
    pub(super) price: String,
    /// The assumption that says how many units of the price one resource is. Without it, it is one.
    #[serde(default)]
    pub(super) each: Option<String>,
}

/// Holds the types of the templates against the types that the bill knows.
///
/// # Errors
/// The bill lacks a type or has one that no template has, or one is free and billed, or neither.
pub(super) fn check(inventory: &Inventory, types: &Types) -> anyhow::Result<()> {
    for name in &inventory.types {
        ensure!(
            types.contains_key(name),
            "a template has an {name}, and docs/explanation/cost/types.json does not say how it is billed"
        );
    }
    for (name, charge) in types {
        ensure!(
            inventory.types.contains(name),
            "docs/explanation/cost/types.json says how an {name} is billed, and no template has one"
        );
        let is_billed = charge.month.is_some() || !charge.used.is_empty();
        ensure!(
            charge.free.is_some() != is_billed,
            "docs/explanation/cost/types.json: an {name} is either free or billed"
        );
    }
    Ok(())
}

/// The file of what the templates make.
pub(super) fn inventory_file() -> PathBuf {
    root().join("docs/explanation/cost/resources.json")
}

/// The file of how types are billed.
pub(super) fn types_file() -> PathBuf {
    root().join("docs/explanation/cost/types.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::input;

    fn files() -> (Inventory, Types) {
        (input::read(&inventory_file()).unwrap(), input::read(&types_file()).unwrap())
    }

    #[test]
    fn every_type_of_the_templates_is_billed_or_free() {
        let (inventory, types) = files();
        check(&inventory, &types).unwrap();
    }

    #[test]
    fn an_unknown_type_is_found() {
        let (mut inventory, types) = files();
        inventory.types.push("AWS::RDS::DBInstance".to_owned());
        let error = check(&inventory, &types).unwrap_err().to_string();
        assert!(error.contains("AWS::RDS::DBInstance") && error.contains("does not say"), "{error}");
    }

    #[test]
    fn a_type_of_no_template_is_found() {
        let (inventory, mut types) = files();
        types.insert("AWS::RDS::DBInstance".to_owned(), types["AWS::IAM::Role"].clone());
        let error = check(&inventory, &types).unwrap_err().to_string();
        assert!(error.contains("AWS::RDS::DBInstance") && error.contains("no template"), "{error}");
    }

    #[test]
    fn a_type_is_free_or_billed() {
        let (inventory, mut types) = files();
        types.insert("AWS::IAM::Role".to_owned(), Charge::default());
        assert!(check(&inventory, &types).is_err());
        let (_, mut types) = files();
        types.get_mut("AWS::IAM::Role").unwrap().used.push("events".to_owned());
        assert!(check(&inventory, &types).is_err());
    }

    #[test]
    fn a_choice_is_counted_against_the_default() {
        let (mut inventory, _) = files();
        inventory.resources = BTreeMap::from([("A".to_owned(), 2.0), ("B".to_owned(), 1.0)]);
        let mut choice = inventory.choices[0].clone();
        choice.more = BTreeMap::from([("B".to_owned(), -1.0), ("C".to_owned(), 3.0)]);
        assert_eq!(inventory.resources(&choice), BTreeMap::from([("A", 2.0), ("C", 3.0)]));
    }

    #[test]
    fn the_first_choice_is_the_default_and_each_other_has_one_beside_it() {
        let (inventory, _) = files();
        for (place, choice) in inventory.choices.iter().enumerate() {
            assert_eq!(choice.name == DEFAULT, place == 0, "{}", choice.name);
            assert_eq!(choice.beside.is_none(), place == 0, "{}", choice.name);
            assert_eq!(choice.parameters.is_empty(), place == 0, "{}", choice.name);
            if let Some(beside) = &choice.beside {
                inventory.choice(beside).unwrap();
            }
        }
    }
}
