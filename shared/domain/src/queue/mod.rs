//! The queue: which build may launch an agent now, and which one waits.
//!
//! `pool` has the slots of one agent template with `max-concurrent`: the builds that hold one, and who gets the next. `line` has the builds that wait
//! for one. A lock of jobs is a pool with one slot. An agent template without `max-concurrent` has neither. `launcher` says which function works off the queue of throttled launches.
//!
//! A limit on launches that many builds share belongs here. What one build waits for by itself, such as the jobs that it needs or a backoff, belongs
//! to the build, and a pause of all launches to `alarm`. Nothing here knows an agent or a capacity: a slot is a number to the pool. A build and a
//! pool notify each other through their outboxes; a pool sends no messages to people. The number of slots comes from the agent template
//! (`max-concurrent` in `executor`). Look first at `Pool::apply`, and at `Pool::fill` for the builds that are next.

pub mod launcher;
pub mod line;
pub mod pool;
