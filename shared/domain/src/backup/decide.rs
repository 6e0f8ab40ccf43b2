//! How a backup answers each event.

use jiff::Timestamp;

use super::effect::{BackupEffect, START_WITHIN};
use super::event::BackupEvent;
use super::job::{How, MESSAGE_LIMIT, WorkId};
use super::record::Backup;
use super::seen::{JobSeen, RemovalSeen};
use crate::decision::{Decision, Ignored};
use crate::outbox::{Deferral, EffectId};

impl Backup {
    /// Decides the next state of this backup after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &BackupEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) if next != *self => {
                next.changed = now;
                Decision::Next(Box::new(next))
            }
            Ok(()) => Decision::Ignored(Ignored::NothingNew),
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &BackupEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            BackupEvent::Scheduled { definition, slot, by } => self.schedule(definition, *slot, by, now)?,
            BackupEvent::Check { definition } => {
                self.definition.clone_from(definition);
                // Also for jobs whose polls failed for a while.
                for id in self.unfinished() {
                    if let Some(work) = self.work_mut(id) {
                        work.unasked = false;
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
                started.heard = now;
            }
            BackupEvent::Refused { work, message } => self.work_ended(*work, How::Refused, Some(message), None, now)?,
            BackupEvent::Heard(heard) => {
                let heard = JobSeen {
                    created: None,
                    ..heard.clone()
                };
                self.observed(&heard, now)?;
            }
            BackupEvent::Seen(seen) => {
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
                match self.work_ended(*work, How::Vanished, Some(&message), None, now) {
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
            BackupEvent::Performed(id) => {
                self.outbox.remove(*id);
            }
            BackupEvent::Deferred(id, why) => self.deferred(*id, why, now),
            BackupEvent::Tick => self.tick(now),
        }
        self.drop_oldest_jobs();
        Ok(())
    }

    fn deferred(&mut self, id: EffectId, why: &str, now: Timestamp) {
        let Deferral::Abandoned(effect) = self.outbox.defer(id, now) else {
            return;
        };
        let why = crate::text::shown(why, MESSAGE_LIMIT);
        match effect {
            // The next schedule starts another job.
            BackupEffect::Start(work) => {
                let message = format!("every try in {} failed: {why}", humantime::format_duration(START_WITHIN));
                // If the job has already ended, nothing is left to do.
                let _ = self.work_ended(work, How::Refused, Some(&message), None, now);
            }
            BackupEffect::Look(work) => {
                if let Some(work) = self.work_mut(work).filter(|work| work.end.is_none()) {
                    work.unasked = true;
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
            BackupEffect::Remove { .. } | BackupEffect::LookRemoval { .. } => {
                let _ = self.removal_observed(&RemovalSeen::Failed(why), now);
            }
            // A failed message cannot be reported by another message, so it is only counted.
            BackupEffect::Tell(_) => {}
        }
    }
}
