//! Objects in S3, for the sample application `pdf-index`. Bellhop's own functions skip them.

use super::story::Row;

pub(super) fn rows() -> Vec<Row> {
    let skipped = |name, what: &str| {
        (
            name,
            vec![],
            vec![format!("{what}: foreign: an event that Bellhop does not handle")],
        )
    };
    let record = |name| skipped(name, "aws:s3 record");
    vec![
        record("s3/notification.json"),
        record("s3/notification-removed.json"),
        record("s3/notification-unversioned.json"),
        record("s3/notification-without-sequencer.json"),
        skipped("s3/object-created.json", "aws.s3 Object Created"),
        skipped("s3/object-deleted.json", "aws.s3 Object Deleted"),
        (
            "s3/test-event.json",
            vec![],
            vec!["s3:TestEvent: foreign: the notification was configured, nothing was stored".into()],
        ),
    ]
}
