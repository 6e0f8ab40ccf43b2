//! The environment of every function.

use std::env;

use bellhop_domain::backup::Definition;

/// The key of the suite configuration in the bucket, unless `BELLHOP_CONFIG_KEY` names another.
const CONFIG_KEY: &str = bellhop_domain::config::SUITE_FILE;

/// The value of `BELLHOP_CALLERS` for the function behind the function URL.
const VERIFIED: &str = "verified";

/// Whether a function is invoked by its function URL, whose events name the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Callers {
    /// Invoked directly: no event proves who sent it.
    #[default]
    Unverified,
    /// Invoked by the function URL alone: an event names the principal that IAM verified.
    Verified,
}

/// The settings in the environment. The SDK reads region, credentials and endpoints itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `BELLHOP_TABLE`: the DynamoDB table of the ledger.
    pub table: String,
    /// `BELLHOP_BUCKET`: the suite's bucket.
    pub bucket: String,
    /// `BELLHOP_TOPIC_ARN`: the SNS topic for messages.
    pub topic_arn: String,
    /// `BELLHOP_WAKE_TOPIC_ARN`: the internal SNS topic, by which functions wake each other. Without it, they cannot.
    pub wake_topic_arn: Option<String>,
    /// `BELLHOP_TIMER_QUEUE_URL`: the SQS queue whose messages invoke the sweep after a delay. Without it, the sweep comes only once a minute.
    pub timer_queue_url: Option<String>,
    /// `BELLHOP_CONFIG_KEY`: the suite configuration's key in the bucket.
    pub config_key: String,
    /// `BELLHOP_SUITE`: the suite's name, in its metrics, and as a part of what run ids and tokens are derived from; by default the table's name. It
    /// must be unique in the account and region.
    pub suite: String,
    /// `BELLHOP_BACKUP_VAULT`, `BELLHOP_BACKUP_ROLE_ARN` and `BELLHOP_TABLE_ARN`: the backup of the suite's table, if all three are set.
    pub table_backup: Option<Definition>,
    /// `BELLHOP_CALLERS`: `verified` for the function behind the function URL. With every other value, no name in an event is believed.
    pub callers: Callers,
}

