//! What a build leaves in the bucket: artifacts, and the tests in its JUnit reports.
//!
//! `found` has the stored counts and names and their limits; a build keeps them, and messages and reports show them. `junit` turns the bytes of one
//! report into such counts.
//!
//! Results explain a build and never decide its outcome: the exit code does that. Nothing here lists or reads the bucket (the engine does), and
//! nothing here makes sentences for people (`message::results` does). Everyone who may push can write these files, so all sizes are bounded. Look
//! first at `found.rs`; for a report that is counted wrongly, at `junit/count.rs`.

pub mod found;
pub mod junit;
