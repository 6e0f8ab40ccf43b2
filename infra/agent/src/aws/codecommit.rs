//! User names and passwords for Git's requests to CodeCommit, as AWS's own helper makes them: `aws codecommit credential-helper`
//! (<https://github.com/aws/aws-cli/blob/develop/awscli/customizations/codecommit.py>).
//!
//! The password is a signature (version 4) of a request with the method `GIT`, of which path and host are signed and nothing else. Its time has no `Z` where
//! it is signed, and one in the password.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::partition::region_of_codecommit;

/// What Git asks a helper (<https://git-scm.com/docs/git-credential#IOFMT>).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The server, with its port if Git's address has one.
    pub host: Option<String>,
    /// The path, without a slash before it.
    pub path: Option<String>,
}

impl Question {
    /// Reads lines `name=value`, up to an empty one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut question = Self::default();
        for line in text.lines().take_while(|line| !line.is_empty()) {
            match line.split_once('=') {
                Some(("host", host)) => question.host = Some(host.to_owned()),
                Some(("path", path)) => question.path = Some(path.to_owned()),
                _ => {}
            }
        }
        question
    }
}

/// What a signature is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    host: String,
    path: String,
    region: String,
}

/// What to sign for a question. None if another helper should answer it: the host is not CodeCommit.
///
/// # Errors
/// The question lacks something. The text says what to do.
pub fn target(question: &Question, region: Option<&str>, any_host: bool) -> Result<Option<Target>, String> {
    let host = question.host.as_deref().unwrap_or_default();
    let own = region_of_codecommit(host);
    if own.is_none() && !any_host {
        return Ok(None);
    }
    let Some(region) = own.or(region) else {
        return Err("AWS_REGION is not set: expected the region of the repository, such as eu-west-1".to_owned());
    };
    let Some(path) = &question.path else {
        return Err("Git gave no path: git config credential.useHttpPath true".to_owned());
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Ok(Some(Target {
        // The port is not signed.
        host: host.split(':').next().unwrap_or_default().to_owned(),
        path: format!("/{path}"),
        region: region.to_owned(),
    }))
}

/// The user name: the key, with the session's token.
#[must_use]
pub fn user_name(credentials: &Credentials) -> String {
    match credentials.session_token() {
        Some(token) => format!("{}%{token}", credentials.access_key_id()),
        None => credentials.access_key_id().to_owned(),
    }
}

/// The password.
///
/// # Errors
/// The time is not one of this calendar.
pub fn password(credentials: &Credentials, target: &Target, time: SystemTime) -> Result<String, jiff::Error> {
    let Target { host, path, region } = target;
    let timestamp = Timestamp::try_from(time)?.strftime("%Y%m%dT%H%M%S").to_string();
    let date = timestamp.get(..8).unwrap_or_default();
    let request = format!("GIT\n{path}\n\nhost:{host}\n\nhost\n");
    let hash = HEXLOWER.encode(&Sha256::digest(request));
    let to_sign = format!("AWS4-HMAC-SHA256\n{timestamp}\n{date}/{region}/codecommit/aws4_request\n{hash}");
    let key = generate_signing_key(credentials.secret_access_key(), time, region, "codecommit");
    Ok(format!("{timestamp}Z{}", calculate_signature(key, to_sign.as_bytes())))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// 2026-02-03 04:05:06 UTC
    const TIME: Duration = Duration::from_secs(1_770_091_506);

    fn credentials(token: Option<&str>) -> Credentials {
        let token = token.map(ToOwned::to_owned);
        Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token, None, "test")
    }

    fn question(host: &str, path: &str) -> Question {
        Question::parse(&format!(
            "protocol=https\nhost={host}\npath={path}\nwwwauth[]=Basic\n\nhost=ignored\n"
        ))
    }

    /// What `CodeCommitGetCommand.sign_request` of the AWS CLI 1.46.3 gives for the same time, credentials and address.
    #[test]
    fn passwords_are_those_of_the_aws_cli() {
        for (host, path, signature) in [
            (
                "git-codecommit.eu-west-1.amazonaws.com",
                "v1/repos/shop",
                "a63154ea8c883cbf93946cbfb0c5ab16979da1016d8887bf724c59de60826845",
            ),
            (
                "git-codecommit.cn-north-1.amazonaws.com.cn",
                "v1/repos/shop.git/info/lfs",
                "8d59777a363bf6eea909906144938ea26e8966160adefeb939324f67c2693085",
            ),
            (
                "127.0.0.1:8000",
                "v1/repos/Grüße und mehr?x=y#z",
                "5c9dd3bc6808b9f60e4e2ce313d9cf24295ed4643ac834ce03e52d19ad4f780a",
            ),
        ] {
            let target = target(&question(host, path), Some("eu-west-1"), true).unwrap().unwrap();
            let password = password(&credentials(Some("TOKEN")), &target, SystemTime::UNIX_EPOCH + TIME).unwrap();
            assert_eq!(password, format!("20260203T040506Z{signature}"), "{host}");
        }
    }

    #[test]
    fn user_names() {
        assert_eq!(user_name(&credentials(None)), "AKIDEXAMPLE");
        assert_eq!(user_name(&credentials(Some("TOKEN/1+2="))), "AKIDEXAMPLE%TOKEN/1+2=");
    }

    #[test]
    fn other_hosts_are_left_to_other_helpers() {
        let region = Some("eu-west-1");
        assert_eq!(target(&question("example.com", "x"), region, false), Ok(None));
        assert_eq!(target(&Question::default(), region, false), Ok(None));
        let codecommit = "git-codecommit.eu-west-1.amazonaws.com";
        assert_eq!(
            target(&question(codecommit, "x"), None, false).unwrap().unwrap().region,
            "eu-west-1"
        );
        let without_path = Question::parse(&format!("host={codecommit}\n"));
        assert!(target(&without_path, region, false).unwrap_err().contains("useHttpPath"));
        assert!(
            target(&question("example.com", "x"), None, true)
                .unwrap_err()
                .starts_with("AWS_REGION is not set")
        );
    }

    proptest! {
        #[test]
        fn any_question_is_read(text in "((host|path|x)=?\\PC{0,9}\n?){0,6}") {
            let _ = target(&Question::parse(&text), None, true);
        }
    }
}
