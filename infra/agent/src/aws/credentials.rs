//! Where the agent's credentials are, and reading them.
//!
//! Those in the environment come first, then those of the container: ECS names an address for them
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>).

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::sleep;

use super::http::{Client, Content, Sent};
use super::tries::{self, Again, Refusal, TRIES_IN_HASTE};
use crate::settings::Variables;

/// Where ECS serves credentials.
const ECS: &str = "http://169.254.170.2";
/// The hosts that may be asked without TLS: this machine, and those of ECS and EKS.
const PLAIN: [&str; 6] = [
    "127.0.0.1",
    "[::1]",
    "localhost",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::23]",
];
/// How long credentials are used before they are read again. ECS renews them long before they expire.
const KEPT: Duration = Duration::from_secs(60);
/// How long their answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer.
const LONGEST: usize = 64 * 1024;

/// Where credentials are.
#[derive(Debug, Clone)]
pub enum Source {
    /// In the environment.
    Fixed(Credentials),
    /// At an address.
    Container {
        /// The address.
        url: String,
        /// What to authenticate with there.
        token: Token,
    },
}

/// What the address wants in the header `Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// Nothing.
    None,
    /// This.
    Value(String),
    /// What is in this file, which changes.
    File(PathBuf),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Value(_) => "Value(…)",
            Self::File(_) => "File(…)",
        })
    }
}

/// Finds out where credentials are.
///
/// # Errors
/// There are none. The text names what was expected.
pub fn source(variables: &Variables) -> Result<Source, String> {
    let both = variables.get("AWS_ACCESS_KEY_ID").zip(variables.get("AWS_SECRET_ACCESS_KEY"));
    if let Some((key, secret)) = both {
        let token = variables.get("AWS_SESSION_TOKEN").map(ToOwned::to_owned);
        return Ok(Source::Fixed(Credentials::new(key, secret, token, None, "environment")));
    }
    let relative = variables
        .get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        .map(|path| format!("{ECS}{path}"));
    let full = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let Some(url) = relative.or_else(|| variables.get(full).map(ToOwned::to_owned)) else {
        return Err(
            "no credentials: expected AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, which ECS sets for a task with a task role, \
                    or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned(),
        );
    };
    if !may_be_asked(&url) {
        return Err(format!(
            "{full} is {url:?}: expected https://…, or http:// and one of {}",
            PLAIN.join(", ")
        ));
    }
    let file = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let token = match (file, variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
        (Some(file), _) => Token::File(file.into()),
        (None, Some(value)) => Token::Value(value.to_owned()),
        (None, None) => Token::None,
    };
    Ok(Source::Container { url, token })
}

/// Whether a token may be sent to this address.
fn may_be_asked(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    match uri.scheme_str() {
        Some("https") => uri.host().is_some(),
        Some("http") => uri.host().is_some_and(|host| PLAIN.contains(&host)),
        _ => false,
    }
}

/// The answer of such an address.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

/// Reads an answer. An error does not quote it, because it may hold a secret.
fn parse(body: &[u8]) -> Option<Credentials> {
    let answered: Answered = serde_json::from_slice(body).ok()?;
    let token = answered.token.filter(|token| !token.is_empty());
    Some(Credentials::new(
        answered.access_key_id,
        answered.secret_access_key,
        token,
        None,
        "container",
    ))
}

/// Credentials that are read when they are needed.
#[derive(Debug)]
pub struct Provider {
    source: Result<Source, String>,
    kept: RefCell<Option<(Instant, Credentials)>>,
}

impl Provider {
    /// Those of this environment.
    #[must_use]
    pub fn new(variables: &Variables) -> Self {
        Self {
            source: source(variables),
            kept: RefCell::default(),
        }
    }

