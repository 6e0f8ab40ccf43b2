//! GetAlias and UpdateAlias, and which version an invocation runs.

use std::collections::BTreeMap;

use aws_sdk_lambda::types::InvocationType;
use bellhop_stand_in::{Change, EffectKind};
use serde_json::Value;
use std::time::Duration;

use super::*;

/// <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>
#[tokio::test]
async fn an_alias_is_shifted_in_steps() {
    let deployment = deployment().await.with_two_versions().await;
    let read = || deployment.sdk.get_alias().function_name(FUNCTION).name("live").send();
    let before = read().await.unwrap();
    assert_eq!((before.function_version.as_deref(), &before.routing_config), (Some("1"), &None));
    assert!(before.alias_arn.as_deref().unwrap().ends_with(":function:shop:live"));

    let shifted = deployment.set_alias("1", &[("2", 0.1)]).await.unwrap();
    let weights = shifted.routing_config.unwrap().additional_version_weights.unwrap();
    assert_eq!((shifted.function_version.as_deref(), weights["2"]), (Some("1"), 0.1));
    assert_ne!(shifted.revision_id, before.revision_id);
    assert_eq!(read().await.unwrap().revision_id, shifted.revision_id);

    let done = deployment.set_alias("2", &[]).await.unwrap();
    assert_eq!((done.function_version.as_deref(), &done.routing_config), (Some("2"), &None));
    let set = |version: &str, weights: &[(&str, f64)]| EffectKind::Alias {
        name: "live".to_owned(),
        version: version.to_owned(),
        weights: weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect(),
    };
    let effects = deployment.effects();
    assert_eq!(effects[3..], [set("1", &[]), set("1", &[("2", 0.1)]), set("2", &[])]);
    let notes: Vec<_> = deployment
        .journal()
        .of("lambda", "UpdateAlias")
        .into_iter()
        .map(|entry| entry.summary)
        .collect();
    let path = "PUT /2015-03-31/functions/shop/aliases/live";
    assert_eq!(notes, [format!("{path} -> 1, 2 with 0.1"), format!("{path} -> 2")]);
}

#[tokio::test]
async fn an_alias_of_another_revision_is_not_changed() {
    let deployment = deployment().await.with_two_versions().await;
    let update = |revision: String| {
        let request = deployment
            .sdk
            .update_alias()
            .function_name(FUNCTION)
            .name("live")
            .revision_id(revision);
        request.function_version("2").send()
    };
    // The revision id of the function is not the alias's.
    let of_function = deployment.configuration().await.revision_id.unwrap();
    assert_eq!(
        refusal(update(of_function).await.unwrap_err()),
        refused("PreconditionFailedException", 412)
    );

    let read = deployment
        .sdk
        .get_alias()
        .function_name(FUNCTION)
        .name("live")
        .send()
        .await
        .unwrap();
    deployment.lambda().change_before("UpdateAlias", FUNCTION, to("1", &[("2", 0.5)]));
    assert_eq!(refusal(update(read.revision_id.unwrap()).await.unwrap_err()).1, 412);
    let found = &deployment.lambda().function(FUNCTION).unwrap();
    assert_eq!(
        (found.aliases["live"].version.as_str(), found.aliases["live"].weights["2"]),
        ("1", 0.5)
    );
    let last = found.history.last().unwrap();
    assert!(last.by_somebody_else && found.history.iter().filter(|effect| effect.by_somebody_else).count() == 2);
}

