//! PublishVersion and ListVersionsByFunction.

use aws_sdk_lambda::types::State;
use bellhop_stand_in::{Change, EffectKind, code_sha256};
use std::time::Duration;

use super::*;

/// <https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>
#[tokio::test]
async fn what_has_not_changed_is_published_once() {
    let deployment = deployment().await;
    let publish = || {
        deployment
            .sdk
            .publish_version()
            .function_name(FUNCTION)
            .code_sha256(code_sha256(FIRST))
    };
    let first = publish().description("Run 1").send().await.unwrap();
    assert_eq!((first.version.as_deref(), first.description.as_deref()), (Some("1"), Some("Run 1")));
    assert!(first.function_arn.as_deref().unwrap().ends_with(":function:shop:1"));
    let again = publish().description("Run 2").send().await.unwrap();
    assert_eq!(
        (again.version, again.description, again.revision_id),
        (first.version, first.description, first.revision_id)
    );

    deployment.update().send().await.unwrap();
    let other = publish().send().await.unwrap_err();
    let text = format!(
        "CodeSHA256 ({}) is different from current CodeSHA256 in $LATEST ({}). Please try again with the CodeSHA256 in $LATEST.",
        code_sha256(FIRST),
        code_sha256(SECOND)
    );
    assert_eq!(words(&other), text);
    assert_eq!(refusal(other), refused("InvalidParameterValueException", 400));
    assert_eq!(deployment.publish().await, "2");
    let published = |version: &str, package: &[u8]| EffectKind::Version {
        version: version.to_owned(),
        code_sha256: code_sha256(package),
    };
    let updated = EffectKind::Code {
        code_sha256: code_sha256(SECOND),
    };
    assert_eq!(deployment.effects(), [published("1", FIRST), updated, published("2", SECOND)]);
    let statuses: Vec<_> = deployment
        .journal()
        .of("lambda", "PublishVersion")
        .iter()
        .map(|entry| entry.status)
        .collect();
    assert_eq!(statuses, [Some(201), Some(201), Some(400), Some(201)]);
}

#[tokio::test]
async fn a_version_is_published_of_the_revision_that_was_read() {
    let deployment = deployment().await;
    let read = deployment.configuration().await.revision_id.unwrap();
    let publish = || deployment.sdk.publish_version().function_name(FUNCTION).revision_id(&read);
    let first = publish().send().await.unwrap();
    assert_ne!(first.revision_id.as_deref(), Some(read.as_str()));
    // Publishing has changed it.
    let stale = publish().send().await.unwrap_err();
    assert_eq!(refusal(stale), refused("PreconditionFailedException", 412));
    assert_eq!(refusal(publish().function_name("shop:1").send().await.unwrap_err()).1, 400);
}

#[tokio::test]
async fn a_new_version_is_pending_first() {
    let deployment = deployment().await;
    deployment.lambda().set_times(Duration::ZERO, NEVER);
    let published = deployment.sdk.publish_version().function_name(FUNCTION).send().await.unwrap();
    assert_eq!((published.state, published.last_update_status), (Some(State::Pending), None));
    deployment.lambda().change(FUNCTION, to("1", &[])).unwrap();
    let invoked = deployment
        .sdk
        .invoke()
        .function_name(FUNCTION)
        .qualifier("live")
        .send()
        .await
        .unwrap_err();
    assert_eq!(refusal(invoked), refused("ResourceConflictException", 409));

    deployment.lambda().set_times(Duration::ZERO, Duration::from_millis(20));
    deployment.update().send().await.unwrap();
    assert_eq!(deployment.publish().await, "2");
    let active = async {
        loop {
            let request = deployment.sdk.get_function_configuration().function_name(FUNCTION).qualifier("2");
            if request.send().await.unwrap().state == Some(State::Active) {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, active).await.unwrap();
    let ran = deployment.sdk.invoke().function_name(FUNCTION).qualifier("2").send().await.unwrap();
    assert_eq!(ran.executed_version.as_deref(), Some("2"));
}

#[tokio::test]
async fn an_update_can_publish() {
    let deployment = deployment().await;
    let published = deployment.update().publish(true).send().await.unwrap();
    assert_eq!(published.version.as_deref(), Some("1"));
    assert_eq!(published.code_sha256.unwrap(), code_sha256(SECOND));
    let again = deployment.update().publish(true).send().await.unwrap();
    assert_eq!(again.version.as_deref(), Some("1"));
    assert_eq!(deployment.lambda().function(FUNCTION).unwrap().versions.len(), 1);
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html>
#[tokio::test]
async fn versions_are_listed_in_pages_after_latest() {
    let deployment = deployment().await;
    for number in 1..=59 {
        let sha256 = code_sha256(format!("{number}").as_bytes());
        let takes = Duration::ZERO;
        deployment.lambda().change(FUNCTION, Change::Code { sha256, takes }).unwrap();
        deployment.lambda().change(FUNCTION, Change::Publish).unwrap();
    }
    let list = || deployment.sdk.list_versions_by_function().function_name(FUNCTION);
    let first = list().send().await.unwrap();
    assert_eq!(first.versions().len(), 50);
    let rest = list().set_marker(first.next_marker.clone()).send().await.unwrap();
    assert_eq!((rest.versions().len(), &rest.next_marker), (10, &None));
    let more_than_allowed = list().max_items(10_000).send().await.unwrap();
    assert_eq!(more_than_allowed.versions().len(), 50);

    let mut pages = list().into_paginator().page_size(7).items().send();
    let mut all = Vec::new();
    while let Some(version) = pages.next().await {
        all.push(version.unwrap());
    }
    let numbers: Vec<_> = all.iter().map(|version| version.version.clone().unwrap()).collect();
    let expected: Vec<_> = std::iter::once("$LATEST".to_owned())
        .chain((1..=59).map(|number: i32| number.to_string()))
        .collect();
    assert_eq!(numbers, expected);
    // A list does not say how a version stands.
    assert!(
        all.iter()
            .all(|version| version.state.is_none() && version.last_update_status.is_none())
    );
    assert_eq!(all[59].code_sha256.as_deref(), Some(code_sha256(b"59").as_str()));
    assert!(all[0].function_arn.as_deref().unwrap().ends_with(":shop:$LATEST"));
}

#[tokio::test]
async fn a_page_has_to_be_one() {
    let deployment = unrecorded().await;
    let list = || deployment.sdk.list_versions_by_function().function_name(FUNCTION);
    for wrong in [list().max_items(0), list().max_items(10_001), list().marker("x")] {
        let error = wrong.send().await.unwrap_err();
        assert_eq!(refusal(error), refused("InvalidParameterValueException", 400));
    }
}
