//! What is decided about runs, builds, agents, alarms and backups, and the files and messages of people.
//!
//! Everything here is a pure function of its arguments: no AWS, no clock, no environment, no I/O. The engine loads a state, calls `decide` with an
//! event, stores the new state and performs its effects.
//!
//! | room | decides |
//! |---|---|
//! | `build` | what happens to one job of a run: launches, attempts, verdicts, retries |
//! | `run` | which builds may start when, how a run ends, its branch, its CodePipeline action |
//! | `executor` | what each kind of agent is: its template's keys, its capacities, its launch |
//! | `queue` | which build has a slot of an agent template |
//! | `config` | what the two files of users say, and the builds that they make of a push |
//! | `results` | what an agent left: its report, artifacts, counted tests |
//! | `alarm` | what an alarm's change leads to: remedies, messages |
//! | `backup` | when a backup begins, how it went, restore tests |
//! | `instance` | what becomes of a container instance that EC2 takes away |
//! | `message` | the texts of messages |
//! | `yaml` | how a file is read, and how a mistake in it is reported |
//!
//! Who asked for something is a [`caller`]. What all records share is in [`record`] (keys, steps, performers), [`outbox`] (effects, and how long they are tried) and [`decision`].

pub mod agent;
pub mod alarm;
pub mod backup;
pub mod build;
pub mod caller;
pub mod config;
pub mod configuration;
mod console;
pub mod decision;
pub mod executor;
pub mod ids;
pub mod inputs;
pub mod instance;
pub mod links;
pub mod measure;
pub mod message;
pub mod outbox;
pub mod outcome;
pub mod patterns;
pub mod queue;
pub mod record;
pub mod report;
pub mod request;
pub mod results;
pub mod run;
pub mod secret;
pub(crate) mod serde_duration;
pub mod spec;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
pub(crate) mod time;
mod yaml;
