//! Secrets of a job by reference: a job names them, and its agent fetches them. No value of a secret passes through here.
//!
//! A secret belongs to a repository: it is stored under `/bellhop/REPOSITORY/`, where REPOSITORY is always the one of the build. Which of these secrets an
//! agent can read is up to its role.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::RepositoryName;

/// The secrets of a job, by the names of their variables.
pub type Secrets = BTreeMap<String, Secret>;

/// The variable with the references to the job's secrets ([`lines`]).
pub const VARIABLE: &str = "BELLHOP_SECRETS";

/// What the names of all repositories' secrets begin with.
const PREFIX: &str = "/bellhop";

/// The longest name of a secret below its repository's prefix, in characters. Parameter Store takes names of up to 1,011 characters
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>), Secrets Manager of up to 512.
pub(crate) const LONGEST_NAME: usize = 200;

/// The most parts of such a name. Parameter Store takes 15 levels, of which the prefix has two.
pub(crate) const MOST_PARTS: usize = 10;

/// The longest key of a secret in JSON, in characters.
pub(crate) const LONGEST_KEY: usize = 128;

/// Where a secret of the build's repository is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    /// The parameter of Systems Manager Parameter Store with this name below the repository's prefix.
    Parameter(String),
    /// A secret of Secrets Manager.
    SecretsManager {
        /// Its name below the repository's prefix.
        name: String,
        /// The key of the value, if the secret is a JSON object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
}

impl Secret {
    /// The whole name of the secret in its service.
    #[must_use]
    pub fn path(&self, repository: &RepositoryName) -> String {
        let (Self::Parameter(name) | Self::SecretsManager { name, .. }) = self;
        format!("{PREFIX}/{repository}/{name}")
    }
}

/// The secrets as an agent is given them: one a line, with its variable, service, name and key. No part has a space in it.
///
/// ```text
/// NPM_TOKEN ssm /bellhop/shop/npm-token
/// DB secretsmanager /bellhop/shop/db password
/// ```
#[must_use]
pub fn lines(secrets: &Secrets, repository: &RepositoryName) -> String {
    let line = |(variable, secret): (&String, &Secret)| {
        let path = secret.path(repository);
        match secret {
            Secret::Parameter(_) => format!("{variable} ssm {path}"),
            Secret::SecretsManager { key: None, .. } => format!("{variable} secretsmanager {path}"),
            Secret::SecretsManager { key: Some(key), .. } => format!("{variable} secretsmanager {path} {key}"),
        }
    };
    secrets.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether a text is a name of a secret below its repository's prefix, in both services: Parameter Store takes letters, digits, `.`, `_`, `-`, and `/`
/// between the parts, and Secrets Manager some more (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>). Repositories
/// of CodeCommit have names of the same characters. A `:` would be a version to Parameter Store, and a key to CodeBuild.
pub(crate) fn is_name(text: &str) -> bool {
    let mut parts = text.split('/');
    text.len() <= LONGEST_NAME && parts.clone().count() <= MOST_PARTS && parts.all(|part| is_word(part) && !matches!(part, "." | ".."))
}

/// Whether a text is a key that a job may name.
pub(crate) fn is_key(text: &str) -> bool {
    text.len() <= LONGEST_KEY && is_word(text)
}

fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_below_the_prefix_of_the_builds_repository() {
        let parameter = Secret::Parameter("protected/deploy-key".to_owned());
        let database = Secret::SecretsManager {
            name: "db".to_owned(),
            key: Some("password".to_owned()),
        };
        let whole = Secret::SecretsManager {
            name: "db".to_owned(),
            key: None,
        };
        let shop: RepositoryName = "my.shop_1-x".parse().unwrap();
        assert_eq!(parameter.path(&shop), "/bellhop/my.shop_1-x/protected/deploy-key");
        let secrets = [("KEY", parameter), ("DB", database), ("ALL", whole)];
        let secrets: Secrets = secrets.map(|(name, secret)| (name.to_owned(), secret)).into();
        assert_eq!(
            lines(&secrets, &shop),
            "ALL secretsmanager /bellhop/my.shop_1-x/db\n\
             DB secretsmanager /bellhop/my.shop_1-x/db password\n\
             KEY ssm /bellhop/my.shop_1-x/protected/deploy-key"
        );
        assert_eq!(lines(&Secrets::new(), &shop), "");
    }

    #[test]
    fn no_name_leaves_the_prefix() {
        let longest = "x".repeat(LONGEST_NAME);
        for name in [
            "npm-token",
            "protected/deploy-key",
            "a.b_c-D9",
            "..a",
            &longest,
            "1/2/3/4/5/6/7/8/9/10",
        ] {
            assert!(is_name(name), "{name}");
        }
        let longer = "x".repeat(LONGEST_NAME + 1);
        for name in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../other/token",
            "a/../b",
            "a/./b",
            "a b",
            "a:3",
            "a*",
            "ä",
            "a\n",
            &longer,
            "1/2/3/4/5/6/7/8/9/10/11",
        ] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_key("password") && !is_key("") && !is_key("a:b") && !is_key("a/b"));
    }
}
