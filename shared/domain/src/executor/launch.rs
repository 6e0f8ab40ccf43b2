//! The identity of a launch.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Capacity;
use crate::ids::AttemptId;

/// A launch of an attempt: all tries of it have the same idempotency token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaunchId {
    /// The attempt.
    pub attempt: AttemptId,
    /// The requested capacity.
    pub capacity: Capacity,
    /// How many launches of the attempt were refused under a token that the service would answer with the same refusal again.
    pub round: u32,
}

impl LaunchId {
    /// The first launch of an attempt on a capacity.
    #[must_use]
    pub fn first(attempt: AttemptId, capacity: Capacity) -> Self {
        Self {
            attempt,
            capacity,
            round: 0,
        }
    }

    /// Its idempotency token: the same for every try of it, and different for another attempt, capacity, round or suite, whose runs have other ids.
    /// It has 40 characters, within the limit of 64 of ECS and CodeBuild.
    #[must_use]
    pub fn token(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.attempt.started_by().as_bytes());
        hash.update([0]);
        hash.update(self.capacity.as_str().as_bytes());
        if self.round > 0 {
            hash.update([0]);
            hash.update(self.round.to_be_bytes());
        }
        let mut text = data_encoding::HEXLOWER.encode(&hash.finalize());
        text.truncate(40);
        text
    }
}

impl fmt::Display for LaunchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.attempt, self.capacity)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ids::{BuildId, Reference, RunId};

    fn launch(number: u32, capacity: Capacity) -> LaunchId {
        let build = "abcdefghij/test".parse().unwrap();
        LaunchId::first(AttemptId { build, number }, capacity)
    }

    /// Two versions of this suite must ask for one launch with one token, or an update in the middle of it launches two agents.
    #[test]
    fn a_launch_token_never_changes() {
        let token = |number, capacity| launch(number, capacity).token();
        assert_eq!(token(1, Capacity::Spot), "14e3efa959a563087946f41861a3aac3cc3c1d45");
        assert_eq!(token(1, Capacity::Spot).len(), 40);
        assert_ne!(token(1, Capacity::Spot), token(1, Capacity::OnDemand));
        assert_ne!(token(1, Capacity::Spot), token(2, Capacity::Spot));
    }

    #[test]
    fn every_round_of_a_launch_has_a_token_of_its_own() {
        let first = launch(1, Capacity::Spot);
        let rounds = [0, 1, 2, 256].map(|round| LaunchId { round, ..first.clone() }.token());
        let different: BTreeSet<_> = rounds.iter().collect();
        assert_eq!(different.len(), rounds.len());
        assert!(rounds.iter().all(|token| token.len() == 40));
    }

    /// Two suites may watch one repository and start agents on one cluster: ECS would take their launches for one.
    #[test]
    fn suites_share_no_token() {
        let main: Reference = "refs/heads/main".parse().unwrap();
        let token = |suite| {
            let build = BuildId {
                run: RunId::derive(suite, "4f5c1a2e", &main),
                job: "test".parse().unwrap(),
            };
            LaunchId::first(AttemptId { build, number: 1 }, Capacity::Spot).token()
        };
        assert_ne!(token("ci"), token("ci-next"));
    }
}
