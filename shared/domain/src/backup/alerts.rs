//! Which problems a backup reports. Each problem is reported once, and so is the recovery.

use jiff::Timestamp;

use super::effect::{BackupEffect, BackupNews, BackupNewsKind};
use super::job::{End, EndKind};
use super::record::{Backup, Concern, Trouble};
use crate::outbox::Abandoned;

impl Backup {
    /// Reports a problem or a recovery. Every failed job is reported; a repeated remark only once.
    pub(super) fn report_end(&mut self, concern: Concern, slot: Timestamp, end: &End, news: BackupNewsKind, now: Timestamp) {
        if end.how == EndKind::Completed {
            return self.recovered(concern, slot, now);
        }
        let before = self.troubles.get(&concern);
        let known = end.how == EndKind::WithIssues
            && before.is_some_and(|before| before.status == EndKind::WithIssues.status() && before.message == end.message);
        let since = before.map_or(now, |before| before.since);
        let trouble = Trouble {
            status: end.how.status().to_owned(),
            message: end.message.clone(),
            slot: before.map_or(slot, |before| before.slot.max(slot)),
            since,
        };
        self.troubles.insert(concern, trouble);
        if !known {
            self.notify(slot, news, now);
        }
    }

    /// Ends a problem if the good result is newer. A job that ends the problems of jobs and of age at the same time is reported once.
    pub(super) fn recovered(&mut self, concern: Concern, slot: Timestamp, now: Timestamp) {
        let Some(trouble) = self
            .troubles
            .get(&concern)
            .filter(|trouble| concern == Concern::Age || trouble.slot <= slot)
        else {
            return;
        };
        let news = BackupNewsKind::Recovered {
            from: trouble.status.clone(),
            since: trouble.since,
            copy: concern == Concern::Copy,
        };
        self.troubles.remove(&concern);
        let is_same_recovery = |effect: &BackupEffect| match effect {
            BackupEffect::Notify(other) => other.at == now && matches!(other.what, BackupNewsKind::Recovered { copy: false, .. }),
            _ => false,
        };
        if concern == Concern::Copy || !self.outbox.any(is_same_recovery) {
            self.notify(slot, news, now);
        }
    }

    pub(super) fn notify_abandoned(&mut self, what: String, why: String, then: &str, at: Timestamp) {
        let what = Abandoned {
            what,
            why,
            now: then.to_owned(),
            advice: "check the functions' permissions and the status of the AWS service".to_owned(),
            at,
        };
        self.notify(at, BackupNewsKind::Abandoned(what), at);
    }

    pub(super) fn notify(&mut self, slot: Timestamp, what: BackupNewsKind, now: Timestamp) {
        self.outbox.push(BackupEffect::Notify(BackupNews { slot, at: now, what }), now);
    }
}
