//! The simulation, with every test run.

mod flows;
mod worlds;
