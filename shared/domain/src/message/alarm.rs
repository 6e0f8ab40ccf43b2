//! Messages about alarms.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::notice::{Message, Notice, Severity};
use super::text::{SMS_LIMIT, SUBJECT_LIMIT, printable_ascii, truncate};
use crate::alarm::{
    Alarm, AlarmFacts, AlarmNews, AlarmNewsKind, AlarmState, Comparison, FLAP_WINDOW, FLAPS, Remedy, RemedyOutcome, Wording,
};
use crate::console::{self, partition_of, percent_encoded};

/// The most characters of an alarm's name in a title.
const NAME_LIMIT: usize = 60;
/// The most characters of the finding in a title.
const FINDING_LIMIT: usize = 200;

/// The message about an alarm.
#[must_use]
pub fn about_alarm(alarm: &Alarm, news: &AlarmNews) -> Message {
    let transition = &news.transition;
    let facts = &transition.facts;
    let (status, severity) = status(alarm, news);
    let title = Title::of(alarm, news);
    let full = title.within(NAME_LIMIT + FINDING_LIMIT);
    let remedy = news.remedy.as_ref().map(|news| sentence(&news.remedy, &news.outcome));
    let link = alarm.id.region.as_deref().map(|region| console(region, &alarm.id.name));
    let members = [
        (
            "alarm",
            json!({
                "name": alarm.id.name,
                "region": alarm.id.region,
                "account": alarm.id.account,
                "contributor": alarm.id.contributor,
                "state": transition.state,
                "previous": transition.previous,
                "since": transition.at,
                "open-since": news.open,
            }),
        ),
        ("cause", json!(facts.reason)),
        ("description", json!(facts.description)),
        ("metric", json!(facts.measure)),
        ("namespace", json!(facts.namespace)),
        ("dimensions", json!(facts.dimensions)),
        ("value", json!(facts.value)),
        ("threshold", json!(facts.threshold)),
        ("comparison", json!(facts.comparison)),
        ("rule", json!(facts.rule)),
        ("because", json!(facts.because)),
        (
            "remedy",
            json!(news.remedy.as_ref().map(|news| json!({
                "target": news.remedy.action.target(),
                "outcome": outcome(&news.outcome),
                "text": remedy,
            }))),
        ),
        ("configuration-error", json!(news.unconfigured)),
        ("links", json!(link.as_ref().map(|link| json!({ "alarm": link })))),
    ];
    let notice = Notice {
        id: format!("alarm/{}/{status}/{}", alarm.id.key(), transition.at),
        kind: "alarm",
        severity,
        status,
        title: full.clone(),
        time: news.announced_at,
        more: members.into(),
        body: email(alarm, news, &full, remedy.as_deref(), link.as_deref()),
    };
    let mut message = notice.message();
    // Its titles are cut in the middle, not at the end.
    message.subject = truncate(&printable_ascii(&title.within(SUBJECT_LIMIT)), SUBJECT_LIMIT);
    message.sms = title.within(SMS_LIMIT);
    message.attributes.push(("alarm", alarm.id.name.clone()));
    message
}

fn status(alarm: &Alarm, news: &AlarmNews) -> (&'static str, Severity) {
    let of_state = match news.transition.state {
        // Its alarm as a whole is reported as an error.
        AlarmState::Alarm if alarm.id.contributor.is_some() => ("alarm", Severity::Warning),
        AlarmState::Alarm => ("alarm", Severity::Error),
        AlarmState::Ok => ("ok", Severity::Info),
        AlarmState::InsufficientData => ("insufficient-data", Severity::Info),
    };
    match news.what {
        AlarmNewsKind::Changed => of_state,
        AlarmNewsKind::Settled => match of_state {
            ("alarm", severity) => ("settled-in-alarm", severity),
            (_, severity) => ("settled", severity),
        },
        AlarmNewsKind::Flapping => ("flapping", Severity::Warning),
        AlarmNewsKind::PauseEnded => ("pause-ended", Severity::Warning),
        AlarmNewsKind::Remedied => match news.remedy.as_ref().map(|news| &news.outcome) {
            Some(RemedyOutcome::Failed(_)) => ("remedy-failed", Severity::Error),
            _ => ("remedied", Severity::Info),
        },
    }
}

/// A title in three parts. The middle one is cut if the title is too long.
struct Title {
    before: String,
    finding: String,
    after: String,
}

