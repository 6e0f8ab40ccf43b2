//! The agent's own identity: the `UserId` of its credentials, `ROLE-ID:TASK-ID` for a task of ECS
//! (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>). Its role may write in the folder of that name only.

use std::time::Duration;

use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use tokio::sync::OnceCell;

use super::config::{self, Lazy};
use super::s3::Refusal;
use crate::address::Address;

/// What stands for the identity in an address.
const PLACEHOLDER: &str = "{identity}";
/// How long each try of the request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried.
const TRIES: u32 = 4;

/// The identity of the agent's credentials.
#[derive(Debug)]
pub struct Identity<'a> {
    aws: &'a Lazy<'a>,
    name: OnceCell<String>,
}

impl<'a> Identity<'a> {
    /// That of the credentials of this configuration. Nothing is asked before it is needed.
    #[must_use]
    pub fn new(aws: &'a Lazy<'a>) -> Self {
        Self {
            aws,
            name: OnceCell::new(),
        }
    }

    /// The address with the identity in the place of `{identity}`. Without a placeholder, AWS is not asked.
    ///
    /// # Errors
    /// The identity is not known.
    pub async fn in_address(&self, address: &Address) -> Result<Address, Refusal> {
        if !address.key.contains(PLACEHOLDER) {
            return Ok(address.clone());
        }
        let name = self.name.get_or_try_init(|| self.ask()).await?;
        Ok(Address {
            bucket: address.bucket.clone(),
            key: address.key.replace(PLACEHOLDER, name),
        })
    }

    async fn ask(&self) -> Result<String, Refusal> {
        let config = Builder::from(self.aws.get().await)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).build())
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .build();
        let asked = Client::from_conf(config).get_caller_identity().send().await;
        let unknown = |why: String| Refusal::new(format!("STS does not tell the agent's identity: {why}"));
        let identity = asked.map_err(|error| unknown(config::describe(&error)))?;
        let name = identity.user_id.unwrap_or_default();
        // A slash in it would lead to another folder.
        if name.is_empty() || name.contains('/') {
            return Err(unknown(format!("it answered {name:?}")));
        }
        Ok(name)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::settings::Variables;

    fn address(key: &str) -> Address {
        Address::parse(&format!("s3://bucket/{key}")).unwrap()
    }

    #[tokio::test]
    async fn the_identity_stands_where_the_address_names_it() {
        let variables = Variables::default();
        let known = Identity {
            aws: &Lazy::new(&variables),
            name: OnceCell::new_with(Some("AROA1:0a1b".to_owned())),
        };
        let found = known.in_address(&address("runs/abcdefghij/{identity}/test/1/result.json")).await;
        assert_eq!(found, Ok(address("runs/abcdefghij/AROA1:0a1b/test/1/result.json")));
    }

    #[tokio::test]
    async fn without_a_placeholder_nothing_is_asked() {
        let variables = Variables::default();
        let plain = address("runs/a/result.json");
        assert_eq!(Identity::new(&Lazy::new(&variables)).in_address(&plain).await, Ok(plain));
    }
}
