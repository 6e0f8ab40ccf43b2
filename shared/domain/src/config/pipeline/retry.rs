//! A job's retry rules.

use std::time::Duration;

use super::raw::{RawCapacity, RawRule};
use crate::executor::Capacity;
use crate::spec::{RetryPolicy, RetryRule};
use crate::yaml::Source;
use crate::yaml::{FieldPath, FileError, quoted};
use crate::yaml::{Whole, WordOr};

/// The most rules of a retry policy.
const MOST_RULES: usize = 20;
/// The highest `limit` of a retry rule.
const MOST_RETRIES: u32 = 10;
/// The longest first wait of a retry rule.
const LONGEST_FIRST_BACKOFF: Duration = Duration::from_secs(3600);

pub(super) fn retry_policy(source: &Source, at: &FieldPath, raw: Vec<RawRule>, critical: bool) -> Result<RetryPolicy, FileError> {
    if raw.is_empty() {
        return Err(source.error(at, "an empty list: expected at least one rule, or the word `never`"));
    }
    if raw.len() > MOST_RULES {
        return Err(source.error(at, format!("{} rules: at most {MOST_RULES} are possible", raw.len())));
    }
    let mut rules = Vec::with_capacity(raw.len());
    for (i, raw) in raw.into_iter().enumerate() {
        let at = at.clone().index(i);
        let on = match raw.on {
            None => Vec::new(),
            Some(WordOr::Word(on)) => vec![on],
            Some(WordOr::List(on)) => on,
        };
        if on.is_empty() && raw.exit_codes.0.is_empty() {
            return Err(source.error(&at, "the rule matches nothing: expected `on`, `exit-codes` or both"));
        }
        if let Some(Whole(code)) = raw.exit_codes.0.iter().find(|Whole(code)| !(1..=255).contains(code)) {
            return Err(source.error(
                &at.key("exit-codes"),
                format!("`{code}` is not the exit code of a failure: expected 1 to 255"),
            ));
        }
        let limit = raw.limit.map_or(1, |Whole(limit)| limit);
        if limit > MOST_RETRIES {
            return Err(source.error(
                &at.key("limit"),
                format!("`{limit}` is out of bounds: expected 0 to {MOST_RETRIES}"),
            ));
        }
        if let Some(backoff) = raw.backoff.as_ref().filter(|backoff| backoff.span > LONGEST_FIRST_BACKOFF) {
            let message = format!("{} is out of bounds: expected at most 1h", quoted(&backoff.text));
            return Err(source.error(&at.key("backoff"), message));
        }
        if critical && raw.capacity == Some(RawCapacity::Spot) {
            return Err(source.error(
                &at.key("capacity"),
                "a critical job is never on Spot: expected on-demand, or remove the key",
            ));
        }
        rules.push(RetryRule {
            on,
            exit_codes: raw.exit_codes.0.into_iter().map(|Whole(code)| code.cast_signed()).collect(),
            limit,
            backoff: raw.backoff.map_or(Duration::ZERO, |backoff| backoff.span),
            capacity: raw.capacity.map(|capacity| match capacity {
                RawCapacity::Spot => Capacity::Spot,
                RawCapacity::OnDemand => Capacity::OnDemand,
            }),
        });
    }
    Ok(RetryPolicy { rules })
}
