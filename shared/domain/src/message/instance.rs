//! Messages about container instances that EC2 interrupts, or may interrupt.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::json;

use super::notice::{Message, Notice, Severity};
use super::text::minute;
use crate::ids::BuildId;
use crate::instance::{AfterAdvice, ForeignTask, Host, Instance, InterruptionNotice};

/// The most other tasks that a message lists.
const FOREIGN_NAMED: usize = 20;

/// The message about tasks on an interrupted instance that Bellhop does not manage and cannot restart.
#[must_use]
pub fn about_foreign(instance: &Instance, warned: &InterruptionNotice, builds: &[BuildId], foreign: &[ForeignTask]) -> Message {
    let Host { cluster, .. } = &instance.host;
    let InterruptionNotice { action, at } = *warned;
    let tasks = match foreign.len() {
        1 => "a task".to_owned(),
        count => format!("{count} tasks"),
    };
    let title = format!(
        "{} of cluster {cluster} is being {} (Spot), with {tasks} that Bellhop does not manage",
        instance.id,
        action.past()
    );
    let mut body = format!("{title}\n\nBellhop does not restart these tasks:\n");
    for task in foreign.iter().take(FOREIGN_NAMED) {
        let by = task
            .started_by
            .as_deref()
            .map(|by| format!(", started by {by}"))
            .unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(body, "  {}{by}\n    {}", task.belongs_to, task.arn);
    }
    if foreign.len() > FOREIGN_NAMED {
        let _ = writeln!(body, "  and {} more", foreign.len() - FOREIGN_NAMED);
    }
    if !builds.is_empty() {
        body.push_str("\nBuilds on it, which Bellhop handles:\n");
        for build in builds {
            let _ = writeln!(body, "  {build}");
        }
    }
    let named: Vec<_> = foreign.iter().take(FOREIGN_NAMED).collect();
    Notice {
        id: format!("instance/{}/interrupted/{}", instance.id, at.as_second()),
        kind: "suite",
        severity: Severity::Warning,
        status: "instance-interrupted",
        title,
        time: at,
        more: vec![
            ("instance", json!(instance.id)),
            ("cluster", json!(cluster)),
            ("action", json!(action)),
            ("tasks", json!({ "count": foreign.len(), "named": named })),
            ("builds", json!(builds)),
        ],
        body,
    }
    .message()
}

/// The message about an instance that was drained because of a rebalance recommendation without an interruption.
#[must_use]
pub fn about_instance_after_advice(instance: &Instance, advised: Timestamp, what: AfterAdvice, at: Timestamp) -> Message {
    let Host { cluster, .. } = &instance.host;
    let id = &instance.id;
    let since = minute(advised);
    let (severity, status, title, advice) = match what {
        AfterAdvice::Reopened => (
            Severity::Info,
            "instance-reopened",
            format!("{id} of cluster {cluster} takes tasks again: EC2 recommended at {since} to replace it, but has not interrupted it"),
            "You may replace it: EC2 still considers an interruption more likely than for other instances.",
        ),
        AfterAdvice::StillBusy => (
            Severity::Warning,
            "instance-drained",
            format!("{id} of cluster {cluster} has been draining since {since} on EC2's recommendation, and still runs tasks"),
            "It takes no new tasks. Set it to ACTIVE in ECS to keep it, or terminate it.",
        ),
    };
    Notice {
        id: format!("instance/{id}/{status}/{}", advised.as_second()),
        kind: "suite",
        severity,
        status,
        body: format!("{title}\n\n{advice}\n"),
        title,
        time: at,
        more: vec![("instance", json!(id)), ("cluster", json!(cluster)), ("advised", json!(advised))],
    }
    .message()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::instance::Action;
    use crate::testing::t;

    fn instance() -> Instance {
        let host = Host {
            cluster: "ci".to_owned(),
            container_instance: "arn:aws:ecs:eu-west-1:123456789012:container-instance/ci/0f1e".to_owned(),
        };
        Instance::new("i-0123456789abcdef0".parse().unwrap(), host)
    }

    fn foreign(belongs_to: &str, started_by: Option<&str>) -> ForeignTask {
        ForeignTask {
            arn: "arn:aws:ecs:eu-west-1:123456789012:task/ci/feed".to_owned(),
            belongs_to: belongs_to.to_owned(),
            started_by: started_by.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn the_message_names_what_nobody_starts_again() {
        let instance = instance();
        let warned = InterruptionNotice {
            action: Action::Hibernate,
            at: t(0),
        };
        let tasks = [foreign("service:web", Some("ecs-svc/1")), foreign("family:jenkins-agent", None)];
        let message = about_foreign(&instance, &warned, &["abcdefghij/test".parse().unwrap()], &tasks);
        assert_eq!(
            message.sms,
            "i-0123456789abcdef0 of cluster ci is being hibernated (Spot), with 2 tasks that Bellhop does not manage"
        );
        assert_eq!(message.document["id"], "instance/i-0123456789abcdef0/interrupted/1790000000");
        assert_eq!(message.document["tasks"]["named"][1]["belongs_to"], "family:jenkins-agent");
        assert_eq!(
            message.email,
            "i-0123456789abcdef0 of cluster ci is being hibernated (Spot), with 2 tasks that Bellhop does not manage\n\n\
             Bellhop does not restart these tasks:\n  \
             service:web, started by ecs-svc/1\n    arn:aws:ecs:eu-west-1:123456789012:task/ci/feed\n  \
             family:jenkins-agent\n    arn:aws:ecs:eu-west-1:123456789012:task/ci/feed\n\n\
             Builds on it, which Bellhop handles:\n  abcdefghij/test\n"
        );
        let many: Vec<_> = (0..25).map(|_| foreign("service:web", None)).collect();
        assert!(about_foreign(&instance, &warned, &[], &many).email.contains("  and 5 more\n"));
        let one = about_foreign(&instance, &warned, &[], &many[..1]);
        assert!(one.sms.ends_with("with a task that Bellhop does not manage"), "{}", one.sms);
    }

    #[test]
    fn what_became_of_it_after_a_recommendation() {
        let reopened = about_instance_after_advice(&instance(), t(0), AfterAdvice::Reopened, t(3600));
        assert_eq!(reopened.document["status"], "instance-reopened");
        assert!(
            reopened
                .sms
                .starts_with("i-0123456789abcdef0 of cluster ci takes tasks again: EC2 recommended at")
        );
        let busy = about_instance_after_advice(&instance(), t(0), AfterAdvice::StillBusy, t(86_400));
        assert_eq!(
            (busy.document["severity"].as_str(), busy.document["status"].as_str()),
            (Some("warning"), Some("instance-drained"))
        );
    }
}
