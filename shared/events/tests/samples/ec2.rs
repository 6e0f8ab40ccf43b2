//! Notices of EC2 about instances.

use bellhop_domain::instance::{Action, Ec2Notice};
use bellhop_events::{Event, InstanceNotice};

use super::story::Row;

pub(super) fn rows() -> Vec<Row> {
    let row = |name, what| {
        let notice = InstanceNotice {
            instance: "i-0c52f3a9b41d7e680".parse().unwrap(),
            what,
            at: Some("2026-03-02T09:31:07Z".parse().unwrap()),
            account: Some("123456789012".to_owned()),
        };
        (name, vec![Event::Instance(notice)], vec![])
    };
    vec![
        row("ec2/spot-warning.json", Ec2Notice::Interruption(Action::Terminate)),
        row("ec2/spot-warning-stop.json", Ec2Notice::Interruption(Action::Stop)),
        row("ec2/spot-warning-hibernate.json", Ec2Notice::Interruption(Action::Hibernate)),
        row("ec2/rebalance.json", Ec2Notice::Rebalance),
        (
            "ec2/state-change.json",
            vec![],
            vec!["aws.ec2 EC2 Instance State-change Notification: foreign: an event that Bellhop does not handle".into()],
        ),
    ]
}
