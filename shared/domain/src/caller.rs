//! Who started or cancelled something, and how that is known.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids::{Arn, PipelineJobId};

/// The sender of a request, or the event that started a run.
///
/// Only [`Caller::Principal`] is proven. The others are what an event or a request says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Caller {
    /// A principal that signed its request to the function URL. IAM verified the signature.
    Principal(Arn),
    /// A CloudWatch alarm whose remedy started the run, as the alarm's event names it.
    Service(Arn),
    /// A job of CodePipeline, as its event names it. The event does not name the pipeline.
    PipelineJob(PipelineJobId),
    /// An invocation without a verified name, whose request says that it comes from this schedule.
    ClaimedSchedule(Arn),
    /// An invocation without a verified name: Lambda does not tell a function who invokes it.
    Unverified,
}

impl Caller {
    /// The caller of a request without a verified name. `schedule` is the schedule that the request names.
    #[must_use]
    pub fn unverified(schedule: Option<Arn>) -> Self {
        schedule.map_or(Self::Unverified, Self::ClaimedSchedule)
    }

    /// The principal that IAM verified; `None` for every other caller.
    #[must_use]
    pub fn principal(&self) -> Option<&Arn> {
        match self {
            Self::Principal(arn) => Some(arn),
            Self::Service(_) | Self::PipelineJob(_) | Self::ClaimedSchedule(_) | Self::Unverified => None,
        }
    }

    /// Its kind in documents for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Principal(_) => "principal",
            Self::Service(_) => "service",
            Self::PipelineJob(_) => "pipeline-job",
            Self::ClaimedSchedule(_) => "claimed-schedule",
            Self::Unverified => "unverified",
        }
    }

    /// The caller in documents for programs: `kind`, `name` and `arn`.
    #[must_use]
    pub fn document(&self) -> Value {
        let (name, arn) = match self {
            Self::Principal(arn) | Self::Service(arn) | Self::ClaimedSchedule(arn) => (Some(arn.name()), Some(arn)),
            Self::PipelineJob(job) => (Some(job.as_str()), None),
            Self::Unverified => (None, None),
        };
        json!({ "kind": self.kind(), "name": name, "arn": arn })
    }
}

/// For people: the short name, and the ARN, because several roles may have a session of one name.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(arn) => write!(f, "{} ({arn})", arn.name()),
            Self::Service(arn) => write!(f, "the alarm {} ({arn})", arn.name()),
            Self::PipelineJob(job) => write!(f, "the CodePipeline job {job}"),
            Self::ClaimedSchedule(arn) => write!(f, "an unverified caller, which says it is the schedule {} ({arn})", arn.name()),
            Self::Unverified => f.write_str("an unverified caller"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::alarm::AlarmId;

    const ANNA: &str = "arn:aws:sts::123456789012:assumed-role/dev/anna";
    const NIGHTLY: &str = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly";
    const DISK: &str = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:disk-full";
    const JOB: &str = "11111111-abcd-1111-abcd-111111abcdef";

    fn all() -> [(Caller, &'static str, &'static str, Value); 5] {
        [
            (
                Caller::Principal(ANNA.parse().unwrap()),
                r#"{"principal":"arn:aws:sts::123456789012:assumed-role/dev/anna"}"#,
                "anna (arn:aws:sts::123456789012:assumed-role/dev/anna)",
                json!({ "kind": "principal", "name": "anna", "arn": ANNA }),
            ),
            (
                Caller::Service(DISK.parse().unwrap()),
                r#"{"service":"arn:aws:cloudwatch:us-east-1:123456789012:alarm:disk-full"}"#,
                "the alarm disk-full (arn:aws:cloudwatch:us-east-1:123456789012:alarm:disk-full)",
                json!({ "kind": "service", "name": "disk-full", "arn": DISK }),
            ),
            (
                Caller::PipelineJob(JOB.parse().unwrap()),
                r#"{"pipeline-job":"11111111-abcd-1111-abcd-111111abcdef"}"#,
                "the CodePipeline job 11111111-abcd-1111-abcd-111111abcdef",
                json!({ "kind": "pipeline-job", "name": JOB, "arn": null }),
            ),
            (
                Caller::unverified(Some(NIGHTLY.parse().unwrap())),
                r#"{"claimed-schedule":"arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly"}"#,
                "an unverified caller, which says it is the schedule nightly (arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly)",
                json!({ "kind": "claimed-schedule", "name": "nightly", "arn": NIGHTLY }),
            ),
            (
                Caller::unverified(None),
                r#""unverified""#,
                "an unverified caller",
                json!({ "kind": "unverified", "name": null, "arn": null }),
            ),
        ]
    }

    #[test]
    fn a_caller_has_a_record_a_text_and_a_document() {
        for (caller, record, text, document) in all() {
            assert_eq!(serde_json::to_string(&caller).unwrap(), record);
            assert_eq!(serde_json::from_str::<Caller>(record).unwrap(), caller);
            assert_eq!(caller.to_string(), text);
            assert_eq!(caller.document(), document);
        }
    }

    #[test]
    fn only_a_principal_is_verified() {
        let verified: Vec<Caller> = all()
            .into_iter()
            .map(|(caller, ..)| caller)
            .filter(|caller| caller.principal().is_some())
            .collect();
        assert_eq!(verified, [Caller::Principal(ANNA.parse().unwrap())]);
    }

    #[test]
    fn an_alarm_is_named_as_far_as_its_event_says_where_it_is() {
        let id = |region: Option<&str>, name: &str| AlarmId {
            region: region.map(str::to_owned),
            account: Some("123456789012".to_owned()),
            name: name.to_owned(),
            contributor: None,
        };
        let arn = |region, name| id(region, name).arn().map(String::from);
        assert_eq!(arn(Some("us-east-1"), "disk-full"), Some(DISK.to_owned()));
        assert_eq!(
            arn(Some("cn-north-1"), "a"),
            Some("arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm:a".to_owned())
        );
        assert_eq!(
            arn(Some("us-gov-west-1"), "a\u{202e}b"),
            Some("arn:aws-us-gov:cloudwatch:us-gov-west-1:123456789012:alarm:a b".to_owned())
        );
        assert_eq!(arn(None, "a"), None);
    }
}
