//! Alarms of CloudWatch, in each form in which they arrive.

use bellhop_domain::alarm::{AlarmChange, AlarmFacts, AlarmId, AlarmState, Comparison};
use bellhop_events::Event;

use super::story::Row;

pub(super) fn rows() -> Vec<Row> {
    let row = |name, change| (name, vec![change], vec![]);
    let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let some = |text: &str| Some(text.to_owned());
    let queue = || of(&[("QueueName", "ci-push-dead-letters")]);
    let jenkins = |reason: &str, value: Option<&str>| AlarmFacts {
        reason: some(reason),
        description: some("The Jenkins controller does not answer"),
        measure: some("UnHealthyHostCount"),
        namespace: some("AWS/ApplicationELB"),
        dimensions: of(&[
            ("LoadBalancer", "app/ci/50dc6c495c0c9188"),
            ("TargetGroup", "targetgroup/jenkins/73e2d6bc24d8a067"),
        ]),
        value: value.map(Into::into),
        threshold: some("1"),
        ..AlarmFacts::default()
    };
    let unhealthy = || {
        let reason = "Threshold Crossed: 2 out of the last 2 datapoints [2.0 (02/03/26 14:02:00), 2.0 (02/03/26 14:01:00)] were greater than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition).";
        let facts = AlarmFacts {
            comparison: Some(Comparison::Above),
            ..jenkins(reason, Some("2"))
        };
        alarm(
            "jenkins-unhealthy",
            AlarmState::Alarm,
            "2026-03-02T14:03:22.107Z",
            Some(AlarmState::Ok),
            facts,
        )
    };
    let healthy = "Threshold Crossed: 1 out of the last 2 datapoints [0.0 (02/03/26 14:09:00)] was not greater than the threshold (1.0) (minimum 1 datapoint for ALARM -> OK transition).";
    let down = |at: &str, previous, quiet: Option<&str>| {
        let facts = AlarmFacts {
            reason: some(
                "arn:aws:cloudwatch:us-east-1:123456789012:alarm:jenkins-unhealthy transitioned to ALARM at Monday 02 March, 2026 14:03:22 UTC",
            ),
            rule: some(r#"ALARM("jenkins-unhealthy") OR ALARM("workspace-disk-usage")"#),
            because: vec!["jenkins-unhealthy".into()],
            ..AlarmFacts::default()
        };
        let mut event = alarm("ci-down", AlarmState::Alarm, at, Some(previous), facts);
        if let Event::Alarm(change) = &mut event {
            change.quiet = quiet.map(Into::into);
        }
        event
    };
    let letters = |description: Option<&str>, measure: Option<&str>, previous| {
        let facts = AlarmFacts {
            reason: some(
                "Threshold Crossed: 1 datapoint was greater than the threshold (0.0). The most recent datapoint which crossed the threshold: [180.0 (02/03/26 19:30:00)].",
            ),
            description: description.map(Into::into),
            measure: measure.map(Into::into),
            dimensions: queue(),
            value: some("180"),
            threshold: some("0"),
            comparison: Some(Comparison::Above),
            ..AlarmFacts::default()
        };
        let mut event = alarm("dead-letters", AlarmState::Alarm, "2026-03-02T19:31:12.7Z", previous, facts);
        if let Event::Alarm(change) = &mut event {
            change.id.contributor = some("7e1d5c3b9a0f2468");
        }
        event
    };
    vec![
        row("alarm/alarm.json", unhealthy()),
        row(
            "alarm/own.json",
            alarm(
                "bellhop-own-push-dead-letters",
                AlarmState::Alarm,
                "2026-03-04T09:41:07.313Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some("Threshold Crossed: 1 datapoint [1.0 (04/03/26 09:40:00)] was greater than the threshold (0.0)."),
                    description: some(
                        "A push could not be processed, and its run may be missing. Redrive the dead-letter queue, see docs/reference/alarms.md.",
                    ),
                    measure: some("ApproximateNumberOfMessagesVisible"),
                    namespace: some("AWS/SQS"),
                    dimensions: of(&[("QueueName", "bellhop-PushDeadLetterQueue-4QXK1M2R7ZT3")]),
                    value: some("1"),
                    threshold: some("0"),
                    comparison: Some(Comparison::Above),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row("alarm/action.json", unhealthy()),
        row("alarm/in-sns.json", unhealthy()),
        row(
            "alarm/ok.json",
            alarm(
                "jenkins-unhealthy",
                AlarmState::Ok,
                "2026-03-02T14:10:22.108Z",
                Some(AlarmState::Alarm),
                AlarmFacts {
                    comparison: Some(Comparison::Above),
                    ..jenkins(healthy, Some("0"))
                },
            ),
        ),
        row(
            "alarm/insufficient-data.json",
            alarm(
                "jenkins-unhealthy",
                AlarmState::InsufficientData,
                "2026-03-02T14:20:22.103Z",
                Some(AlarmState::Ok),
                jenkins("Insufficient Data: 2 datapoints were unknown.", None),
            ),
        ),
        row(
            "alarm/action-set-by-hand.json",
            alarm(
                "workspace-disk-usage",
                AlarmState::Alarm,
                "2026-03-02T15:00:00.25Z",
                Some(AlarmState::InsufficientData),
                AlarmFacts {
                    reason: some("a drill"),
                    measure: some("PercentIOLimit"),
                    namespace: some("AWS/EFS"),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row(
            "alarm/math.json",
            alarm(
                "queue-error-rate",
                AlarmState::Alarm,
                "2026-03-02T16:06:41.453Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some(
                        "Threshold Crossed: 1 out of the last 1 datapoints [7.142857142857143 (02/03/26 16:05:00)] was greater than or equal to the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition).",
                    ),
                    measure: some("Errors in percent"),
                    value: some("7.1429"),
                    threshold: some("5"),
                    comparison: Some(Comparison::AtLeast),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row(
            "alarm/anomaly-in-sns.json",
            alarm(
                "builds-per-hour-unusual",
                AlarmState::Alarm,
                "2026-03-02T18:00:30Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some(
                        "Thresholds Crossed: 1 out of the last 1 datapoints [4.0 (02/03/26 17:00:00)] was less than the lower thresholds [21.40625] or greater than the upper thresholds [58.75] (minimum 1 datapoint for OK -> ALARM transition).",
                    ),
                    measure: some("Builds"),
                    namespace: some("AWS/CodeBuild"),
                    dimensions: of(&[("ProjectName", "ci-docker")]),
                    value: some("4"),
                    threshold: some("21.406 to 58.75"),
                    comparison: Some(Comparison::Outside),
                    ..AlarmFacts::default()
                },
            ),
        ),
        row(
            "alarm/composite-suppressed.json",
            down(
                "2026-03-02T14:03:22.502Z",
                AlarmState::Ok,
                Some("its actions are suppressed by WaitPeriod"),
            ),
        ),
        row("alarm/composite.json", down("2026-03-02T14:05:22.502Z", AlarmState::Alarm, None)),
        row(
            "alarm/contributor.json",
            letters(
                Some("A dead letter waits"),
                Some(r#"SELECT MAX(ApproximateAgeOfOldestMessage) FROM "AWS/SQS" GROUP BY QueueName"#),
                None,
            ),
        ),
        row("alarm/contributor-in-sns.json", letters(None, None, Some(AlarmState::Ok))),
        row(
            "alarm/old-in-sns.json",
            alarm(
                "builds-failing",
                AlarmState::Alarm,
                "2026-03-02T20:15:00.042Z",
                Some(AlarmState::Ok),
                AlarmFacts {
                    reason: some("Threshold Crossed"),
                    ..AlarmFacts::default()
                },
            ),
        ),
    ]
}

fn alarm(name: &str, state: AlarmState, at: &str, previous: Option<AlarmState>, facts: AlarmFacts) -> Event {
    Event::Alarm(Box::new(AlarmChange {
        id: AlarmId {
            region: Some("us-east-1".into()),
            account: Some("123456789012".into()),
            name: name.into(),
            contributor: None,
        },
        state,
        at: Some(at.parse().unwrap()),
        previous,
        quiet: None,
        facts,
    }))
}