impl Title {
    fn of(alarm: &Alarm, news: &AlarmNews) -> Self {
        let transition = &news.transition;
        let facts = &transition.facts;
        let mut name = truncate(&alarm.id.name, NAME_LIMIT);
        if alarm.id.contributor.is_some() && !facts.dimensions.is_empty() {
            name = format!("{name} ({})", truncate(&dimensions(facts), NAME_LIMIT));
        }
        let since = format!(" (since {})", clock(transition.at, news.announced_at));
        let found = finding(facts, transition.state);
        let (verb, finding, after) = match (news.what, transition.state) {
            (AlarmNewsKind::Changed, AlarmState::Alarm) => ("is in ALARM", found, since),
            (AlarmNewsKind::Changed, AlarmState::Ok) => match news.open {
                Some(open) => ("is OK again", found, format!(" (after {})", span(open, transition.at))),
                None => ("is OK again", found, since),
            },
            (AlarmNewsKind::Changed, AlarmState::InsufficientData) => ("has insufficient data", None, since),
            (AlarmNewsKind::Flapping, _) => (
                "is flapping",
                Some(format!(
                    "it changed {FLAPS} times within {}; the next message comes when it settles",
                    humantime::format_duration(FLAP_WINDOW)
                )),
                String::new(),
            ),
            (AlarmNewsKind::Settled, AlarmState::Alarm) => ("has settled in ALARM", found, since),
            (AlarmNewsKind::Settled, AlarmState::Ok) => ("has settled and is OK", found, since),
            (AlarmNewsKind::Settled, AlarmState::InsufficientData) => ("has settled with insufficient data", None, since),
            (AlarmNewsKind::Remedied, _) => (
                "",
                news.remedy.as_ref().map(|news| sentence(&news.remedy, &news.outcome)),
                String::new(),
            ),
            (AlarmNewsKind::PauseEnded, _) => (
                "",
                Some("launches resume after a pause of 24 hours, although no OK was received".to_owned()),
                String::new(),
            ),
        };
        Self {
            before: if verb.is_empty() { name } else { format!("{name} {verb}") },
            finding: finding.unwrap_or_default(),
            after,
        }
    }

    /// The title in at most this many characters, by cutting its middle part if possible.
    fn within(&self, limit: usize) -> String {
        let Self { before, finding, after } = self;
        let room = limit.saturating_sub(before.chars().count() + after.chars().count() + 2);
        let text = if finding.is_empty() || room < 10 {
            format!("{before}{after}")
        } else {
            format!("{before}: {}{after}", truncate(finding, room))
        };
        truncate(&text, limit)
    }
}

/// The alarm's finding, in a few words.
fn finding(facts: &AlarmFacts, state: AlarmState) -> Option<String> {
    if !facts.because.is_empty() {
        return Some(format!("because of {}", facts.because.join(", ")));
    }
    if let (Some(measure), Some(value)) = (&facts.measure, &facts.value) {
        return Some(match &facts.threshold {
            Some(threshold) => format!("{measure} {value}{}{threshold}", operator(facts.comparison, state)),
            None => format!("{measure} {value}"),
        });
    }
    let reason = facts.reason.as_deref()?;
    let reason = ["Threshold Crossed: ", "Thresholds Crossed: "]
        .iter()
        .find_map(|prefix| reason.strip_prefix(prefix))
        .unwrap_or(reason)
        .trim_end_matches('.');
    Some(match &facts.measure {
        Some(measure) => format!("{measure}: {reason}"),
        None => reason.to_owned(),
    })
}

/// The relation of value and threshold, in a state.
fn operator(comparison: Option<Comparison>, state: AlarmState) -> &'static str {
    match (comparison, state) {
        (Some(Comparison::Above), AlarmState::Alarm) | (Some(Comparison::AtMost), AlarmState::Ok) => " > ",
        (Some(Comparison::AtLeast), AlarmState::Alarm) | (Some(Comparison::Below), AlarmState::Ok) => " >= ",
        (Some(Comparison::Below), AlarmState::Alarm) | (Some(Comparison::AtLeast), AlarmState::Ok) => " < ",
        (Some(Comparison::AtMost), AlarmState::Alarm) | (Some(Comparison::Above), AlarmState::Ok) => " <= ",
        (Some(Comparison::Outside), AlarmState::Alarm) => ", outside of ",
        (Some(Comparison::Outside), AlarmState::Ok) => ", within ",
        (None, _) | (_, AlarmState::InsufficientData) => ", threshold ",
    }
}