    /// The credentials.
    ///
    /// # Errors
    /// There are none, or they could not be read.
    pub async fn get(&self) -> Result<Credentials, Refusal> {
        let (url, token) = match &self.source {
            Ok(Source::Fixed(credentials)) => return Ok(credentials.clone()),
            Ok(Source::Container { url, token }) => (url, token),
            Err(error) => return Err(Refusal::lasting(error)),
        };
        if let Some((since, credentials)) = &*self.kept.borrow()
            && since.elapsed() < KEPT
        {
            return Ok(credentials.clone());
        }
        let client = Client::new(url.starts_with("https:")).map_err(Refusal::lasting)?;
        let mut made = 1;
        let credentials = loop {
            match ask(&client, url, token).await {
                Ok(credentials) => break credentials,
                Err(refusal) if refusal.again == Again::Never || made == TRIES_IN_HASTE => return Err(refusal),
                Err(_) => sleep(tries::pause(made, fastrand::f64())).await,
            }
            made += 1;
        };
        *self.kept.borrow_mut() = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }

    /// Has them read again.
    pub fn forget(&self) {
        *self.kept.borrow_mut() = None;
    }
}

async fn ask(client: &Client, url: &str, token: &Token) -> Result<Credentials, Refusal> {
    let token = match token {
        Token::None => None,
        Token::Value(value) => Some(value.clone()),
        Token::File(path) => {
            let read = std::fs::read_to_string(path);
            let text =
                read.map_err(|error| Refusal::lasting(format!("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, {}: {error}", path.display())))?;
            Some(text.trim().to_owned())
        }
    };
    let mut request = http::Request::get(url);
    if let Some(token) = token {
        request = request.header(http::header::AUTHORIZATION, token);
    }
    let request = request
        .body(Content::Bytes(Bytes::new()))
        .map_err(|_| Refusal::lasting("the address or the token of the container's credentials is not valid in a request"))?;
    let answer = client.send(request, &Sent::default(), PATIENCE, LONGEST).await?;
    let status = answer.status;
    match status {
        200 => parse(&answer.body).ok_or_else(|| Refusal::passing("the container's credentials are not what was expected")),
        _ if status >= 500 || status == 429 => Err(Refusal::passing(format!("the container's credentials: HTTP {status}"))),
        _ => Err(Refusal::lasting(format!("the container's credentials: HTTP {status}"))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Source, String> {
        source(&pairs.iter().copied().collect())
    }

    #[test]
    fn the_environment_comes_first() {
        let found = of(&[
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_SESSION_TOKEN", "token"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"),
        ]);
        let Ok(Source::Fixed(credentials)) = found else {
            panic!("{found:?}")
        };
        assert_eq!((credentials.access_key_id(), credentials.session_token()), ("AKID", Some("token")));
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[test]
    fn containers() {
        let at = |pairs: &[(&str, &str)]| match of(pairs).unwrap() {
            Source::Container { url, token } => (url, token),
            Source::Fixed(_) => panic!("fixed"),
        };
        let relative = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x");
        assert_eq!(at(&[relative]), ("http://169.254.170.2/v2/credentials/x".to_owned(), Token::None));
        let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
        let file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/token");
        let value = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush");
        assert_eq!(at(&[full, file, value]).1, Token::File("/var/token".into()));
        assert_eq!(at(&[full, value]).1, Token::Value("hush".to_owned()));
        assert!(!format!("{:?}", at(&[full, value]).1).contains("hush"));
    }

    #[test]
    fn a_token_goes_to_no_other_machine() {
        for url in [
            "http://example.com/",
            "http://169.254.170.2.example.com/",
            "ftp://127.0.0.1/",
            "http:",
            "x",
        ] {
            assert!(
                of(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)])
                    .unwrap_err()
                    .contains("expected https://"),
                "{url}"
            );
        }
        assert!(of(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "https://example.com/x")]).is_ok());
        assert!(of(&[]).unwrap_err().contains("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    }

    #[test]
    fn answers() {
        let credentials =
            parse(br#"{"RoleArn":"r","AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2026-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(
            (
                credentials.access_key_id(),
                credentials.secret_access_key(),
                credentials.session_token()
            ),
            ("A", "S", Some("T"))
        );
        assert!(parse(b"{}").is_none() && parse(b"\xff").is_none());
    }
}
