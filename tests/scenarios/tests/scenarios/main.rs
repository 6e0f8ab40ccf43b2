//! What the functions do, told as stories: a module for each topic, all in one binary.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod alarms;
mod attacks;
mod backups;
mod bad_input;
mod believed;
mod capacity;
mod codebuild;
mod control;
mod critical_path;
mod endings;
mod faults;
mod fetched;
mod filters;
mod graph;
mod instances;
mod interruptions;
mod ledger;
mod limits;
mod limits_of_agents;
mod lost_replies;
mod memory;
mod needs;
mod order;
mod pipelines;
mod refs;
mod refusals;
mod repairs;
mod repeated;
mod scripts;
mod settings;
mod step_functions;
mod story;
mod superseding;
mod timers;
mod words;
