//! The stand-in, seen from outside: over HTTP, and by the handles that tests get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod codecommit;
mod ecs;
mod faults;
mod processes;
mod proxy;
mod support;
