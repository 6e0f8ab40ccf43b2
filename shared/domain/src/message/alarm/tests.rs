//! Messages about alarms, with all details and with few.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use insta::assert_snapshot;

use super::*;
use crate::alarm::{AlarmId, RemedyAction, RemedyNews, Transition};

fn at(text: &str) -> Timestamp {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn alarm(name: &str) -> Alarm {
    Alarm::new(AlarmId {
        region: Some("us-east-1".to_owned()),
        account: Some("123456789012".to_owned()),
        name: name.to_owned(),
        contributor: None,
    })
}

fn facts() -> AlarmFacts {
    AlarmFacts {
        reason: Some("Threshold Crossed: 1 datapoint [2.0 (02/03/26 14:02:00)] was greater than the threshold (1.0).".to_owned()),
        description: Some("The Jenkins controller does not answer".to_owned()),
        measure: Some("UnHealthyHostCount".to_owned()),
        namespace: Some("AWS/ApplicationELB".to_owned()),
        dimensions: [("TargetGroup".to_owned(), "jenkins".to_owned())].into(),
        value: Some("2".to_owned()),
        threshold: Some("1".to_owned()),
        comparison: Some(Comparison::Above),
        ..AlarmFacts::default()
    }
}

fn news(what: AlarmNewsKind, state: AlarmState, facts: AlarmFacts) -> AlarmNews {
    AlarmNews {
        what,
        transition: Transition {
            state,
            at: at("14:03:22"),
            received_at: at("14:03:24"),
            previous: Some(if state == AlarmState::Ok {
                AlarmState::Alarm
            } else {
                AlarmState::Ok
            }),
            quiet: None,
            facts,
        },
        open: Some(at("14:03:22")),
        remedy: None,
        unconfigured: None,
        announced_at: at("14:03:25"),
    }
}

fn changed(state: AlarmState, facts: AlarmFacts) -> AlarmNews {
    news(AlarmNewsKind::Changed, state, facts)
}

fn restart(outcome: RemedyOutcome) -> Option<RemedyNews> {
    Some(RemedyNews {
        remedy: Remedy {
            action: RemedyAction::RestartService {
                cluster: "ci-main".to_owned(),
                service: "jenkins".to_owned(),
            },
            at_most_every: Duration::from_secs(1800),
            dry_run: false,
        },
        outcome,
    })
}

fn title(alarm: &Alarm, news: &AlarmNews) -> String {
    about_alarm(alarm, news).document["title"].as_str().unwrap().to_owned()
}

#[test]
fn an_alarm_says_what_since_when_how_far_and_where() {
    let mut news = changed(AlarmState::Alarm, facts());
    news.remedy = restart(RemedyOutcome::Done(None));
    let message = about_alarm(&alarm("jenkins-unhealthy"), &news);
    assert_eq!(
        message.subject,
        "jenkins-unhealthy is in ALARM: UnHealthyHostCount 2 > 1 (since 14:03 UTC)"
    );
    assert_eq!(message.sms, message.subject);
    assert_snapshot!(message.email, @r"
    jenkins-unhealthy is in ALARM: UnHealthyHostCount 2 > 1 (since 14:03 UTC)

    Alarm:      jenkins-unhealthy
    Region:     us-east-1, account 123456789012
    State:      ALARM since 2026-03-02 14:03 UTC, before OK
    About:      The Jenkins controller does not answer
    Metric:     AWS/ApplicationELB UnHealthyHostCount (TargetGroup: jenkins)
    Value:      2
    Threshold:  1
    Reason:     Threshold Crossed: 1 datapoint [2.0 (02/03/26 14:02:00)] was greater than the threshold (1.0).
    Action:     service jenkins of cluster ci-main is being restarted
    Console:    https://us-east-1.console.aws.amazon.com/cloudwatch/deeplink.js?region=us-east-1#alarmsV2:alarm/jenkins-unhealthy
    ");
    assert_snapshot!(serde_json::to_string_pretty(&message.document).unwrap(), @r#"
    {
      "alarm": {
        "account": "123456789012",
        "contributor": null,
        "name": "jenkins-unhealthy",
        "open-since": "2026-03-02T14:03:22Z",
        "previous": "OK",
        "region": "us-east-1",
        "since": "2026-03-02T14:03:22Z",
        "state": "ALARM"
      },
      "because": [],
      "cause": "Threshold Crossed: 1 datapoint [2.0 (02/03/26 14:02:00)] was greater than the threshold (1.0).",
      "comparison": "above",
      "configuration-error": null,
      "description": "The Jenkins controller does not answer",
      "dimensions": {
        "TargetGroup": "jenkins"
      },
      "id": "alarm/us-east-1/123456789012/jenkins-unhealthy/alarm/2026-03-02T14:03:22Z",
      "kind": "alarm",
      "links": {
        "alarm": "https://us-east-1.console.aws.amazon.com/cloudwatch/deeplink.js?region=us-east-1#alarmsV2:alarm/jenkins-unhealthy"
      },
      "metric": "UnHealthyHostCount",
      "namespace": "AWS/ApplicationELB",
      "remedy": {
        "outcome": "done",
        "target": "restart-service/ci-main/jenkins",
        "text": "service jenkins of cluster ci-main is being restarted"
      },
      "rule": null,
      "severity": "error",
      "status": "alarm",
      "threshold": "1",
      "time": "2026-03-02T14:03:25Z",
      "title": "jenkins-unhealthy is in ALARM: UnHealthyHostCount 2 > 1 (since 14:03 UTC)",
      "value": "2",
      "version": 1
    }
    "#);
    assert_eq!(
        message.attributes,
        [
            ("kind", "alarm"),
            ("severity", "error"),
            ("status", "alarm"),
            ("alarm", "jenkins-unhealthy")
        ]
        .map(|(name, value)| (name, value.to_owned()))
    );
}

#[test]
fn an_alarm_that_tells_nothing_reads_well() {
    let mut bare = alarm("Example");
    (bare.id.region, bare.id.account) = (None, None);
    let mut news = changed(AlarmState::Alarm, AlarmFacts::default());
    (news.transition.previous, news.open) = (None, None);
    assert_snapshot!(about_alarm(&bare, &news).email, @r"
    Example is in ALARM (since 14:03 UTC)

    Alarm:      Example
    State:      ALARM since 2026-03-02 14:03 UTC
    ");
    assert_eq!(about_alarm(&bare, &news).document["links"], serde_json::Value::Null);
}

#[test]
fn titles_of_every_kind_of_alarm() {
    let reason = |text: &str| AlarmFacts {
        reason: Some(text.to_owned()),
        ..AlarmFacts::default()
    };
    let jenkins = alarm("jenkins-unhealthy");
    let of = |facts: AlarmFacts| title(&jenkins, &changed(AlarmState::Alarm, facts));
    let band = AlarmFacts {
        threshold: Some("21.406 to 58.75".to_owned()),
        comparison: Some(Comparison::Outside),
        ..facts()
    };
    let no_data = AlarmFacts {
        value: None,
        reason: Some("Threshold Crossed: no datapoints were received for 2 periods.".to_owned()),
        ..facts()
    };
    let titles = [
        of(AlarmFacts {
            comparison: None,
            ..facts()
        }),
        of(AlarmFacts {
            threshold: None,
            ..facts()
        }),
        of(band.clone()),
        title(&jenkins, &changed(AlarmState::Ok, band)),
        of(no_data),
        of(AlarmFacts {
            because: vec!["disk-full".to_owned(), "queue-old".to_owned()],
            ..reason("arn:… transitioned to ALARM")
        }),
        of(reason("Threshold Crossed")),
        of(reason("a drill")),
        title(&jenkins, &changed(AlarmState::InsufficientData, facts())),
    ];
    assert_snapshot!(titles.join("\n"), @r"
    jenkins-unhealthy is in ALARM: UnHealthyHostCount 2, threshold 1 (since 14:03 UTC)
    jenkins-unhealthy is in ALARM: UnHealthyHostCount 2 (since 14:03 UTC)
    jenkins-unhealthy is in ALARM: UnHealthyHostCount 2, outside of 21.406 to 58.75 (since 14:03 UTC)
    jenkins-unhealthy is OK again: UnHealthyHostCount 2, within 21.406 to 58.75 (after 0s)
    jenkins-unhealthy is in ALARM: UnHealthyHostCount: no datapoints were received for 2 periods (since 14:03 UTC)
    jenkins-unhealthy is in ALARM: because of disk-full, queue-old (since 14:03 UTC)
    jenkins-unhealthy is in ALARM: Threshold Crossed (since 14:03 UTC)
    jenkins-unhealthy is in ALARM: a drill (since 14:03 UTC)
    jenkins-unhealthy has insufficient data (since 14:03 UTC)
    ");
}

#[test]
fn titles_of_everything_else_that_is_told() {
    let jenkins = alarm("jenkins-unhealthy");
    let fine = AlarmFacts {
        value: Some("0".to_owned()),
        ..facts()
    };
    let mut over = changed(AlarmState::Ok, fine.clone());
    over.open = Some(at("13:51:17"));
    let mut lost = changed(AlarmState::Ok, fine.clone());
    lost.open = None;
    let mut late = changed(AlarmState::Alarm, facts());
    late.announced_at = "2026-03-04T08:00:00Z".parse().unwrap();
    let mut contributor = alarm("dead-letters");
    contributor.id.contributor = Some("6d44".to_owned());
    let titles = [
        title(&jenkins, &over),
        title(&jenkins, &lost),
        title(&jenkins, &late),
        title(&contributor, &changed(AlarmState::Alarm, facts())),
        title(&jenkins, &news(AlarmNewsKind::Flapping, AlarmState::Alarm, facts())),
        title(&jenkins, &news(AlarmNewsKind::Settled, AlarmState::Alarm, facts())),
        title(&jenkins, &news(AlarmNewsKind::Settled, AlarmState::Ok, fine)),
        title(&jenkins, &news(AlarmNewsKind::Settled, AlarmState::InsufficientData, facts())),
        title(&jenkins, &news(AlarmNewsKind::PauseEnded, AlarmState::Alarm, facts())),
    ];
    assert_snapshot!(titles.join("\n"), @r"
    jenkins-unhealthy is OK again: UnHealthyHostCount 0 <= 1 (after 12m 5s)
    jenkins-unhealthy is OK again: UnHealthyHostCount 0 <= 1 (since 14:03 UTC)
    jenkins-unhealthy is in ALARM: UnHealthyHostCount 2 > 1 (since 2026-03-02 14:03 UTC)
    dead-letters (TargetGroup: jenkins) is in ALARM: UnHealthyHostCount 2 > 1 (since 14:03 UTC)
    jenkins-unhealthy is flapping: it changed 5 times within 10m; the next message comes when it settles
    jenkins-unhealthy has settled in ALARM: UnHealthyHostCount 2 > 1 (since 14:03 UTC)
    jenkins-unhealthy has settled and is OK: UnHealthyHostCount 0 <= 1 (since 14:03 UTC)
    jenkins-unhealthy has settled with insufficient data (since 14:03 UTC)
    jenkins-unhealthy: launches resume after a pause of 24 hours, although no OK was received
    ");
    assert_eq!(
        about_alarm(&contributor, &changed(AlarmState::Alarm, facts())).document["severity"],
        "warning"
    );
}

#[test]
fn what_was_done_is_a_sentence() {
    let job = |outcome: RemedyOutcome| {
        let mut news = restart(outcome).unwrap();
        news.remedy.action = RemedyAction::RunJob("clean-workspaces".parse().unwrap());
        news
    };
    let pause = |outcome: RemedyOutcome| {
        let mut news = restart(outcome).unwrap();
        news.remedy.action = RemedyAction::PauseStarts;
        news
    };
    let backup = |outcome: RemedyOutcome| {
        let mut news = restart(outcome).unwrap();
        news.remedy.action = RemedyAction::BackUp("jenkins-home".to_owned());
        news
    };
    let all = [
        restart(RemedyOutcome::Done(None)).unwrap(),
        restart(RemedyOutcome::CoolingDown { since: at("13:50:00") }).unwrap(),
        restart(RemedyOutcome::Failed("there is no such service".to_owned())).unwrap(),
        restart(RemedyOutcome::Retrying).unwrap(),
        restart(RemedyOutcome::WaitingForOther { since: at("13:50:00") }).unwrap(),
        restart(RemedyOutcome::NotNeeded).unwrap(),
        restart(RemedyOutcome::DryRun).unwrap(),
        job(RemedyOutcome::Done(Some("run abcdefghij".to_owned()))),
        job(RemedyOutcome::CoolingDown { since: at("13:50:00") }),
        pause(RemedyOutcome::Done(None)),
        pause(RemedyOutcome::DryRun),
        backup(RemedyOutcome::Done(None)),
    ];
    let sentences: Vec<String> = all.iter().map(|news| sentence(&news.remedy, &news.outcome)).collect();
    assert_snapshot!(sentences.join("\n"), @r"
    service jenkins of cluster ci-main is being restarted
    service jenkins of cluster ci-main was not restarted: the limit is once every 30m, and the last time was 13:50 UTC
    service jenkins of cluster ci-main could not be restarted: there is no such service
    service jenkins of cluster ci-main could not be restarted yet; Bellhop retries
    service jenkins of cluster ci-main is not restarted yet: another alarm requested the same at 13:50 UTC, and that is still in progress
    service jenkins of cluster ci-main was not restarted, because the alarm has changed since
    service jenkins of cluster ci-main would be restarted (dry run)
    job clean-workspaces was started (run abcdefghij)
    job clean-workspaces was not started: the limit is once every 30m, and the last time was 13:50 UTC
    every agent launch is paused until the alarm is OK again
    every agent launch would be paused (dry run)
    a backup of jenkins-home was started
    ");
    let mut news = news(AlarmNewsKind::Remedied, AlarmState::Alarm, facts());
    news.remedy = restart(RemedyOutcome::Failed("there is no such service".to_owned()));
    let message = about_alarm(&alarm("jenkins-unhealthy"), &news);
    assert_eq!(
        (message.document["status"].as_str(), message.document["severity"].as_str()),
        (Some("remedy-failed"), Some("error"))
    );
    assert_eq!(
        message.sms,
        "jenkins-unhealthy: service jenkins of cluster ci-main could not be restarted: there is no such service"
    );
}

#[test]
fn a_bad_configuration_is_told_with_the_alarm() {
    let mut news = changed(AlarmState::Alarm, facts());
    news.unconfigured = Some("config/bellhop.yaml, line 3: unknown key `alarm`".to_owned());
    let message = about_alarm(&alarm("jenkins-unhealthy"), &news);
    assert!(message.email.contains("config/bellhop.yaml, line 3"), "{}", message.email);
}

#[test]
fn long_names_and_findings_keep_the_limits() {
    let long = AlarmFacts {
        reason: Some("why ".repeat(125)),
        description: Some("\u{1f514}".repeat(500)),
        ..AlarmFacts::default()
    };
    for (name, facts) in [
        ("x".repeat(255), long.clone()),
        ("\u{1f514}".repeat(255), facts()),
        ("a".to_owned(), long),
    ] {
        for state in [AlarmState::Alarm, AlarmState::Ok, AlarmState::InsufficientData] {
            let message = about_alarm(&alarm(&name), &changed(state, facts.clone()));
            assert!(message.sms.chars().count() <= SMS_LIMIT, "{}", message.sms);
            assert!(
                message.subject.len() <= SUBJECT_LIMIT && message.subject.is_ascii(),
                "{}",
                message.subject
            );
            assert!(message.document.to_string().len() < 20_000);
        }
    }
    let name = "a".repeat(60);
    let facts = AlarmFacts {
        reason: Some("b".repeat(200)),
        ..AlarmFacts::default()
    };
    let message = about_alarm(&alarm(&name), &changed(AlarmState::Alarm, facts));
    assert!(message.sms.ends_with("b... (since 14:03 UTC)"), "{}", message.sms);
}

#[test]
fn the_console_knows_partitions_and_odd_names() {
    assert_eq!(
        console("cn-north-1", "a/b c:ü"),
        "https://cn-north-1.console.amazonaws.cn/cloudwatch/deeplink.js?region=cn-north-1#alarmsV2:alarm/a%2Fb%20c%3A%C3%BC"
    );
    assert!(console("us-gov-west-1", "a").starts_with("https://us-gov-west-1.console.amazonaws-us-gov.com/"));
}
