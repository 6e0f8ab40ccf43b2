//! A build, one job of one run: its record, and the decisions about its events.
//!
//! - The types are at the bottom: `state`, `attempt`, `event`, `effect`, and the `record` itself.
//! - Above them, one file for each subject. A launch: `inputs`, `lock`, `slot`, `launch`, `refusal`, `orphan`. An agent: `observe`, `verdict`, `stop`.
//!   What follows: `retry`, `finish`, `abandoned`. Time: `deadline`, `due`, `tick`, `waiting`.
//! - At the top, `decide`, which answers every event.
//!
//! Decisions do not rely on the order or number of events. An event about an agent is matched to an attempt by number, and then to the attempt's
//! agent by the agent's id. So an agent that should not exist is recognized and stopped.
//!
//! Nothing here knows a run, the text of a message, the API of a service, or a clock, and nothing
//! distinguishes executors: it asks [`ExecutorKind`](crate::executor::ExecutorKind).

mod abandoned;
mod attempt;
mod cut;
mod deadline;
mod decide;
mod due;
mod effect;
mod event;
mod finish;
mod inputs;
mod launch;
mod lock;
mod observe;
mod orphan;
mod record;
mod refusal;
mod retry;
mod slot;
mod state;
mod stop;
mod text;
mod tick;
mod verdict;
mod waiting;

pub use attempt::{Attempt, Stray};
pub use deadline::{
    CHECK_CHANGING, CHECK_RUNNING, FAILING_POLLS_FOR, LONGEST_BACKOFF, ONCE_MORE_AFTER, PAUSED_WAIT, REFUSED_BACKOFF, STOP_TIMEOUT,
    UNKNOWN_FOR, WAITING_ANNOUNCED_AFTER,
};
pub use effect::{BuildEffect, BuildNews};
pub use event::{BuildEvent, Refusal};
pub use finish::because_of;
pub use inputs::Found;
pub use lock::LOCK_LIMIT;
pub use orphan::ORPHAN_SEARCH_TIME;
pub use record::Build;
pub use state::{BuildState, End, Phase, Slot, StopReason};

#[cfg(test)]
mod tests;
