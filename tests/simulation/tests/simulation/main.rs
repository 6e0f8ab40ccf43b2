//! The simulation, with every test run.

mod worlds;
