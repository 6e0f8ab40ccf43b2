//! A job that deploys: its target, and what it gives the target. Which of these keys a target takes is checked in `config::plan`, which knows the target.

use std::time::Duration;

use super::artifacts::is_path;
use super::raw::{RawFileOf, RawJob, RawShift, RawStep};
use crate::executor::target::{FileOf, Given, Step};
use crate::yaml::{FieldPath, FileError, Id, Source, Whole, quoted};

/// The most steps of a shift.
const MOST_STEPS: usize = 10;
/// The shortest step: an alarm looks once a minute
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html>).
const SHORTEST_STEP: Duration = Duration::from_secs(60);
/// The longest step.
const LONGEST_STEP: Duration = Duration::from_secs(24 * 3600);

/// The keys that only a job with a script may have, as far as the file has them.
pub(super) fn keys_of_scripts(raw: &RawJob) -> Option<&'static str> {
    let given = [
        ("agent", raw.agent.is_some()),
        ("run", raw.run.is_some()),
        ("buildspec", raw.buildspec.is_some()),
        ("environment", !raw.environment.0.is_empty()),
        ("secrets", !raw.secrets.0.is_empty()),
        ("critical", raw.critical.0),
        ("relaunch", raw.relaunch.is_some()),
        ("lock", raw.lock.is_some()),
        ("fetch", !raw.fetch.0.is_empty()),
        ("artifacts", raw.artifacts.is_some()),
        ("images", raw.images.is_some()),
    ];
    given.into_iter().find_map(|(key, is_given)| is_given.then_some(key))
}

/// The keys that only a job with `deploy` may have, as far as the file has them.
pub(super) fn keys_of_deploys(raw: &RawJob) -> Option<&'static str> {
    let given = [("code", raw.code.is_some()), ("shift", raw.shift.is_some())];
    given.into_iter().find_map(|(key, is_given)| is_given.then_some(key))
}

/// What a job gives its target.
pub(super) fn given(source: &Source, at: &FieldPath, code: Option<RawFileOf>, shift: Option<RawShift>) -> Result<Given, FileError> {
    Ok(Given {
        code: code.map(|raw| file_of(source, &at.clone().key("code"), raw)).transpose()?,
        shift: shift.map_or(Ok(Vec::new()), |raw| steps(source, &at.clone().key("shift"), raw))?,
    })
}

fn file_of(source: &Source, at: &FieldPath, raw: RawFileOf) -> Result<FileOf, FileError> {
    let RawFileOf { from: Id(from), path } = raw;
    if !is_path(&path) {
        let message = format!(
            "{} is not the path of a file: expected one from the repository's root without wildcards, such as dist/shop.zip",
            quoted(&path)
        );
        return Err(source.error(&at.clone().key("path"), message));
    }
    Ok(FileOf { from, path })
}

fn steps(source: &Source, at: &FieldPath, RawShift(raw): RawShift) -> Result<Vec<Step>, FileError> {
    if raw.is_empty() || raw.len() > MOST_STEPS {
        return Err(source.error(at, format!("{} steps: expected 1 to {MOST_STEPS}", raw.len())));
    }
    let mut steps: Vec<Step> = Vec::with_capacity(raw.len());
    for (i, RawStep { percent: Whole(percent), lasts }) in raw.into_iter().enumerate() {
        let at = at.clone().index(i);
        let least = steps.last().map_or(1, |last| u32::from(last.percent) + 1);
        let Ok(share) = u8::try_from(percent).map_err(drop).and_then(|share| if (least..=99).contains(&percent) { Ok(share) } else { Err(()) }) else {
            let message = format!("`{percent}` is out of bounds: expected {least} to 99; after the last step it is 100");
            return Err(source.error(&at.key("percent"), message));
        };
        if lasts.span < SHORTEST_STEP || lasts.span > LONGEST_STEP {
            let message = format!("{} is out of bounds: expected 1m to 24h", quoted(&lasts.text));
            return Err(source.error(&at.key("for"), message));
        }
        steps.push(Step {
            percent: share,
            lasts: lasts.span,
        });
    }
    Ok(steps)
}
