//! Where an agent runs, and from which definition, as an event says it. An event is believed only if that fits the build.
//!
//! A principal that may start a task can give it the name of an attempt (`startedBy`, `BELLHOP_*` variables), and one that may invoke a function can make
//! up an event. So an event never gives an attempt its agent (see [`launched`](crate::agent::launched)): it only reports a change of an agent that the build's
//! record has already, and only if account, place and definition fit.
//!
//! Limit: a principal that may invoke the function itself can send it an event about a recorded agent in which everything fits. EventBridge does not
//! deliver such an event: a source that begins with `aws.` is reserved
//! (<https://docs.aws.amazon.com/scheduler/latest/APIReference/API_EventBridgePutEventsV2Parameters.html>), and the rules accept no other account.
//! Bellhop does not describe an agent again before its end counts, for two reasons. ECS is eventually consistent
//! (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>): `DescribeTasks` may still show the task as running, and each such end
//! would wait for a poll. And the read quota of ECS would then limit how many builds can end at a time.

use super::pages::ResourceName;
use crate::decision::Misfit;

/// What an event says about its agent, as far as it does: what is missing does not count as wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// The account that sent the event (`account` of its envelope).
    pub account: Option<String>,
    /// The place: the name or ARN of an ECS cluster or a CodeBuild project, or the ARN of a state machine.
    pub place: Option<String>,
    /// The task definition, as `family:revision` or ARN; only for ECS.
    pub definition: Option<String>,
}

impl Placement {
    /// Checks the account against that of the agent's ARN.
    pub(super) fn check_account(&self, agent: &ResourceName<'_>) -> Result<(), Misfit> {
        match &self.account {
            Some(account) if account != agent.account => Err(Misfit::Account),
            _ => Ok(()),
        }
    }

    /// Checks the place, which must be one of these, by name.
    pub(super) fn check_place<'a>(&self, places: impl IntoIterator<Item = &'a str>) -> Result<(), Misfit> {
        match &self.place {
            Some(place) if !places.into_iter().any(|own| last_part(own) == last_part(place)) => Err(Misfit::Place),
            _ => Ok(()),
        }
    }
}

/// Whether two names or ARNs of a cluster or project are of the same one: an ARN ends with the name.
pub(crate) fn is_same_name(one: &str, other: &str) -> bool {
    last_part(one) == last_part(other)
}

/// What follows the last slash.
fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether a task's definition is the one that a template names as `family`, `family:revision` or ARN. Without a revision, each revision is: ECS takes the
/// latest.
pub(crate) fn is_definition(template: &str, definition: &str) -> bool {
    let parts = |name: &'_ str| {
        let name = last_part(name).to_owned();
        match name.split_once(':') {
            Some((family, revision)) => (family.to_owned(), Some(revision.to_owned())),
            None => (name, None),
        }
    };
    let ((family, revision), (actual_family, actual_revision)) = (parts(template), parts(definition));
    family == actual_family && (revision.is_none() || revision == actual_revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_named_by_family_revision_or_arn() {
        let arn = "arn:aws:ecs:us-east-1:123456789012:task-definition/small:7";
        for own in ["small", "small:7", arn, "arn:aws:ecs:us-east-1:123456789012:task-definition/small"] {
            assert!(is_definition(own, arn) && is_definition(own, "small:7"), "{own}");
        }
        for other in ["smal", "small:6", "smaller", "small:70", "small:"] {
            assert!(!is_definition(other, arn), "{other}");
        }
        assert!(!is_definition("small:7", "small"), "another revision may be the latest");
    }

    #[test]
    fn a_place_is_compared_by_name_and_may_be_missing() {
        let at = |place: Option<&str>| Placement {
            place: place.map(ToOwned::to_owned),
            ..Placement::default()
        };
        let own = ["ci-spot", "arn:aws:ecs:us-east-1:123456789012:cluster/ci-main"];
        for fits in [
            None,
            Some("ci-main"),
            Some("ci-spot"),
            Some("arn:aws:ecs:us-east-1:123456789012:cluster/ci-spot"),
        ] {
            assert_eq!(at(fits).check_place(own), Ok(()), "{fits:?}");
        }
        for other in ["ci", "", "ci-spot-2", "arn:aws:ecs:us-east-1:123456789012:cluster/ci"] {
            assert_eq!(at(Some(other)).check_place(own), Err(Misfit::Place), "{other}");
        }
    }
}
