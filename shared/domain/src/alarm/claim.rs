//! The claim on the target of a remedy: it limits how often a remedy is applied to one target, for all alarms together.
//!
//! A claim is free, and the remedy is applied; or busy, and the alarm waits for the other one (`decide`, `waiting_for_other`); or was used too recently,
//! and the remedy is held back.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::outbox::PERFORM_WITHIN;
use crate::time::later;

/// The newest remedy of a target, so that it is not repeated too soon: a record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The target ([`RemedyAction::target`](super::RemedyAction::target)).
    pub target: String,
    /// The occasion ([`Alarm::occasion`](super::Alarm::occasion)).
    pub by: String,
    /// When it was claimed. A remedy that was started on the target after this time counts as done for this claim.
    pub at: Timestamp,
    /// How long the record is relevant.
    pub until: Timestamp,
    /// Whether the remedy was applied. Until then the claim excludes others only for as long as a function may be applying it.
    pub done: bool,
    /// When it was last tried.
    #[serde(default)]
    pub tried: Option<Timestamp>,
    /// When it was applied, or failed for good.
    #[serde(default)]
    pub over: Option<Timestamp>,
}

/// The result of claiming a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// This occasion has the claim: it is new, or the same occasion had it before.
    Yes(Claim),
    /// The remedy was applied for another occasion at this moment, which is too recent.
    Done(Timestamp),
    /// Another occasion requested it at this moment and may be applying it now.
    Busy(Timestamp),
}

impl Claim {
    /// Claims a target for an occasion. An earlier claim may exist.
    #[must_use]
    pub fn acquire(present: Option<&Self>, target: &str, by: &str, every: Duration, now: Timestamp) -> Claimed {
        // A retry for this occasion must find its claim.
        let until = later(now, every.max(Duration::from_secs(24 * 3600)));
        let own = Self {
            target: target.to_owned(),
            by: by.to_owned(),
            at: now,
            until,
            done: false,
            tried: Some(now),
            over: None,
        };
        match present {
            Some(claim) if claim.by == by && claim.done => Claimed::Yes(claim.clone()),
            Some(claim) if claim.by == by => Claimed::Yes(Self { at: claim.at, ..own }),
            Some(claim) if claim.done && later(claim.ended(), every) > now => Claimed::Done(claim.ended()),
            Some(claim) if claim.may_be_tried(every, now) => Claimed::Busy(claim.at),
            // The remedy may have been applied without a confirmation: what was started since then counts.
            Some(claim) if !claim.done && later(claim.at, every) > now => Claimed::Yes(Self { at: claim.at, ..own }),
            _ => Claimed::Yes(own),
        }
    }

    /// This claim after its occasion's remedy was applied or failed for good; `None` if that changes nothing.
    #[must_use]
    pub fn end(&self, by: &str, done: bool, now: Timestamp) -> Option<Self> {
        let is_news = self.by == by && !self.done && (done || self.over.is_none());
        is_news.then(|| Self {
            done,
            over: Some(now),
            ..self.clone()
        })
    }

    /// Whether a function may be applying the remedy: for as long as an invocation can last.
    fn may_be_tried(&self, every: Duration, now: Timestamp) -> bool {
        let tried = self.tried.unwrap_or(self.at);
        !self.done && self.over.is_none() && later(tried, every.min(PERFORM_WITHIN)) > now
    }

    fn ended(&self) -> Timestamp {
        self.over.unwrap_or(self.at)
    }
}
