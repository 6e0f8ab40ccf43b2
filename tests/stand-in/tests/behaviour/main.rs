//! The stand-in, seen from outside: over HTTP, and by the handles that tests get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alarms;
mod backup;
mod build_processes;
mod builds;
mod codecommit;
mod codepipeline;
mod ecs;
mod executions;
mod faults;
mod faults_by_hand;
mod instances;
mod lambda;
mod processes;
mod proxy;
mod services;
mod support;
