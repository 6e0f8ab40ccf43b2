//! Secrets, from Systems Manager Parameter Store and Secrets Manager, with the agent's own credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::config::timeout::TimeoutConfig;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::http::Response;
use aws_types::SdkConfig;
use futures::future::{join, join_all};

use super::config::{self, Lazy};
use crate::secrets::{Answer, Place};
use crate::settings::Variables;

/// How many parameters one request can read (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>).
const AT_A_TIME: usize = 10;
/// How long one try of a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request may take with all of its tries.
const IN_ALL: Duration = Duration::from_secs(60);
/// How often a request is tried, unless `AWS_MAX_ATTEMPTS` says otherwise.
const TRIES: u32 = 6;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The codes of refusals that another try does not change
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html#API_GetParameters_Errors>,
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html#API_GetSecretValue_Errors>): a key that cannot decrypt, an invalid
/// name, a secret that is about to be deleted. Any other code may pass.
const LASTING: [&str; 5] = [
    "DecryptionFailure",
    "InvalidKeyId",
    "InvalidParameterException",
    "InvalidRequestException",
    "ValidationException",
];

/// What the services answer about these places.
pub async fn fetch(places: &BTreeSet<Place>, aws: &Lazy<'_>) -> BTreeMap<Place, Answer> {
    let common = limited(aws.get().await.clone(), aws.variables);
    let (mut parameters, mut secrets) = (Vec::new(), Vec::new());
    for place in places {
        match place {
            Place::Parameter(name) => parameters.push(name.clone()),
            Place::Secret(name) => secrets.push(name.clone()),
        }
    }
    let client = aws_sdk_ssm::Client::new(&common);
    let parameters = join_all(parameters.chunks(AT_A_TIME).map(|names| of_parameters(&client, names)));
    let client = aws_sdk_secretsmanager::Client::new(&common);
    let secrets = join_all(secrets.into_iter().map(|name| of_secret(&client, name)));
    let (parameters, secrets) = join(parameters, secrets).await;
    parameters.into_iter().flatten().chain(secrets).collect()
}

/// With limits for each request.
fn limited(common: SdkConfig, variables: &Variables) -> SdkConfig {
    let asked = variables.get("AWS_MAX_ATTEMPTS").and_then(|asked| asked.parse().ok());
    let tries = RetryConfig::standard()
        .with_initial_backoff(Duration::from_millis(500))
        .with_max_backoff(LONGEST_PAUSE)
        .with_max_attempts(asked.filter(|tries| *tries > 0).unwrap_or(TRIES));
    let mut times = TimeoutConfig::builder()
        .operation_attempt_timeout(PATIENCE)
        .operation_timeout(IN_ALL)
        .build();
    if let Some(common) = common.timeout_config() {
        times.take_defaults_from(common);
    }
    common.into_builder().retry_config(tries).timeout_config(times).build()
}

/// Up to ten parameters. If the role may not read one of them, the service refuses all; then each is asked for by itself, so that the error names the one.
async fn of_parameters(client: &aws_sdk_ssm::Client, names: &[String]) -> Vec<(Place, Answer)> {
    let answers = match parameters(client, names).await {
        Ok(answers) => answers,
        Err(Answer::Denied(_)) if names.len() > 1 => {
            let each = join_all(names.iter().map(|name| async move {
                let answer = parameters(client, std::slice::from_ref(name)).await;
                answer.unwrap_or_else(|refused| vec![refused])
            }));
            each.await.concat()
        }
        Err(refused) => vec![refused; names.len()],
    };
    names.iter().cloned().map(Place::Parameter).zip(answers).collect()
}

/// The parameters of these names, in their order.
async fn parameters(client: &aws_sdk_ssm::Client, names: &[String]) -> Result<Vec<Answer>, Answer> {
    let request = client.get_parameters().set_names(Some(names.to_vec())).with_decryption(true);
    let reply = request.send().await.map_err(|error| refusal("Parameter Store", error))?;
    let answer = |name: &String| {
        let found = reply.parameters().iter().find(|parameter| parameter.name() == Some(name.as_str()));
        let text = found.and_then(|parameter| parameter.value());
        text.map_or(Answer::Missing, |text| Answer::Text(text.to_owned()))
    };
    Ok(names.iter().map(answer).collect())
}

async fn of_secret(client: &aws_sdk_secretsmanager::Client, name: String) -> (Place, Answer) {
    let answer = match client.get_secret_value().secret_id(&name).send().await {
        Ok(reply) => reply.secret_string().map_or(Answer::Binary, |text| Answer::Text(text.to_owned())),
        Err(error) => refusal("Secrets Manager", error),
    };
    (Place::Secret(name), answer)
}

