//! The common code of all functions' `main`: settings from the environment, the engine on AWS, logging, and errors for Lambda.

mod agents;
mod each;
mod failure;
mod logging;
mod metrics;
mod serve;
mod settings;
mod suite;
mod wake;

pub use agents::take_agent_change;
pub use each::each_event;
pub use failure::Failure;
pub use serve::{Invocation, serve};
pub use settings::{Callers, MissingSettings, Settings};
pub use suite::Suite;
pub use wake::take_wake_up;
