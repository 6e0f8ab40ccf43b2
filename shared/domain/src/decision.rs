//! The result of `decide`.

use std::fmt;

/// The result of an event for a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<S> {
    /// The next state, with its new effects in its outbox.
    Next(Box<S>),
    /// The event changes nothing. That is the normal result of duplicate, late and reordered events, not an error.
    Ignored(Ignored),
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It is a duplicate, or older than a known event.
    Stale,
    /// It contains no news.
    NothingNew,
    /// The attempt has already ended.
    AttemptOver,
    /// The build or run has already finished.
    Over,
    /// The agent is not the attempt's, and has stopped or is being stopped.
    OtherAgent,
    /// The event does not fit the build.
    Misfit(Misfit),
    /// The agent is neither recorded nor proven to be one that Bellhop launched.
    Unproven,
    /// Nothing is due yet.
    NotDue,
    /// The run has no such job.
    UnknownJob,
    /// No slot is free: the request must queue up.
    Full,
}

/// Why an event does not fit its build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// Its account is not its agent's.
    Account,
    /// Its agent is one of another service, or runs in no place of the build's agent template.
    Place,
    /// Its agent runs another definition than that of the build's agent template.
    Definition,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "from another account than its agent's",
            Self::Place => "about an agent in no cluster, project or state machine of the build's agent template",
            Self::Definition => "about an agent with another task definition than that of the build's agent template",
        })
    }
}

impl Ignored {
    /// Whether the event may be made up, or about a task that imitates an agent. An event that arrives before the reply to its agent's launch is
    /// committed can look the same.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        matches!(self, Self::Misfit(_) | Self::Unproven)
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "a duplicate, or older than what is known",
            Self::NothingNew => "already known",
            Self::AttemptOver => "the attempt is over",
            Self::Over => "already over",
            Self::OtherAgent => "from another agent, which has stopped or is being stopped",
            Self::Misfit(misfit) => return misfit.fmt(f),
            Self::Unproven => "about an agent that Bellhop is not proven to have launched",
            Self::NotDue => "nothing is due",
            Self::UnknownJob => "the run has no such job",
            Self::Full => "no slot is free",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_event_changes_nothing_can_be_read() {
        assert_eq!(Ignored::NotDue.to_string(), "nothing is due");
        assert_eq!(Ignored::Over.to_string(), "already over");
    }
}