/// All variables that are missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("missing environment variables: {}", .0.join(", "))]
pub struct MissingSettings(pub Vec<&'static str>);

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// If variables are missing or empty: all of them at once.
    pub fn from_environment() -> Result<Self, MissingSettings> {
        Self::from_lookup(|name| env::var(name).ok())
    }

    /// Reads an environment from a function that maps names to values.
    ///
    /// # Errors
    /// As [`Settings::from_environment`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, MissingSettings> {
        let mut missing = Vec::new();
        let optional = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let backup = (
            optional("BELLHOP_TABLE_ARN"),
            optional("BELLHOP_BACKUP_VAULT"),
            optional("BELLHOP_BACKUP_ROLE_ARN"),
        );
        let mut required = |name: &'static str| {
            lookup(name).filter(|value| !value.is_empty()).unwrap_or_else(|| {
                missing.push(name);
                String::new()
            })
        };
        let table = required("BELLHOP_TABLE");
        let settings = Self {
            suite: optional("BELLHOP_SUITE").unwrap_or_else(|| table.clone()),
            table,
            bucket: required("BELLHOP_BUCKET"),
            topic_arn: required("BELLHOP_TOPIC_ARN"),
            wake_topic_arn: optional("BELLHOP_WAKE_TOPIC_ARN"),
            timer_queue_url: optional("BELLHOP_TIMER_QUEUE_URL"),
            config_key: lookup("BELLHOP_CONFIG_KEY")
                .filter(|key| !key.is_empty())
                .unwrap_or_else(|| CONFIG_KEY.to_owned()),
            table_backup: match backup {
                (Some(table), Some(vault), Some(role)) => Some(Definition::of_suite_table(&table, &vault, &role)),
                _ => None,
            },
            callers: match lookup("BELLHOP_CALLERS").as_deref() {
                Some(VERIFIED) => Callers::Verified,
                _ => Callers::Unverified,
            },
        };
        if missing.is_empty() {
            Ok(settings)
        } else {
            Err(MissingSettings(missing))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let error = Settings::from_lookup(|name| (name == "BELLHOP_BUCKET").then(|| "suite".to_owned())).map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("missing environment variables: BELLHOP_TABLE, BELLHOP_TOPIC_ARN".to_owned())
        );
    }

    #[test]
    fn an_empty_variable_is_a_missing_one() {
        let error = Settings::from_lookup(|_| Some(String::new()));
        assert_eq!(
            error,
            Err(MissingSettings(vec!["BELLHOP_TABLE", "BELLHOP_BUCKET", "BELLHOP_TOPIC_ARN"]))
        );
    }

    #[test]
    fn the_suites_table_is_backed_up_where_the_stack_says_how() {
        let settings = |without: &str| Settings::from_lookup(|name| (name != without).then(|| name.to_ascii_lowercase()));
        let backup = settings("").map(|settings| settings.table_backup);
        let of = |backup: Definition| (backup.resource, backup.vault, backup.role);
        let expected = ("bellhop_table_arn", "bellhop_backup_vault", "bellhop_backup_role_arn");
        let (resource, vault, role) = expected;
        assert_eq!(
            backup.map(|backup| backup.map(of)),
            Ok(Some((resource.to_owned(), vault.to_owned(), role.to_owned())))
        );
        for without in ["BELLHOP_TABLE_ARN", "BELLHOP_BACKUP_VAULT", "BELLHOP_BACKUP_ROLE_ARN"] {
            assert_eq!(settings(without).map(|settings| settings.table_backup), Ok(None), "{without}");
        }
    }

    #[test]
    fn callers_are_verified_only_where_the_stack_says_so() {
        let callers = |value: Option<&str>| {
            let settings = Settings::from_lookup(|name| match name {
                "BELLHOP_CALLERS" => value.map(str::to_owned),
                _ => Some("x".to_owned()),
            });
            settings.map(|settings| settings.callers)
        };
        assert_eq!(callers(Some("verified")), Ok(Callers::Verified));
        for other in [None, Some(""), Some("Verified"), Some("true")] {
            assert_eq!(callers(other), Ok(Callers::Unverified), "{other:?}");
        }
    }

    #[test]
    fn a_suite_is_called_like_its_table_unless_it_has_a_name() {
        let suite = |name: &str| {
            let settings = Settings::from_lookup(|wanted| match wanted {
                "BELLHOP_SUITE" => (name != "unset").then(|| name.to_owned()),
                "BELLHOP_TABLE" => Some("ci-Table-1A2B".to_owned()),
                _ => Some("x".to_owned()),
            });
            settings.map(|settings| settings.suite)
        };
        assert_eq!(suite("ci"), Ok("ci".to_owned()));
        assert_eq!(suite(""), Ok("ci-Table-1A2B".to_owned()));
        assert_eq!(suite("unset"), Ok("ci-Table-1A2B".to_owned()));
    }

    #[test]
    fn the_configuration_has_a_usual_place() {
        let settings = Settings::from_lookup(|name| (name != "BELLHOP_CONFIG_KEY").then(|| "x".to_owned()));
        assert_eq!(settings.map(|settings| settings.config_key), Ok("config/bellhop.yaml".to_owned()));
    }

    #[test]
    fn the_reference_lists_every_variable() {
        let asked = std::cell::RefCell::new(Vec::new());
        let _ = Settings::from_lookup(|name| {
            asked.borrow_mut().push(name.to_owned());
            Some("x".to_owned())
        });
        let page = include_str!("../../../docs/reference/environment.md");
        let section = page.split("\n## Variables of the functions\n").nth(1).unwrap_or_default();
        for name in asked.borrow().iter() {
            assert!(
                section.contains(&format!("\n| `{name}` |")),
                "environment.md does not say what {name} is"
            );
        }
    }
}
