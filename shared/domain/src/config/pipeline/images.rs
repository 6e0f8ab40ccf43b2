//! The images that a job pushes.

use super::listed::listed;
use crate::yaml::{FieldPath, FileError, OneOrMany, Source, quoted};

/// The most images of a job.
const MOST_IMAGES: usize = 10;
/// The longest name of a repository in ECR (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>), in characters.
const LONGEST_REPOSITORY: usize = 256;
/// The longest tag (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageIdentifier.html>; Docker allows no more), in characters.
const LONGEST_TAG: usize = 128;
/// What stands for the commit in a tag.
pub(in crate::config) const COMMIT: &str = "{commit}";
/// What the place of the commit takes at most, in characters.
const LONGEST_COMMIT: usize = 64;

/// The images that a job pushes to ECR, as `REPOSITORY:TAG`.
pub(super) fn images(source: &Source, at: &FieldPath, images: Option<OneOrMany<String>>) -> Result<Vec<String>, FileError> {
    listed(source, at, images, ("image", "images"), MOST_IMAGES, |image| {
        if is_image(image) {
            return Ok(());
        }
        Err(format!(
            "{} is not an image: expected REPOSITORY:TAG of ECR without the registry, such as ci/shop:{COMMIT}",
            quoted(image)
        ))
    })
}

fn is_image(text: &str) -> bool {
    let Some((repository, tag)) = text.split_once(':') else {
        return false;
    };
    is_repository(repository) && is_tag(&tag.replace(COMMIT, &"0".repeat(LONGEST_COMMIT)))
}

/// Lower-case letters and digits, with single separators between them.
fn is_repository(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (2..=LONGEST_REPOSITORY).contains(&text.len())
        && text
            .split(['/', '.', '_', '-'])
            .all(|part| !part.is_empty() && part.bytes().all(is_plain))
}

fn is_tag(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=LONGEST_TAG).contains(&text.len())
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|byte| is_plain(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_a_repository_of_ecr_with_a_tag() {
        for image in ["ci/shop:{commit}", "ci/shop:v1-{commit}", "shop:latest", "a-b.c_d/e:1.0"] {
            assert!(is_image(image), "{image}");
        }
        for image in [
            "shop",
            "shop:",
            "Shop:1",
            "ci//shop:1",
            "/shop:1",
            "shop:-1",
            "shop:{commit}{commit}{commit}",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop:1:2",
            "shop:{branch}",
            "shop@sha256:0a1b",
        ] {
            assert!(!is_image(image), "{image}");
        }
    }
}
