//! How a backup answers each event.

use jiff::Timestamp;

use super::effect::{BackupEffect, START_WITHIN};
use super::event::BackupEvent;
use super::job::{EndKind, MESSAGE_LIMIT, WorkId};
use super::record::Backup;
use super::seen::{JobObservation, RemovalObservation};
use crate::decision::Ignored;
use crate::outbox::Outbox;
use crate::record::Decides;

impl Decides for Backup {
    type Event = BackupEvent;
    type Effect = BackupEffect;

    fn outbox(&self) -> &Outbox<BackupEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<BackupEffect> {
        &mut self.outbox
    }

    fn settle(&mut self, _: &Self, now: Timestamp) {
        self.drop_oldest_jobs();
        self.changed = now;
    }

    fn apply(&mut self, event: &BackupEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            BackupEvent::Scheduled { definition, slot, by } => self.schedule(definition, *slot, by, now)?,
            BackupEvent::Check { definition } => {
                self.definition.clone_from(definition);
                // Also for jobs whose polls failed for a while.
                for id in self.unfinished() {
                    if let Some(work) = self.work_mut(id) {
                        work.polling_suspended = false;
                    }
                    self.poll(id, now);
                }
                self.push_once(BackupEffect::Check, now);
            }
            BackupEvent::Started { work, id } => {
                let started = self.work_mut(*work).ok_or(Ignored::NothingNew)?;
                if started.id.is_some() || started.end.is_some() {
                    return Err(Ignored::NothingNew);
                }
                started.id = Some(id.clone());
                started.seen_at = now;
            }
            BackupEvent::Refused { work, message } => self.work_ended(*work, EndKind::Refused, Some(message), None, now)?,
            BackupEvent::ReportedByEvent(heard) => {
                let heard = JobObservation {
                    created: None,
                    ..heard.clone()
                };
                self.observed(&heard, now)?;
            }
            BackupEvent::Described(seen) => {
                let result = self.observed(seen, now);
                self.note_nothing_created(seen);
                result?;
            }
            BackupEvent::Vanished(work) => {
                let message = "AWS Backup no longer has the job".to_owned();
                let is_restore = matches!(work, WorkId::Restore(_));
                if is_restore {
                    self.guess_created();
                }
                match self.work_ended(*work, EndKind::Vanished, Some(&message), None, now) {
                    // The poll was about the created resource of a finished restore.
                    Err(_) if is_restore => {
                        self.remove_created(now);
                        self.give_up_created(&message, now);
                    }
                    result => result?,
                }
            }
            BackupEvent::Newest(newest) => self.check_age(newest.as_ref(), now),
            BackupEvent::Removal(seen) => self.removal_observed(seen, now)?,
            BackupEvent::Tick => self.tick(now),
        }
        Ok(())
    }

    fn abandoned(&mut self, effect: BackupEffect, why: &str, now: Timestamp) {
        let why = crate::text::shown(why, MESSAGE_LIMIT);
        match effect {
            // The next schedule starts another job.
            BackupEffect::Start(work) => {
                let message = format!("every try in {} failed: {why}", humantime::format_duration(START_WITHIN));
                // If the job has already ended, nothing is left to do.
                let _ = self.work_ended(work, EndKind::Refused, Some(&message), None, now);
            }
            BackupEffect::Poll(work) => {
                if let Some(work) = self.work_mut(work).filter(|work| work.end.is_none()) {
                    work.polling_suspended = true;
                    let what = format!("poll AWS Backup job {}", work.id.as_deref().unwrap_or_default());
                    self.notify_abandoned(
                        what,
                        why,
                        "the next check polls it again, unless an event reports its end first",
                        now,
                    );
                } else {
                    self.give_up_created(&why, now);
                }
            }
            BackupEffect::Check => self.notify_abandoned(
                "look for the newest recovery point".to_owned(),
                why,
                "its age is not known until the next check",
                now,
            ),
            BackupEffect::Remove { .. } | BackupEffect::PollRemoval { .. } => {
                let _ = self.removal_observed(&RemovalObservation::Failed(why), now);
            }
            // A failed message cannot be reported by another message, so it is only counted.
            BackupEffect::Notify(_) => {}
        }
    }
}