/// What a client's error says.
fn refusal<E: ProvideErrorMetadata + std::error::Error + 'static>(service: &str, error: SdkError<E, Response>) -> Answer {
    let SdkError::ServiceError(answer) = &error else {
        return Answer::Unavailable(config::describe(&error));
    };
    let (status, code) = (answer.raw().status().as_u16(), answer.err().code().unwrap_or_default());
    let message = answer.err().message().map(|message| format!(": {message}")).unwrap_or_default();
    let text = format!("{service} answered {status} {code}{message}");
    match code {
        "ResourceNotFoundException" => Answer::Missing,
        "AccessDeniedException" => Answer::Denied(text),
        code if LASTING.contains(&code) => Answer::Refused(text),
        _ => Answer::Unavailable(text),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_config::BehaviorVersion;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_types::region::Region;
    use serde_json::{Value, json};

    use super::*;

    type Reply = fn(&Value) -> (u16, Value);

    /// A service that answers each request's body, and notes it.
    #[derive(Debug, Clone)]
    struct Wire {
        reply: Reply,
        asked: Arc<Mutex<Vec<Value>>>,
    }

    impl HttpConnector for Wire {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let (status, answer) = (self.reply)(&body);
            self.asked.lock().unwrap().push(body);
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), answer.to_string().into())))
        }
    }

    fn wire(reply: Reply) -> (SdkConfig, Wire) {
        let wire = Wire {
            reply,
            asked: Arc::default(),
        };
        let connector = SharedHttpConnector::new(wire.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()));
        (config.build(), wire)
    }

    async fn asked(reply: Reply, names: &[&str]) -> (Vec<Answer>, Vec<Value>) {
        let (config, wire) = wire(reply);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let answers = of_parameters(&aws_sdk_ssm::Client::new(&config), &names).await;
        let asked = wire.asked.lock().unwrap().clone();
        (answers.into_iter().map(|(_, answer)| answer).collect(), asked)
    }

    fn denied() -> (u16, Value) {
        (400, json!({ "__type": "AccessDeniedException", "Message": "not authorized" }))
    }

    const DENIED: &str = "Parameter Store answered 400 AccessDeniedException: not authorized";

    #[tokio::test]
    async fn parameters_come_in_one_request_and_keep_their_names() {
        let reply: Reply = |_| {
            let parameters = json!([{ "Name": "/b", "Value": "2" }, { "Name": "/a", "Value": "1" }]);
            (200, json!({ "Parameters": parameters, "InvalidParameters": ["/c"] }))
        };
        let (answers, asked) = asked(reply, &["/a", "/b", "/c"]).await;
        assert_eq!(
            answers,
            [Answer::Text("1".to_owned()), Answer::Text("2".to_owned()), Answer::Missing]
        );
        assert_eq!(asked, [json!({ "Names": ["/a", "/b", "/c"], "WithDecryption": true })]);
    }

    #[tokio::test]
    async fn of_several_parameters_the_one_that_is_denied_is_found() {
        let reply: Reply = |body| {
            let names: Vec<&str> = body["Names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            if names.contains(&"/b") {
                return denied();
            }
            (200, json!({ "Parameters": [{ "Name": names[0], "Value": "1" }] }))
        };
        let (answers, asked) = asked(reply, &["/a", "/b"]).await;
        assert_eq!(answers, [Answer::Text("1".to_owned()), Answer::Denied(DENIED.to_owned())]);
        assert_eq!(asked.len(), 3);
    }

    #[tokio::test]
    async fn what_may_pass_is_told_from_what_lasts() {
        let reply: Reply = |body| match body["Names"][0].as_str().unwrap() {
            "/denied" => denied(),
            "/key" => (400, json!({ "__type": "InvalidKeyId" })),
            "/throttled" => (400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })),
            _ => (500, json!({ "__type": "InternalServerError" })),
        };
        for (name, expected) in [
            ("/denied", Answer::Denied(DENIED.to_owned())),
            ("/key", Answer::Refused("Parameter Store answered 400 InvalidKeyId".to_owned())),
            (
                "/throttled",
                Answer::Unavailable("Parameter Store answered 400 ThrottlingException: Rate exceeded".to_owned()),
            ),
            (
                "/down",
                Answer::Unavailable("Parameter Store answered 500 InternalServerError".to_owned()),
            ),
        ] {
            assert_eq!(asked(reply, &[name]).await.0, [expected], "{name}");
        }
    }

    #[tokio::test]
    async fn secrets_are_texts_or_bytes() {
        let reply: Reply = |body| match body["SecretId"].as_str().unwrap() {
            "/text" => (200, json!({ "SecretString": "s" })),
            "/bytes" => (200, json!({ "SecretBinary": "AAEC" })),
            _ => (400, json!({ "__type": "ResourceNotFoundException" })),
        };
        let (config, _) = wire(reply);
        let client = aws_sdk_secretsmanager::Client::new(&config);
        for (name, expected) in [
            ("/text", Answer::Text("s".to_owned())),
            ("/bytes", Answer::Binary),
            ("/nothing", Answer::Missing),
        ] {
            assert_eq!(of_secret(&client, name.to_owned()).await.1, expected, "{name}");
        }
    }
}
