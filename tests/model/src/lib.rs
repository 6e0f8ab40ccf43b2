//! What the two emulations of AWS say alike about each service: life cycles, words, what a token means, how long things last.
//!
//! `tests/stand-in` answers over HTTP in real time, and `tests/simulation` in memory in virtual time. What both say of a service is here, once, so that they
//! cannot differ: one file per service, and [`tokens`] for all of them. What only one of them says stays there: the forms of requests, answers and events in
//! the stand-in; chance, hidden truth and hostility in the simulation.
//!
//! There is no I/O here, no clock and no chance. A moment is a parameter, of the type that its caller counts time in.

pub mod backup;
pub mod cloudwatch;
pub mod codebuild;
pub mod codepipeline;
pub mod ecs;
pub mod lambda;
pub mod step_functions;
pub mod tokens;
