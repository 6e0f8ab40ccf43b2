//! What every function's `main` needs: the settings from the environment, the engine on AWS, logging, and errors as Lambda reports them.

mod agents;
mod each;
mod failure;
mod logging;
mod metrics;
mod serve;
mod settings;
mod suite;

pub use agents::take_agent_change;
pub use each::each_event;
pub use failure::Failure;
pub use serve::{Invocation, serve};
pub use settings::{MissingSettings, Settings};
pub use suite::Suite;
