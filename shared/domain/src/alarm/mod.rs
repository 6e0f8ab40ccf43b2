//! CloudWatch alarms: which state changes Bellhop reports, and which remedies it applies.
//!
//! One transition of an alarm may arrive in three forms (EventBridge event, SNS message, direct invocation), late, repeated and out of order. The
//! alarm, the state and the time at which the state began identify it. An alarm that keeps changing is reported once as flapping, and again when it
//! has settled.
//!
//! From the bottom up: `state` (what an event says), `remedy/` (what Bellhop can do about it, one file per remedy), `claim` and `pause` (two records
//! that alarms share), `news` and `effect` (what an alarm asks the engine for), `record`, `event`, then `notify` and `decide`. Texts for people are
//! in `message::alarm`, the parsing of AWS's events is in the events crate, and calls to AWS are in the engine. Look first at `decide.rs`; for one
//! remedy, at its file in `remedy/`.

mod claim;
mod decide;
mod effect;
mod event;
mod news;
mod notify;
mod pause;
mod record;
pub(crate) mod remedy;
mod state;
#[cfg(test)]
mod tests;

pub use claim::{Claim, Claimed};
pub use decide::SAME_WITHIN;
pub use effect::AlarmEffect;
pub use event::{AlarmEvent, ConfiguredRemedy};
pub use news::{AlarmNews, AlarmNewsKind, RemedyNews};
pub use pause::{LONGEST_PAUSE, Pause, Pauses};
pub use record::{Alarm, FLAP_WINDOW, FLAPS, SETTLED_AFTER};
pub use remedy::{Remedy, RemedyAction, RemedyKind, RemedyOutcome, Wording};
pub use state::{AlarmChange, AlarmFacts, AlarmId, AlarmState, Comparison, Transition};
