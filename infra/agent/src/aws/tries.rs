//! Which answers are tried again, and when: decisions, without requests.

use std::time::Duration;

/// How often a request is tried, in about half a minute.
pub const TRIES: u32 = 7;
/// How often where there is less time.
pub const TRIES_IN_HASTE: u32 = 5;
/// The most tries that the environment may ask for.
const MOST_TRIES: u32 = 20;

/// How often a request is tried, if `AWS_MAX_ATTEMPTS` has this value
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>).
#[must_use]
pub fn tries(asked: Option<&str>, otherwise: u32) -> u32 {
    let asked = asked.and_then(|value| value.parse().ok());
    asked.filter(|tries| (1..=MOST_TRIES).contains(tries)).unwrap_or(otherwise)
}

/// The first pause, which doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A request that was not answered as it should be. The text is for people, and holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// What happened.
    pub text: String,
    /// What another try may be good for.
    pub again: Again,
}

/// Whether a request is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would end in the same way.
    Never,
    /// It may go well.
    Later,
    /// It may go well with other credentials.
    WithNewCredentials,
}

impl Refusal {
    /// One that may pass.
    #[must_use]
    pub fn passing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            again: Again::Later,
        }
    }

    /// One that stays.
    #[must_use]
    pub fn lasting(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            again: Again::Never,
        }
    }

    /// An answer of S3 (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
    #[must_use]
    pub fn of_s3(status: u16, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let (code, message) = (element(&body, "Code"), element(&body, "Message"));
        let again = match code.unwrap_or_default() {
            "ExpiredToken" | "TokenRefreshRequired" => Again::WithNewCredentials,
            "RequestTimeout"
            | "RequestTimeTooSkewed"
            | "SlowDown"
            | "BadDigest"
            | "XAmzContentSHA256Mismatch"
            | "IncompleteBody"
            | "OperationAborted"
            | "InternalError" => Again::Later,
            code if code.starts_with("Throttling") || code == "RequestLimitExceeded" => Again::Later,
            _ if status >= 500 || matches!(status, 408 | 429) => Again::Later,
            _ => Again::Never,
        };
        let mut text = format!("S3 answered {status}");
        if let Some(code) = code {
            text.push_str(&format!(" {code}"));
        }
        if let Some(message) = message {
            text.push_str(&format!(": {message}"));
        }
        Self { text, again }
    }
}

/// The text of an element in a small document without attributes.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text).filter(|text| !text.is_empty())
}

/// The pause before the next try, given how many were made and a random number from 0 to 1: between half of it and all of it.
#[must_use]
pub fn pause(made: u32, random: f64) -> Duration {
    let longest = FIRST_PAUSE * 2_u32.pow(made.saturating_sub(1).min(6));
    longest.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(status: u16, code: &str, message: &str) -> Refusal {
        let body =
            format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>1</RequestId></Error>");
        Refusal::of_s3(status, body.as_bytes())
    }

    #[test]
    fn answers() {
        let denied = refusal(403, "AccessDenied", "Access Denied");
        assert_eq!(
            (denied.to_string().as_str(), denied.again),
            ("S3 answered 403 AccessDenied: Access Denied", Again::Never)
        );
        assert_eq!(refusal(404, "NoSuchKey", "x").again, Again::Never);
        assert_eq!(refusal(503, "SlowDown", "x").again, Again::Later);
        assert_eq!(refusal(400, "RequestTimeout", "x").again, Again::Later);
        assert_eq!(refusal(400, "ExpiredToken", "x").again, Again::WithNewCredentials);
        assert_eq!(Refusal::of_s3(500, b"").to_string(), "S3 answered 500");
        assert_eq!(Refusal::of_s3(500, b"").again, Again::Later);
    }

    #[test]
    fn the_environment_may_ask_for_more_or_fewer_tries() {
        assert_eq!([Some("3"), Some("0"), Some("x"), None].map(|asked| tries(asked, 7)), [3, 7, 7, 7]);
    }

    #[test]
    fn pauses_grow() {
        assert_eq!(pause(1, 1.0), Duration::from_millis(500));
        assert_eq!(pause(1, 0.0), Duration::from_millis(250));
        assert_eq!(pause(4, 1.0), Duration::from_secs(4));
        assert_eq!(pause(100, 1.0), Duration::from_secs(32));
    }

    proptest! {
        #[test]
        fn any_answer_is_read(status in 0_u16..1000, body in "(<Code>)?\\PC{0,20}(</Code>)?(<Message>)?\\PC{0,20}") {
            let refusal = Refusal::of_s3(status, body.as_bytes());
            prop_assert!(refusal.text.starts_with("S3 answered "));
        }
    }
}
