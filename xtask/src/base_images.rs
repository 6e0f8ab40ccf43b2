//! The images that the agent's image is made from: pins each tag in a Dockerfile to the digest that docker reports for it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use data_encoding::HEXLOWER;
use tokio::process::Command;
use xtask::workspace::{root, run_silently};

#[cfg(test)]
mod tests;

/// The digest, and all of the manifest. buildx ignores a format that begins with `{{.Manifest`, see <https://github.com/docker/buildx/issues/1175>.
const FORMAT: &str = "{{json .Manifest.Digest}} {{json .Manifest}}";
/// The architectures that the agent's image is built for.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
/// How long docker may take for one image.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Pins the base images in the Dockerfiles of a folder. With `check`, changes nothing.
///
/// # Errors
/// If a line cannot be read, or docker does not report the digest of an index. With `check`, also if a digest is missing or out of date.
pub(crate) async fn run(docker: &Path, folder: &Path, check: bool) -> anyhow::Result<()> {
    let version = run_silently("docker buildx version", Command::new(docker).args(["buildx", "version"]), |_| {}).await;
    version.context("install Docker's client with its plugin buildx")?;
    let (mut images, mut stale, mut files) = (0, Vec::new(), Vec::new());
    for file in dockerfiles(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let name = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
        let mut pinned = String::new();
        for (line, number) in text.split_inclusive('\n').zip(1..) {
            let at = format!("{name}, line {number}");
            let Some(image) = Image::of(line).context(at.clone())? else {
                pinned.push_str(line);
                continue;
            };
            let digest = image.current_digest(docker).await.with_context(|| at.clone())?;
            images += 1;
            if image.digest.as_ref() != Some(&digest) {
                let found = image.digest.as_deref().unwrap_or("no digest");
                stale.push(format!("{at}: {image} has {found}, expected {digest}"));
            }
            pinned.push_str(&image.pin(line, &digest));
        }
        files.push((file, text, pinned));
    }
    ensure!(images > 0, "no ARG in a Dockerfile of {} names a base image", folder.display());
    let changes = stale.join("\n");
    ensure!(!check || stale.is_empty(), "run `cargo xtask base-images`:\n{changes}");
    // Only now, so that all images are renewed or none.
    for (file, _, pinned) in files.iter().filter(|(_, text, pinned)| text != pinned) {
        std::fs::write(file, pinned).with_context(|| format!("cannot write {}", file.display()))?;
    }
    match stale.len() {
        0 => println!("{images} base images are current"),
        renewed => println!("Wrote the digests of {renewed} of {images} base images:\n{changes}"),
    }
    Ok(())
}

fn dockerfiles(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| file.to_string_lossy().ends_with("Dockerfile"));
    files.sort();
    Ok(files)
}

/// An image in a registry. It is displayed without its digest.
#[derive(Debug, PartialEq, Eq)]
struct Image {
    registry: String,
    repository: String,
    tag: String,
    digest: Option<String>,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.registry, self.repository, self.tag)
    }
}

impl Image {
    /// The image that a line of a Dockerfile gives as the default of an `ARG`, if the default begins with the address of a registry.
    fn of(line: &str) -> anyhow::Result<Option<Self>> {
        let argument = line.trim().split_once(char::is_whitespace);
        let argument = argument.filter(|(instruction, _)| instruction.eq_ignore_ascii_case("ARG"));
        let Some((_, value)) = argument.and_then(|(_, argument)| argument.split_once('=')) else {
            return Ok(None);
        };
        let value = value.trim_matches(['"', '\'']);
        match value.split_once('/') {
            Some((registry, rest)) if is_registry(registry) && !rest.starts_with('/') => {
                let image = Self::parse(registry, rest);
                let image = image.with_context(|| format!("expected IMAGE:TAG or IMAGE:TAG@sha256:…, found {value}"));
                image.map(Some)
            }
            _ => Ok(None),
        }
    }

    fn parse(registry: &str, rest: &str) -> Option<Self> {
        let (name, digest) = rest.split_once('@').map_or((rest, None), |(name, digest)| (name, Some(digest)));
        let (repository, tag) = name.split_once(':')?;
        let is_valid = consists_of(repository, "._-/") && consists_of(tag, "._-") && digest.is_none_or(is_digest);
        is_valid.then(|| Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: digest.map(str::to_owned),
        })
    }

    /// The image's line, with this digest.
    fn pin(&self, line: &str, digest: &str) -> String {
        let old = match &self.digest {
            Some(old) => format!("{self}@{old}"),
            None => self.to_string(),
        };
        line.replacen(&old, &format!("{self}@{digest}"), 1)
    }

    /// The digest of the index that the tag names now. See <https://docs.docker.com/reference/cli/docker/buildx/imagetools/inspect/>.
    async fn current_digest(&self, docker: &Path) -> anyhow::Result<String> {
        let (what, mut inspect) = (self.to_string(), Command::new(docker));
        inspect.args(["buildx", "imagetools", "inspect", "--format", FORMAT, &what]);
        let answer = tokio::time::timeout(TIMEOUT, run_silently(&what, &mut inspect, |_| {})).await;
        let answer = answer.with_context(|| format!("{self}: no answer within {} s", TIMEOUT.as_secs()))??;
        digest_of_index(&answer).context(what)
    }
}

/// Whether the first part of a name is the address of a registry, by Docker's rule.
fn is_registry(part: &str) -> bool {
    consists_of(part, ".-:") && !part.starts_with(['.', '-']) && (part == "localhost" || part.contains(['.', ':']))
}

fn is_digest(text: &str) -> bool {
    let hash = text.strip_prefix("sha256:").and_then(|hash| HEXLOWER.decode(hash.as_bytes()).ok());
    hash.is_some_and(|hash| hash.len() == 32)
}

/// Whether a text has only ASCII letters, digits and these other characters.
fn consists_of(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || others.contains(char))
}

/// The digest in docker's answer in [`FORMAT`], if it is that of an index with an image for each architecture.
fn digest_of_index(answer: &str) -> anyhow::Result<String> {
    let (digest, manifest) = answer.split_once(' ').unwrap_or((answer, ""));
    let digest = digest.trim().trim_matches('"');
    ensure!(is_digest(digest), "expected a digest, found {digest}");
    // JSON escapes the quotes within a text, so what is found is a key with its value.
    let manifest: String = manifest.split_whitespace().collect();
    let expected = format!("expected an index of images for {}", ARCHITECTURES.join(" and "));
    ensure!(
        manifest.contains(r#""manifests":["#),
        "{expected}, found an image of one architecture"
    );
    for architecture in ARCHITECTURES {
        let found = manifest.contains(&format!(r#""architecture":"{architecture}""#));
        ensure!(found, "{expected}, found none for {architecture}");
    }
    Ok(digest.to_owned())
}