#[tokio::test]
async fn what_does_not_go_together_is_refused() {
    let deployment = deployment().await.with_two_versions().await;
    let other_role = Change::Settings {
        role: Some("arn:aws:iam::000000000000:role/other".to_owned()),
        dead_letter_target: Some("arn:aws:sqs:us-east-1:000000000000:lost".to_owned()),
        memory_size: None,
        takes: Duration::ZERO,
    };
    deployment.lambda().change(FUNCTION, other_role).unwrap();
    assert_eq!(deployment.publish().await, "3");
    let found = deployment.configuration().await;
    assert_eq!(
        found.dead_letter_config.unwrap().target_arn.as_deref(),
        Some("arn:aws:sqs:us-east-1:000000000000:lost")
    );
    let before = deployment.lambda().function(FUNCTION).unwrap().aliases;
    let invalid = refused("InvalidParameterValueException", 400);
    for (version, weights, error) in [
        ("1", [("2", 0.1), ("3", 0.1)].as_slice(), &invalid),
        ("1", &[("1", 0.1)], &invalid),
        ("1", &[("3", 0.1)], &invalid),
        ("$LATEST", &[("2", 0.1)], &invalid),
        ("9", &[], &refused("ResourceNotFoundException", 404)),
        ("1", &[("9", 0.1)], &refused("ResourceNotFoundException", 404)),
    ] {
        let refused = deployment.set_alias(version, weights).await;
        assert_eq!(refused.err().as_ref(), Some(error), "{version} {weights:?}");
        assert_eq!(deployment.lambda().function(FUNCTION).unwrap().aliases, before);
    }
    // What is not named stays, and so would version 2 twice.
    deployment.set_alias("1", &[("2", 0.1)]).await.unwrap();
    let only_version = deployment
        .sdk
        .update_alias()
        .function_name(FUNCTION)
        .name("live")
        .function_version("2");
    let error = only_version.send().await.unwrap_err();
    assert_eq!(
        words(&error),
        "Invalid function version 2. Function version 2 is already included in routing configuration."
    );
    let unknown = deployment
        .sdk
        .get_alias()
        .function_name(FUNCTION)
        .name("beta")
        .send()
        .await
        .unwrap_err();
    assert_eq!(
        words(&unknown),
        "Cannot find alias arn: arn:aws:lambda:us-east-1:000000000000:function:shop:beta"
    );
    assert_eq!(refusal(unknown), refused("ResourceNotFoundException", 404));
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_AliasRoutingConfiguration.html>
#[tokio::test]
async fn a_weight_is_a_share_of_a_number() {
    let deployment = unrecorded().await.with_two_versions().await;
    let invalid = refused("InvalidParameterValueException", 400);
    for weights in [("2", 1.01), ("2", -0.01), ("$LATEST", 0.1), ("live", 0.1)] {
        assert_eq!(deployment.set_alias("1", &[weights]).await.unwrap_err(), invalid, "{weights:?}");
    }
    for weight in [0.0, 1.0] {
        deployment.set_alias("1", &[("2", weight)]).await.unwrap();
    }
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>
#[tokio::test]
async fn invocations_are_shared_by_weight_and_say_which_version_ran() {
    let deployment = deployment().await.with_two_versions().await;
    let invoke = async |kind: Option<InvocationType>| {
        let request = deployment
            .sdk
            .invoke()
            .function_name(FUNCTION)
            .qualifier("live")
            .set_invocation_type(kind);
        request.send().await.unwrap()
    };
    let mut all = Vec::new();
    for seed in [7, 7, 8] {
        deployment.lambda().create_function(FUNCTION, FIRST);
        deployment.publish().await;
        deployment.update().send().await.unwrap();
        deployment.publish().await;
        deployment.lambda().change(FUNCTION, to("1", &[("2", 0.25)])).unwrap();
        deployment.lambda().set_seed(seed);
        let mut ran = Vec::new();
        for _ in 0..100 {
            ran.push(invoke(None).await.executed_version.unwrap());
        }
        let second = ran.iter().filter(|version| *version == "2").count();
        assert!((10..=40).contains(&second), "{second} of 100");
        let found = deployment.lambda().function(FUNCTION).unwrap();
        assert_eq!(found.shares("live"), BTreeMap::from([("1", 100 - second), ("2", second)]));
        all.push(ran);
    }
    assert!(all[0] == all[1] && all[0] != all[2]);

    deployment.set_alias("2", &[]).await.unwrap();
    let said: Value = serde_json::from_slice(invoke(None).await.payload.unwrap().as_ref()).unwrap();
    assert_eq!((&said["function"], &said["version"]), (&"shop".into(), &"2".into()));
    let later = invoke(Some(InvocationType::Event)).await;
    assert_eq!((later.status_code, later.executed_version), (202, None));
    let counted = deployment.lambda().function(FUNCTION).unwrap().invocations.len();
    assert_eq!(invoke(Some(InvocationType::DryRun)).await.status_code, 204);
    assert_eq!(deployment.lambda().function(FUNCTION).unwrap().invocations.len(), counted);
}
