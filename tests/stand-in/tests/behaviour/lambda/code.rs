//! UpdateFunctionCode: what it reads, what it takes, and what it does to others.

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Architecture, InvocationType, LastUpdateStatus};
use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use bellhop_stand_in::{EffectKind, code_sha256};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpListener;

use super::*;

fn status(configuration: &GetFunctionConfigurationOutput) -> &str {
    configuration.last_update_status.as_ref().unwrap().as_str()
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>
#[tokio::test]
async fn an_update_takes_its_time_and_changes_the_revision_twice() {
    let deployment = deployment().await;
    deployment.lambda().set_times(Duration::from_millis(50), Duration::ZERO);
    let before = deployment.configuration().await;
    assert_eq!(before.code_sha256.as_deref(), Some(code_sha256(FIRST).as_str()));
    assert_eq!((status(&before), before.version.as_deref()), ("Successful", Some("$LATEST")));

    let begun = deployment.update().revision_id(before.revision_id.unwrap()).send().await.unwrap();
    assert_eq!(begun.code_sha256.as_deref(), Some(code_sha256(SECOND).as_str()));
    assert_eq!(begun.code_size, i64::try_from(SECOND.len()).unwrap());
    assert_eq!(begun.last_update_status, Some(LastUpdateStatus::InProgress));
    let ended = deployment.configuration_when(|found| status(found) != "InProgress").await;
    assert_eq!((status(&ended), &ended.code_sha256), ("Successful", &begun.code_sha256));
    assert_ne!(ended.revision_id, begun.revision_id);

    // What the answer said is no longer the latest.
    let stale = deployment
        .update()
        .revision_id(begun.revision_id.unwrap())
        .send()
        .await
        .unwrap_err();
    assert!(words(&stale).starts_with("The Revision Id provided does not match"), "{stale:?}");
    assert_eq!(refusal(stale), refused("PreconditionFailedException", 412));
    let code_sha256 = code_sha256(SECOND);
    assert_eq!(deployment.effects(), [EffectKind::Code { code_sha256 }]);
}

#[tokio::test]
async fn what_was_there_is_invoked_and_not_changed_while_an_update_is_in_progress() {
    let deployment = deployment().await.with_two_versions().await;
    deployment.lambda().put_object(BUCKET, "third.zip", None, b"PK\x03\x04 the third");
    deployment.lambda().set_times(NEVER, NEVER);
    deployment.update().s3_key("third.zip").send().await.unwrap();

    let conflict = refused("ResourceConflictException", 409);
    let error = deployment.update().send().await.unwrap_err();
    assert!(words(&error).ends_with("An update is in progress for resource: arn:aws:lambda:us-east-1:000000000000:function:shop"));
    assert_eq!(refusal(error), conflict);
    let error = deployment.sdk.publish_version().function_name(FUNCTION).send().await.unwrap_err();
    assert_eq!(refusal(error), conflict);

    let ran = deployment.sdk.invoke().function_name(FUNCTION).send().await.unwrap();
    let said: Value = serde_json::from_slice(ran.payload.unwrap().as_ref()).unwrap();
    assert_eq!(said["codeSha256"], code_sha256(SECOND));
    deployment.set_alias("2", &[]).await.unwrap();
}

#[tokio::test]
async fn an_update_can_fail() {
    let deployment = deployment().await;
    deployment.lambda().fail_next_update("InvalidRuntime", "no such runtime");
    deployment.update().send().await.unwrap();
    let failed = deployment.configuration().await;
    assert_eq!(status(&failed), "Failed");
    assert_eq!(failed.last_update_status_reason_code.unwrap().as_str(), "InvalidRuntime");
    assert_eq!(failed.last_update_status_reason.as_deref(), Some("no such runtime"));
    assert_eq!(failed.code_sha256.as_deref(), Some(code_sha256(FIRST).as_str()));
    // Only the one.
    deployment.update().send().await.unwrap();
    assert_eq!(status(&deployment.configuration().await), "Successful");
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let deployment = deployment().await;
    let before = deployment.configuration().await;
    let tried = deployment.update().dry_run(true).send().await.unwrap();
    assert_eq!(tried.code_sha256.as_deref(), Some(code_sha256(SECOND).as_str()));
    let after = deployment.configuration().await;
    assert_eq!((after.code_sha256, after.revision_id), (before.code_sha256, before.revision_id));
    assert_eq!(deployment.effects(), []);
    let stale = deployment.update().dry_run(true).revision_id("other").send().await;
    assert_eq!(refusal(stale.unwrap_err()).1, 412);
}

#[tokio::test]
async fn a_package_comes_from_s3_or_with_the_request() {
    let deployment = deployment().await;
    for (version, content) in [("one", FIRST), ("two", SECOND)] {
        deployment.lambda().put_object(BUCKET, "versions.zip", Some(version), content);
    }
    let from = |key: &str, version: Option<&str>| {
        let request = deployment.update().s3_key(key).set_s3_object_version(version.map(str::to_owned));
        async move { request.send().await.map(|done| done.code_sha256.unwrap()) }
    };
    assert_eq!(from("versions.zip", None).await.unwrap(), code_sha256(SECOND));
    assert_eq!(from("versions.zip", Some("one")).await.unwrap(), code_sha256(FIRST));
    for missing in [from("other.zip", None).await, from("versions.zip", Some("three")).await] {
        let error = missing.unwrap_err();
        let text = "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.";
        assert_eq!(words(&error), text);
        assert_eq!(refusal(error), refused("InvalidParameterValueException", 400));
    }

    let request = || deployment.sdk.update_function_code().function_name(FUNCTION);
    let inline = request()
        .zip_file(Blob::new(SECOND))
        .architectures(Architecture::X8664)
        .send()
        .await
        .unwrap();
    assert_eq!(inline.code_sha256.as_deref(), Some(code_sha256(SECOND).as_str()));
    assert_eq!(inline.architectures, Some(vec![Architecture::X8664]));
    for wrong in [
        request(),
        request().image_uri("shop:1"),
        request().zip_file(Blob::new("no zip file")),
        deployment.update().zip_file(Blob::new(SECOND)),
        deployment.update().function_name("shop:1"),
    ] {
        let error = wrong.send().await.unwrap_err();
        assert_eq!(refusal(error), refused("InvalidParameterValueException", 400));
    }
}

#[tokio::test]
async fn a_package_comes_from_the_upstreams_s3() {
    let object = get(|Query(asked): Query<BTreeMap<String, String>>| async move {
        match asked.get("versionId").map(String::as_str) {
            None => (StatusCode::OK, SECOND),
            Some(_) => (
                StatusCode::NOT_FOUND,
                b"<Error><Code>NoSuchVersion</Code><Message>There is none.</Message></Error>".as_slice(),
            ),
        }
    });
    // What is asked of functions here does not come to the upstream.
    let app = Router::new()
        .route("/packages/folder/a%20b.zip", object.clone())
        .route("/packages/folder/a b.zip", object);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let deployment = deployment_with(|options| options.upstream = Some(base)).await;

    let update = || deployment.update().s3_key("folder/a b.zip");
    assert_eq!(update().send().await.unwrap().code_sha256.unwrap(), code_sha256(SECOND));
    let error = update().s3_object_version("7").send().await.unwrap_err();
    assert!(
        words(&error).contains("S3 Error Code: NoSuchVersion. S3 Error Message: There is none."),
        "{error:?}"
    );
    // A function that was not created here is the upstream's, and this one has none.
    let others = deployment
        .sdk
        .get_function_configuration()
        .function_name("other")
        .send()
        .await
        .unwrap_err();
    assert_eq!(refusal(others).1, 404);
    let entries = deployment.journal().of("lambda", "GetFunctionConfiguration");
    assert_eq!(entries[0].summary, "GET /2015-03-31/functions/other/configuration");
}

#[tokio::test]
async fn no_code_fits_into_a_full_account() {
    let deployment = deployment().await;
    assert_eq!(deployment.publish().await, "1");
    deployment.update().send().await.unwrap();
    deployment.lambda().fill_storage(true);
    let full = refused("CodeStorageExceededException", 400);
    assert_eq!(refusal(deployment.update().send().await.unwrap_err()), full);
    let publish = || deployment.sdk.publish_version().function_name(FUNCTION).send();
    assert_eq!(refusal(publish().await.unwrap_err()), full);
    deployment.lambda().fill_storage(false);
    assert_eq!(deployment.publish().await, "2");
    // The same version once more needs no room.
    deployment.lambda().fill_storage(true);
    assert_eq!(deployment.publish().await, "2");
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>
#[tokio::test]
async fn a_function_has_many_names_and_others_are_unknown() {
    let deployment = deployment().await.with_two_versions().await;
    let of = |name: &str, qualifier: Option<&str>| {
        let request = deployment.sdk.get_function_configuration().function_name(name);
        let request = request.set_qualifier(qualifier.map(str::to_owned));
        async move { request.send().await.map_err(refusal) }
    };
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:shop";
    for (name, qualifier, version, in_arn) in [
        ("shop", None, "$LATEST", ""),
        ("shop", Some("$LATEST"), "$LATEST", ":$LATEST"),
        ("shop", Some("1"), "1", ":1"),
        ("shop:2", None, "2", ":2"),
        ("shop:live", Some("live"), "1", ":live"),
        ("000000000000:function:shop:2", None, "2", ":2"),
        (arn, None, "$LATEST", ""),
        (&format!("{arn}:live"), None, "1", ":live"),
    ] {
        let found = of(name, qualifier).await.unwrap();
        assert_eq!(found.version.as_deref(), Some(version), "{name} {qualifier:?}");
        assert_eq!(found.function_arn.unwrap(), format!("{arn}{in_arn}"));
    }
    for (name, qualifier) in [
        ("other", None),
        ("shop", Some("3")),
        ("shop", Some("beta")),
        ("arn:aws:lambda:eu-west-1:000000000000:function:shop", None),
        ("111111111111:function:shop", None),
    ] {
        let error = of(name, qualifier).await.unwrap_err();
        assert_eq!(error, refused("ResourceNotFoundException", 404), "{name} {qualifier:?}");
    }
    assert_eq!(
        of("shop:1", Some("2")).await.unwrap_err(),
        refused("InvalidParameterValueException", 400)
    );
    let asked = deployment.sdk.invoke().function_name("shop").qualifier("2");
    let tried = asked.invocation_type(InvocationType::DryRun).send().await.unwrap();
    assert_eq!(tried.status_code, 204);
}