/// The result of a remedy, in a sentence.
fn sentence(remedy: &Remedy, outcome: &RemedyOutcome) -> String {
    let Wording { subject, participle, done } = remedy.action.kind().wording();
    match outcome {
        RemedyOutcome::Done(more) => {
            let more = more.as_deref().map(|more| format!(" ({more})")).unwrap_or_default();
            format!("{subject} {done}{more}")
        }
        RemedyOutcome::CoolingDown { since } => format!(
            "{subject} was not {participle}: the limit is once every {}, and the last time was {}",
            humantime::format_duration(remedy.at_most_every),
            since.strftime("%H:%M UTC")
        ),
        RemedyOutcome::Failed(why) => format!("{subject} could not be {participle}: {why}"),
        RemedyOutcome::Retrying => format!("{subject} could not be {participle} yet; Bellhop retries"),
        RemedyOutcome::WaitingForOther { since } => format!(
            "{subject} is not {participle} yet: another alarm requested the same at {}, and that is still in progress",
            since.strftime("%H:%M UTC")
        ),
        RemedyOutcome::NotNeeded => format!("{subject} was not {participle}, because the alarm has changed since"),
        RemedyOutcome::DryRun => format!("{subject} would be {participle} (dry run)"),
    }
}

fn outcome(outcome: &RemedyOutcome) -> &'static str {
    match outcome {
        RemedyOutcome::Done(_) => "done",
        RemedyOutcome::CoolingDown { .. } => "held",
        RemedyOutcome::Failed(_) => "failed",
        RemedyOutcome::Retrying => "tried-again",
        RemedyOutcome::WaitingForOther { .. } => "waits",
        RemedyOutcome::NotNeeded => "not-needed",
        RemedyOutcome::DryRun => "dry-run",
    }
}

fn email(alarm: &Alarm, news: &AlarmNews, title: &str, remedy: Option<&str>, link: Option<&str>) -> String {
    let transition = &news.transition;
    let facts = &transition.facts;
    let mut body = format!("{title}\n\n");
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{:<11} {value}", format!("{name}:"));
    };
    row("Alarm", &alarm.id.name);
    if let Some(id) = &alarm.id.contributor {
        row("Contributor", id);
    }
    match (&alarm.id.region, &alarm.id.account) {
        (Some(region), Some(account)) => row("Region", &format!("{region}, account {account}")),
        (Some(region), None) => row("Region", region),
        (None, Some(account)) => row("Account", account),
        (None, None) => {}
    }
    let before = transition.previous.map(|state| format!(", before {state}")).unwrap_or_default();
    row("State", &format!("{} since {}{before}", transition.state, date(transition.at)));
    if let Some(description) = &facts.description {
        row("About", description);
    }
    if let Some(measure) = &facts.measure {
        let namespace = facts.namespace.as_ref().map(|space| format!("{space} ")).unwrap_or_default();
        let of = if facts.dimensions.is_empty() {
            String::new()
        } else {
            format!(" ({})", dimensions(facts))
        };
        row("Metric", &format!("{namespace}{measure}{of}"));
    } else if !facts.dimensions.is_empty() {
        row("Of", &dimensions(facts));
    }
    if let Some(value) = &facts.value {
        row("Value", value);
    }
    if let Some(threshold) = &facts.threshold {
        row("Threshold", threshold);
    }
    if let Some(rule) = &facts.rule {
        row("Rule", rule);
    }
    for name in &facts.because {
        row("Because of", name);
    }
    if let Some(reason) = &facts.reason {
        row("Reason", reason);
    }
    if let Some(remedy) = remedy {
        row("Action", remedy);
    }
    if let Some(why) = &news.unconfigured {
        row("Action", &format!("none: {why}"));
    }
    if let Some(link) = link {
        row("Console", link);
    }
    body
}

fn dimensions(facts: &AlarmFacts) -> String {
    let all: Vec<String> = facts.dimensions.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    all.join(", ")
}

/// A time for people who read the message soon: without the date if it is the same day.
fn clock(at: Timestamp, notified: Timestamp) -> String {
    let day = |moment: Timestamp| moment.strftime("%F").to_string();
    if day(at) == day(notified) {
        at.strftime("%H:%M UTC").to_string()
    } else {
        date(at)
    }
}

fn date(at: Timestamp) -> String {
    at.strftime("%F %H:%M UTC").to_string()
}

fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0).unsigned_abs();
    // For spans of hours, seconds are irrelevant.
    let shown = if seconds >= 3600 { seconds - seconds % 60 } else { seconds };
    humantime::format_duration(Duration::from_secs(shown)).to_string()
}

/// The alarm's page in the console, as CloudWatch's own e-mails link it.
fn console(region: &str, alarm: &str) -> String {
    let host = console::console(partition_of(region));
    let alarm = percent_encoded(alarm);
    format!("https://{region}.{host}/cloudwatch/deeplink.js?region={region}#alarmsV2:alarm/{alarm}")
}

#[cfg(test)]
mod tests;
