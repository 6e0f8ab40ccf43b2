//! Messages to people: one JSON document for programs, and texts for e-mail and SMS.
//!
//! A record decides that people get a message and stores its contents as news. A file here turns the news of one kind of record into a [`Message`]:
//! `run`, `build`, `alarm`, `backup` and `instance`, and `abandoned` for every record whose effect was given up. The configuration's messages are in
//! `crate::configuration`.
//!
//! `text` has the limits and makes names from outside fit for one line, `results` has the lines about tests and artifacts, and `notice` puts the
//! parts together; every message goes through it. Nothing here decides whether a message is sent, and nothing sends it. A title is
//! composed in the record's file; it is the subject too, and `text::place` is its beginning. `summary` and `progress` in `run` are also what CodePipeline
//! shows. Look first at the file of the record.

mod abandoned;
mod alarm;
mod backup;
mod build;
mod instance;
mod notice;
mod results;
mod run;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub use abandoned::{about_abandoned_of_instance, about_abandoned_of_run};
pub use alarm::about_alarm;
pub use backup::{about_backup, about_no_backups};
pub use build::about_build;
pub use instance::{about_foreign, about_instance_after_advice};
pub(crate) use notice::Notice;
pub use notice::{Message, Severity};
pub use run::{about_run, decisive_job, progress, summary};
pub use text::{SMS_LIMIT, SUBJECT_LIMIT};
