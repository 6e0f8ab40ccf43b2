//! The engine in a world that repeats, loses, refuses and fails.
//!
//! One file holds the tests of one subject; [`world`] is what all of them stand in: every port of the engine, which remembers what was asked of it and can be
//! made to fail. A test of the ledger alone belongs to the test `memory`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod again;
mod alarms;
mod backups;
mod builds;
mod counting;
mod gates;
mod images;
mod inputs;
mod instances;
mod launcher;
mod locks;
mod performers;
mod pushes;
mod recent;
mod roles;
mod runs;
mod scheduling;
mod sizes;
mod slow;
mod standing;
mod suites;
mod sweeps;
mod timers;
mod world;
