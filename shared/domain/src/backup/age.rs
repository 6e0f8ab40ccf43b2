//! The age of the newest recovery point: it reveals a job that was never started.

use jiff::Timestamp;

use super::effect::BackupNewsKind;
use super::record::{Backup, Concern, Trouble};
use super::schedule::to_the_minute;
use super::seen::Point;
use crate::time::later;

impl Backup {
    pub(super) fn check_age(&mut self, newest: Option<&Point>, now: Timestamp) {
        let slot = to_the_minute(now);
        match (newest, self.definition.newest_at_most) {
            (_, None) => {
                self.troubles.remove(&Concern::Age);
            }
            (Some(point), Some(limit)) if later(point.created, limit) >= now => self.recovered(Concern::Age, slot, now),
            (Some(point), Some(limit)) => {
                let newest = point.created;
                self.report_age("stale", slot, BackupNewsKind::Stale { newest, limit }, now);
            }
            // The first recovery point may be in progress.
            (None, Some(_)) if self.jobs.iter().any(|job| job.work.end.is_none()) => {}
            // Before the first schedule there is none either.
            (None, Some(limit)) if self.jobs.is_empty() && later(self.since, limit) > now => {}
            (None, Some(_)) => self.report_age("missing", slot, BackupNewsKind::Missing, now),
        }
        if let Some(point) = newest {
            self.start_test(point, slot, now);
        }
    }

    fn report_age(&mut self, status: &str, slot: Timestamp, news: BackupNewsKind, now: Timestamp) {
        if self.troubles.get(&Concern::Age).is_some_and(|trouble| trouble.status == status) {
            return;
        }
        let trouble = Trouble {
            status: status.to_owned(),
            message: None,
            slot,
            since: now,
        };
        self.troubles.insert(Concern::Age, trouble);
        self.notify(slot, news, now);
    }
}
