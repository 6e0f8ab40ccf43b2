//! The sources of events: one file per service, and the registry of the events that EventBridge delivers.
//!
//! A service's file has its events, with their types, and what its agents' states mean, for events and for the replies of its API alike. `control` and
//! `backup` have the requests of people too, and `function_url` those that come over HTTP. A new source is a file here and a line in [`EVENTS`].
//! Envelopes are not sources: `wrapping` opens them. Nothing here decides what follows from an event.

pub(crate) mod alarm;
pub mod backup;
pub mod codebuild;
pub(crate) mod codecommit;
pub(crate) mod codepipeline;
pub mod control;
pub(crate) mod ec2;
pub(crate) mod ecs;
pub mod function_url;
pub mod step_functions;
pub mod task;

use serde_json::Value;

use crate::{Event, Parser, Reason};

/// Every event of EventBridge that Bellhop handles.
const EVENTS: [&[Parser]; 7] = [
    codecommit::EVENTS,
    ecs::EVENTS,
    codebuild::event::EVENTS,
    step_functions::EVENTS,
    ec2::EVENTS,
    alarm::EVENTS,
    backup::EVENTS,
];

/// Parses an event; `None` if Bellhop does not handle its type.
pub(crate) fn event(source: &str, kind: &str, event: &Value) -> Option<Result<Event, Reason>> {
    find(EVENTS.into_iter().flatten(), source, kind, event)
}

/// The same for a message of a notification rule.
pub(crate) fn notification(source: &str, kind: &str, event: &Value) -> Option<Result<Event, Reason>> {
    find(codecommit::NOTIFICATIONS, source, kind, event)
}

fn find<'a>(parsers: impl IntoIterator<Item = &'a Parser>, source: &str, kind: &str, event: &Value) -> Option<Result<Event, Reason>> {
    let parser = parsers.into_iter().find(|parser| (parser.source, parser.kind) == (source, kind))?;
    Some((parser.parse)(event))
}
