//! Places in S3.

use std::fmt;

/// An object in S3, or a prefix of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl Address {
    /// Reads `s3://BUCKET/KEY`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_whole = !bucket.is_empty() && bucket.bytes().all(is_name) && !key.is_empty();
        is_whole.then(|| Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The same, with a slash at its end.
    #[must_use]
    pub fn as_folder(mut self) -> Self {
        if !self.key.ends_with('/') {
            self.key.push('/');
        }
        self
    }

    /// What is below this prefix under that path.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        Self {
            bucket: self.bucket.clone(),
            key: format!("{}{path}", self.key),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let address = Address::parse("s3://ci-bucket/runs/a b/ü").unwrap();
        assert_eq!((address.bucket.as_str(), address.key.as_str()), ("ci-bucket", "runs/a b/ü"));
        assert_eq!(address.clone().as_folder().join("x").to_string(), "s3://ci-bucket/runs/a b/ü/x");
        assert_eq!(address.clone().as_folder(), address.as_folder().as_folder());
        for wrong in [
            "",
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "https://bucket/key",
            "s3://a@b/key",
            "s3://a:b/key",
        ] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }
}
