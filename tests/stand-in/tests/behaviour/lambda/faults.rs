//! What goes wrong, and what others do in between.

use aws_sdk_lambda::operation::update_alias::UpdateAliasError;
use bellhop_stand_in::{Change, EffectKind, Fault, Rule, code_sha256};
use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn errors_are_lambdas() {
    let deployment = deployment().await.with_two_versions().await;
    deployment.faults().inject(Rule::new("lambda", "UpdateAlias", Fault::Throttle));
    deployment.faults().inject(Rule::new("lambda", "UpdateAlias", Fault::ServerError));
    let before = deployment.effects();
    let update = || {
        deployment
            .sdk
            .update_alias()
            .function_name(FUNCTION)
            .name("live")
            .function_version("2")
            .send()
    };
    let throttled = update().await.unwrap_err();
    assert!(matches!(
        throttled.as_service_error(),
        Some(UpdateAliasError::TooManyRequestsException(_))
    ));
    assert_eq!(refusal(throttled), refused("TooManyRequestsException", 429));
    let broken = update().await.unwrap_err();
    assert!(matches!(broken.as_service_error(), Some(UpdateAliasError::ServiceException(_))));
    assert_eq!(refusal(broken), refused("ServiceException", 500));
    assert_eq!(deployment.effects(), before);
    update().await.unwrap();
}

/// The reply of each step is lost once. A caller that reads first finds what has taken effect.
#[tokio::test]
async fn a_lost_reply_has_taken_effect_and_is_found_again() {
    let deployment = deployment().await;
    for operation in ["UpdateFunctionCode", "PublishVersion", "UpdateAlias"] {
        deployment.faults().inject(Rule::new("lambda", operation, Fault::LoseReply));
    }
    assert!(deployment.update().send().await.is_err());
    assert_eq!(deployment.configuration().await.code_sha256.unwrap(), code_sha256(SECOND));

    let publish = || {
        deployment
            .sdk
            .publish_version()
            .function_name(FUNCTION)
            .code_sha256(code_sha256(SECOND))
            .send()
    };
    assert!(publish().await.is_err());
    assert_eq!(publish().await.unwrap().version.as_deref(), Some("1"));

    deployment.lambda().change(FUNCTION, to("$LATEST", &[])).unwrap();
    let alias = || deployment.sdk.get_alias().function_name(FUNCTION).name("live").send();
    let revision = alias().await.unwrap().revision_id.unwrap();
    let update = || {
        deployment
            .sdk
            .update_alias()
            .function_name(FUNCTION)
            .name("live")
            .function_version("1")
            .revision_id(&revision)
    };
    assert!(update().send().await.is_err());
    assert_eq!(
        refusal(update().send().await.unwrap_err()),
        refused("PreconditionFailedException", 412)
    );
    assert_eq!(alias().await.unwrap().function_version.as_deref(), Some("1"));
    assert_eq!(deployment.effects().len(), 4);
}

#[tokio::test]
async fn a_refused_request_has_no_effect_and_a_delayed_one_has() {
    let deployment = deployment().await;
    deployment.faults().inject(Rule::new("lambda", "UpdateFunctionCode", Fault::Refuse));
    let delay = Duration::from_millis(100);
    deployment
        .faults()
        .inject(Rule::new("lambda", "UpdateFunctionCode", Fault::Delay(delay)));
    assert!(deployment.update().send().await.is_err());
    assert_eq!(deployment.effects(), []);
    let begun = Instant::now();
    deployment.update().send().await.unwrap();
    assert!(begun.elapsed() >= delay);
    assert_eq!(deployment.effects().len(), 1);
}

#[tokio::test]
async fn somebody_else_changes_the_code_before_it_is_published() {
    let deployment = deployment().await;
    deployment.update().send().await.unwrap();
    let theirs = |takes| Change::Code {
        sha256: code_sha256(b"theirs"),
        takes,
    };
    let publish = || {
        deployment
            .sdk
            .publish_version()
            .function_name(FUNCTION)
            .code_sha256(code_sha256(SECOND))
            .send()
    };
    deployment
        .lambda()
        .change_before("PublishVersion", FUNCTION, theirs(Duration::ZERO));
    assert_eq!(
        refusal(publish().await.unwrap_err()),
        refused("InvalidParameterValueException", 400)
    );

    // Each is done before one request.
    deployment.update().send().await.unwrap();
    publish().await.unwrap();
    deployment.lambda().change_before("UpdateFunctionCode", FUNCTION, theirs(NEVER));
    assert_eq!(
        refusal(deployment.update().send().await.unwrap_err()),
        refused("ResourceConflictException", 409)
    );
    // What Lambda would refuse to others as well is left out.
    deployment.lambda().change_before("PublishVersion", FUNCTION, Change::Publish);
    assert_eq!(refusal(publish().await.unwrap_err()).1, 409);
    assert!(deployment.lambda().change(FUNCTION, theirs(Duration::ZERO)).is_err());
    let history = deployment.lambda().function(FUNCTION).unwrap().history;
    let theirs: Vec<_> = history.iter().filter(|effect| effect.by_somebody_else).collect();
    let changed = EffectKind::Code {
        code_sha256: code_sha256(b"theirs"),
    };
    assert!(theirs.len() == 2 && theirs.iter().all(|effect| effect.kind == changed));
}

#[tokio::test]
async fn somebody_else_deletes_the_function() {
    let deployment = deployment().await.with_two_versions().await;
    deployment.lambda().change_before("UpdateAlias", FUNCTION, Change::Delete);
    let gone = refused("ResourceNotFoundException", 404);
    assert_eq!(deployment.set_alias("2", &[]).await.unwrap_err(), gone);
    let error = deployment.update().send().await.unwrap_err();
    assert_eq!(
        words(&error),
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:shop"
    );
    assert_eq!(refusal(error), gone);
    assert!(deployment.lambda().function(FUNCTION).is_err());
    assert!(deployment.lambda().change(FUNCTION, Change::Publish).is_err());
}

#[tokio::test]
async fn a_test_waits_for_what_is_to_come() {
    let deployment = deployment().await;
    let waited = deployment
        .lambda()
        .wait_for(FUNCTION, SOON, |function| function.versions.first().cloned());
    let (waited, ()) = tokio::join!(waited, async {
        deployment.publish().await;
    });
    assert_eq!(waited.unwrap().version, "1");
    let never = deployment
        .lambda()
        .wait_for(FUNCTION, Duration::ZERO, |function| function.versions.get(1).cloned());
    assert!(never.await.unwrap_err().to_string().contains("code_sha256"));
}
