//! Texts of a job, of a repository and of an alarm that are to do something where people read them. E-mails of SNS are plain text
//! (<https://aws.amazon.com/sns/faqs/>), so that Markdown and HTML stay what they are: characters.

use bellhop_scenarios::{World, script_report};
use serde_json::{Value, json};

use super::running;

/// Another title for the terminal, a line that looks like a header, a reversed text, C1's own escape, an SMS of its own and a link.
const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2J\r\nSubject: You have won\r\n\r\n<a href='https://example.com'>b</a> \u{202e}txt.exe \u{9b}31m \u{2028}c\u{0}";

fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Everything that was published is fit for people. Gives the bodies of the e-mails.
fn are_fit(world: &World) -> Vec<String> {
    let published = world.journal().of("sns", "Publish");
    assert!(!published.is_empty());
    let mut emails = Vec::new();
    for entry in published {
        let request = entry.request.unwrap();
        let subject = request["Subject"].as_str().unwrap();
        let is_header = subject.len() < 100 && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(is_header, "{subject:?}");
        let texts: Value = serde_json::from_str(request["Message"].as_str().unwrap()).unwrap();
        let sms = texts["sms"].as_str().unwrap();
        assert!(sms.chars().count() <= 140 && !sms.contains(is_unfit), "{sms:?}");
        let email = texts["email"].as_str().unwrap();
        assert!(!email.lines().any(|line| line.contains(is_unfit)), "{email:?}");
        // A line of its own would be read as Bellhop's.
        assert!(!email.lines().any(|line| line.starts_with("Subject:")), "{email}");
        // The document for programs has the exact name of the branch. What a job wrote is clean there, too.
        let document: Value = serde_json::from_str(texts["default"].as_str().unwrap()).unwrap();
        for field in ["title", "cause"] {
            let text = document[field].as_str().unwrap_or_default();
            assert!(!text.contains(is_unfit), "{text:?}");
        }
        emails.push(email.to_owned());
    }
    emails
}

#[tokio::test]
async fn a_failed_command_with_escapes_and_line_breaks() {
    for field in ["command", "message"] {
        let (world, task) = running().await;
        let mut report = script_report(2);
        report[field] = json!(HOSTILE);
        world.reports(&task, &report).await;
        world.exits(&task, 2).await;
        let emails = are_fit(&world);
        assert!(
            emails.iter().any(|email| email.contains("owned")),
            "{field} is not shown: {emails:?}"
        );
    }
}

#[tokio::test]
async fn a_failed_checkout_with_escapes_and_line_breaks() {
    let (world, task) = running().await;
    world
        .reports(&task, &json!({ "phase": "checkout", "exit-code": 90, "message": HOSTILE }))
        .await;
    world.exits(&task, 90).await;
    are_fit(&world);
}

#[tokio::test]
async fn the_name_of_a_failed_test_with_escapes_and_line_breaks() {
    let (world, task) = running().await;
    let name = HOSTILE
        .replace(['\u{0}', '\u{1b}', '\u{7}'], "")
        .replace('<', "&lt;")
        .replace('\r', "&#13;")
        .replace('\n', "&#10;");
    let junit = format!(
        "<testsuite><testcase classname=\"{name}\" name=\"{name}\"><failure message=\"{name}\">{name}</failure></testcase></testsuite>"
    );
    world.leaves("test", 1, "tests.xml", &junit).await;
    world.exits(&task, 1).await;
    assert_eq!(world.report().await["builds"][0]["tests"]["failed"], 1);
    let emails = are_fit(&world);
    assert!(emails.iter().any(|email| email.contains("You have won")), "{emails:?}");
}

#[tokio::test]
async fn a_branch_with_escapes_in_its_name() {
    let world = World::new().await;
    let mut push = world.push_event();
    let name = "a\u{9b}31m\u{202e}txt.exe\u{2028}<b>Subject";
    push["detail"]["referenceName"] = json!(name);
    push["detail"]["referenceFullName"] = json!(format!("refs/heads/{name}"));
    world.start_by(&push).await;
    let task = world.task(0);
    world.runs(&task).await;
    world.exits(&task, 1).await;
    are_fit(&world);
}

#[tokio::test]
async fn a_pipeline_file_with_escapes_and_line_breaks() {
    let world = World::new().await;
    for file in [
        format!("version: 1\njobs:\n  test: {{ agent: {}, run: x }}\n", json!(HOSTILE)),
        format!("version: 1\n{}: 1\n", json!(HOSTILE)),
        format!("version: 1\njobs:\n  {}: {{ agent: small, run: x }}\n", json!(HOSTILE)),
        format!("version: {HOSTILE}\n"),
    ] {
        let push = world.commit(&[(".bellhop.yaml", &file)], "Worse").await;
        let answer = world.push(&push).await.unwrap();
        let why = answer[0]["rejected"].as_str().unwrap();
        assert!(!why.contains(is_unfit), "{why:?}");
    }
    are_fit(&world);
}

#[tokio::test]
async fn an_alarm_with_escapes_and_line_breaks() {
    let world = World::new().await;
    let rule = "alarms:\n  - { name: 'jenkins*', restart-service: { cluster: ci, service: jenkins }, dry-run: true }\n";
    let agents = "version: 1\nagents:\n  small: { ecs: { cluster: ci, task-definition: a, subnets: [s] } }\n";
    world.configure(&format!("{agents}{rule}")).await;
    let mut event: Value = serde_json::from_str(include_str!("../../../../../events/alarm/alarm.json")).unwrap();
    event["detail"]["state"]["reason"] = json!(HOSTILE);
    event["detail"]["configuration"]["description"] = json!(HOSTILE);
    event["detail"]["alarmName"] = json!(HOSTILE);
    let answer = world.alarm(&event).await.unwrap();
    assert!(
        answer.to_string().contains("expected a name of at most 255 characters in one line"),
        "{answer}"
    );
    event["detail"]["alarmName"] = json!("jenkins \u{202e}txt.exe <b>");
    let answer = world.alarm(&event).await.unwrap();
    assert_eq!(answer[0]["result"], "done", "{answer}");
    are_fit(&world);
}
