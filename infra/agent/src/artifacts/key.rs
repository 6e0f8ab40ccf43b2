//! Which files are kept, and under which keys: decisions, without files.

use std::fmt;

/// The most artifacts of an attempt.
pub const MOST: usize = 10_000;
/// The longest key in S3, in bytes (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const LONGEST_KEY: usize = 1024;

/// Why a file that matches is not uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// It is Git's.
    InGit,
    /// The agent may not read it.
    NotReadable,
    /// S3 or its listings cannot hold its name.
    Name,
    /// It is elsewhere.
    Outside,
    /// There are too many.
    TooMany,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InGit => f.write_str("in a .git folder"),
            Self::NotReadable => f.write_str("not readable"),
            Self::Name => f.write_str("a name that is too long, not UTF-8, or has control characters"),
            Self::Outside => f.write_str("a link to outside the checkout"),
            Self::TooMany => write!(f, "over the limit of {MOST} files"),
        }
    }
}

/// Whether a path leads through a folder of Git's.
#[must_use]
pub fn is_in_git(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b".git")
}

/// The path as the end of a key below the prefix, if it can be one: UTF-8 without control characters, and not too long.
#[must_use]
pub fn of_path<'a>(prefix: &str, path: &'a [u8]) -> Option<&'a str> {
    let path = std::str::from_utf8(path).ok()?;
    let fits = prefix.len() + path.len() <= LONGEST_KEY && !path.is_empty() && !path.bytes().any(|byte| byte.is_ascii_control());
    fits.then_some(path)
}

/// The media type that browsers need to show a file.
#[must_use]
pub fn media_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    match end.as_deref().unwrap_or_default() {
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "csv" => "text/csv",
        "md" => "text/markdown",
        "txt" | "log" => "text/plain",
        "js" | "mjs" => "text/javascript",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_git() {
        for path in [".git/config", "sub/.git/x", ".git"] {
            assert!(is_in_git(path.as_bytes()), "{path}");
        }
        for path in [".github/x", "a.git/x", ".gitignore"] {
            assert!(!is_in_git(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn keys() {
        for path in ["Grüße 世界 🎈", "\"quoted\" & <b> %s $HOME", " ", "a/b"] {
            assert_eq!(of_path("runs/", path.as_bytes()), Some(path));
        }
        for path in [&b""[..], b"two\nlines", b"\x1b[31m", b"not-\xff-utf8", b"\x7f"] {
            assert_eq!(of_path("runs/", path), None);
        }
        assert!(of_path("12345", "x".repeat(1019).as_bytes()).is_some());
        assert!(of_path("12345", "x".repeat(1020).as_bytes()).is_none());
    }

    #[test]
    fn media_types() {
        assert_eq!(media_type("site/index.HTML"), "text/html");
        assert_eq!(media_type("a.b/Makefile"), "application/octet-stream");
    }
}
