//! Pushes to CodeCommit: its events, its triggers, and notifications.

use bellhop_domain::run::trigger::Push;
use bellhop_events::Event;

use super::story::{MAIN, PUSH_ID, PUSHED, Row};

const BEFORE: &str = "1f0e9d8c7b6a59483726150413f2e1d0cfbeadbc";

const FEATURE: &str = "3b5d7f91a2c4e6081a3c5e709284b6d8fa0c1e2f";
const MERGED: &str = "4c6e80a2b3d5f7192b4d6f8103a5c7e90b1d2f30";

const PUSHED_AT: &str = "2026-03-02T09:14:03Z";
/// Made from what the notification tells: its repository, reference, commit and time.
const NOTIFICATION: &str = "notification-80270de81c66e5fcf3f7d9fb82b695584de6ff4fd472f886bace55566210ae77";

const STATE_CHANGE: &str = "aws.codecommit CodeCommit Repository State Change";

pub(super) fn rows() -> Vec<Row> {
    let first_push = || push(PUSH_ID, MAIN, PUSHED, Some(BEFORE), "dana", PUSHED_AT);
    let trigger_push = || {
        push(
            "c84e8e45-0297-5f80-b9f4-07a0413b44ba",
            MAIN,
            PUSHED,
            None,
            "dana",
            "2026-03-02T09:14:03.418Z",
        )
    };
    let (two, two_at) = ("6e73bb7a-37a7-510c-910e-ce23e68494d9", "2026-03-02T17:30:00.207Z");
    vec![
        ("codecommit/push.json", vec![first_push()], vec![]),
        ("codecommit/in-sns.json", vec![first_push()], vec![]),
        (
            "codecommit/new-branch.json",
            vec![push(
                "5790d4f6-4b68-5537-950e-f7522dd34ea2",
                "refs/heads/feature/login",
                FEATURE,
                None,
                "sam@example.com",
                "2026-03-02T08:40:51Z",
            )],
            vec![],
        ),
        (
            "codecommit/deleted-branch.json",
            vec![],
            vec![format!("{STATE_CHANGE}: foreign: refs/heads/feature/login was deleted")],
        ),
        (
            "codecommit/new-tag.json",
            vec![push(
                "ca175c90-e1ce-5e33-8bb5-458a6b75c223",
                "refs/tags/v1.4.0",
                MERGED,
                None,
                "dana",
                "2026-03-02T17:30:00Z",
            )],
            vec![],
        ),
        (
            "codecommit/merge.json",
            vec![push(
                "bd637b27-511e-5df5-a052-a3c7fb88a685",
                MAIN,
                MERGED,
                Some(PUSHED),
                "sam@example.com",
                "2026-03-02T16:01:44Z",
            )],
            vec![],
        ),
        (
            "codecommit/unreferenced-merge.json",
            vec![],
            vec![format!(
                "{STATE_CHANGE}: foreign: unreferencedMergeCommitCreated changes no reference"
            )],
        ),
        ("codecommit/trigger.json", vec![trigger_push()], vec![]),
        ("codecommit/trigger-in-sns.json", vec![trigger_push()], vec![]),
        (
            "codecommit/trigger-two-references.json",
            vec![
                push(two, MAIN, MERGED, None, "dana", two_at),
                push(two, "refs/tags/v1.4.0", MERGED, None, "dana", two_at),
            ],
            vec![],
        ),
        (
            "codecommit/trigger-test.json",
            vec![],
            vec!["aws:codecommit TriggerEventTest: foreign: the trigger was tested, nothing was pushed".into()],
        ),
        (
            "codecommit/trigger-deleted.json",
            vec![],
            vec!["aws:codecommit ReferenceChanges: foreign: refs/heads/feature/login was deleted".into()],
        ),
        (
            "codecommit/codestar-in-sns.json",
            vec![push(NOTIFICATION, MAIN, PUSHED, Some(BEFORE), "dana", PUSHED_AT)],
            vec![],
        ),
    ]
}

pub(super) fn push(trigger: &str, reference: &str, commit: &str, previous: Option<&str>, by: &str, at: &str) -> Event {
    Event::Push(Push {
        trigger: trigger.into(),
        repository: "shop".parse().unwrap(),
        reference: reference.parse().unwrap(),
        commit: commit.parse().unwrap(),
        previous: previous.map(|id| id.parse().unwrap()),
        by: Some(by.into()),
        at: Some(at.parse().unwrap()),
    })
}
