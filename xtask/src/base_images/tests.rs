//! Tests of the lines, of docker's answers, and of the command with a fake of docker.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use super::*;

const OLD: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NEW: &str = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const EXPECTED: &str = "expected an index of images for amd64 and arm64";

fn image(line: &str) -> Option<Image> {
    Image::of(line).unwrap()
}

/// What docker prints in the format for an index of these architectures.
fn answer(architectures: &[&str]) -> String {
    let images = architectures.iter().map(|architecture| {
        let platform = format!("\"platform\": {{\n        \"architecture\": \"{architecture}\",\n        \"os\": \"linux\"\n      }}");
        format!("    {{\n      \"digest\": \"{OLD}\",\n      {platform}\n    }}")
    });
    let images = images.collect::<Vec<_>>().join(",\n");
    format!("\"{NEW}\" {{\n  \"schemaVersion\": 2,\n  \"digest\": \"{NEW}\",\n  \"manifests\": [\n{images}\n  ]\n}}\n")
}

#[test]
fn an_argument_with_the_address_of_a_registry_is_an_image() {
    let tag = image("ARG BASE=public.ecr.aws/amazonlinux/amazonlinux:2023\n").unwrap();
    assert_eq!(tag.registry, "public.ecr.aws");
    assert_eq!(tag.repository, "amazonlinux/amazonlinux");
    assert_eq!((tag.tag.as_str(), &tag.digest), ("2023", &None));
    let pinned = image(&format!("  arg BASE=\"localhost:5000/a:1.0-x@{OLD}\"\r\n")).unwrap();
    assert_eq!(pinned.to_string(), "localhost:5000/a:1.0-x");
    assert_eq!(pinned.digest.as_deref(), Some(OLD));
    for other in [
        "ARG AGENT=bellhop-agent",
        "ARG AGENT=library/rust:1",
        "ARG AGENT",
        "ARG URL=https://example.com/a:1",
        "ARG FOLDER=./a/b:1",
        "ARG OPTION=-a.b/c:1",
        "# ARG BASE=public.ecr.aws/a:1",
        "FROM public.ecr.aws/a:1",
        "ENV BASE=public.ecr.aws/a:1",
        "",
    ] {
        assert_eq!(image(other), None, "{other}");
    }
}

#[test]
fn an_image_without_a_tag_or_with_another_digest_is_refused() {
    let upper = OLD.to_uppercase();
    for value in [
        "public.ecr.aws/a",
        "public.ecr.aws/a:",
        "public.ecr.aws/:1",
        "public.ecr.aws/a:$TAG",
        "public.ecr.aws/a:1 B=2",
        "public.ecr.aws/a:1@sha256:0123",
        &format!("public.ecr.aws/a@{OLD}"),
        &format!("public.ecr.aws/a:1@{upper}"),
        &format!("public.ecr.aws/a:1@{OLD}0"),
    ] {
        let error = Image::of(&format!("ARG BASE={value}")).unwrap_err().to_string();
        assert_eq!(error, format!("expected IMAGE:TAG or IMAGE:TAG@sha256:…, found {value}"));
    }
}

#[test]
fn a_line_keeps_everything_but_its_digest() {
    for old in ["", "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"] {
        let line = format!("  ARG BASE='a.b/c:1{old}' \r\n");
        assert_eq!(image(&line).unwrap().pin(&line, NEW), format!("  ARG BASE='a.b/c:1@{NEW}' \r\n"));
    }
}

#[test]
fn an_answer_is_the_digest_of_an_index_with_both_architectures() {
    assert_eq!(digest_of_index(&answer(&["arm64", "unknown", "amd64"])).unwrap(), NEW);
    let compact = r#"{"manifests":[{"platform":{"architecture":"amd64"}},{"platform":{"architecture":"arm64"}}]}"#;
    assert_eq!(digest_of_index(&format!("\"{NEW}\" {compact}")).unwrap(), NEW);
    let quoted = format!(r#""{NEW}" {{"manifests": [], "annotations": {{"a": "\"architecture\": \"amd64\""}}}}"#);
    for (answer, expected) in [
        (String::new(), "expected a digest, found ".to_owned()),
        ("Name: a.b/c:1\n".to_owned(), "expected a digest, found Name:".to_owned()),
        ("\"sha256:0123\" {}".to_owned(), "expected a digest, found sha256:0123".to_owned()),
        (answer(&["amd64", "arm"]), format!("{EXPECTED}, found none for arm64")),
        (answer(&["arm64"]), format!("{EXPECTED}, found none for amd64")),
        (quoted, format!("{EXPECTED}, found none for amd64")),
        (
            format!("\"{NEW}\" {{\n  \"digest\": \"{NEW}\",\n  \"size\": 1\n}}\n"),
            format!("{EXPECTED}, found an image of one architecture"),
        ),
    ] {
        assert_eq!(digest_of_index(&answer).unwrap_err().to_string(), expected);
    }
}

#[test]
fn the_agents_image_has_two_base_images() {
    let files = dockerfiles(&root().join("infra/agent")).unwrap();
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let images = texts.iter().flat_map(|text| text.lines()).filter_map(image);
    assert_eq!((files.len(), images.count()), (2, 2));
}

/// A folder with Dockerfiles, and with a fake of docker that knows the tag 1 of one image.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(answer: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let script = format!(
            r#"#!/bin/sh
case "$*" in
    "buildx version") ;;
    "buildx imagetools inspect --format {FORMAT} a.b/base/image:1") cat "${{0%/*}}/answer" ;;
    *) echo "ERROR: $6: not found" >&2; exit 1 ;;
esac
"#
        );
        std::fs::write(folder.path("answer"), answer).unwrap();
        std::fs::write(folder.path("script"), script).unwrap();
        // Another process writes it: a program that is open for writing cannot be started, and a process that another test starts may hold it open.
        let mut install = std::process::Command::new("install");
        install.args(["-m", "755"]).args([folder.path("script"), folder.path("docker")]);
        assert!(install.status().unwrap().success());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, tag_and_digest: &str) {
        std::fs::write(self.path(name), dockerfile(tag_and_digest)).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    async fn run(&self, check: bool) -> anyhow::Result<()> {
        run(&self.path("docker"), self.0.path(), check).await
    }

    async fn error(&self, check: bool) -> String {
        format!("{:#}", self.run(check).await.unwrap_err())
    }
}

/// A Dockerfile in which the image has this tag and digest.
fn dockerfile(tag_and_digest: &str) -> String {
    format!("ARG AGENT=agent\nARG BASE=a.b/base/image:{tag_and_digest}\nFROM ${{BASE}}\n")
}

#[tokio::test]
async fn digests_are_written_and_renewed() {
    let folder = Folder::new(&answer(&["amd64", "arm64"]));
    for (old, found) in [("1".to_owned(), "no digest"), (format!("1@{OLD}"), OLD)] {
        folder.write("Dockerfile", &old);
        let error = folder.error(true).await;
        let expected = format!("Dockerfile, line 2: a.b/base/image:1 has {found}, expected {NEW}");
        assert!(
            error.starts_with("run `cargo xtask base-images`:\n") && error.ends_with(&expected),
            "{error}"
        );
        assert_eq!(folder.text("Dockerfile"), dockerfile(&old));
        folder.run(false).await.unwrap();
        assert_eq!(folder.text("Dockerfile"), dockerfile(&format!("1@{NEW}")));
        folder.run(true).await.unwrap();
    }
}

#[tokio::test]
async fn an_image_of_one_architecture_is_refused() {
    let folder = Folder::new(&answer(&["amd64"]));
    folder.write("Dockerfile", "1");
    let error = folder.error(false).await;
    let expected = format!("Dockerfile, line 2: a.b/base/image:1: {EXPECTED}, found none for arm64");
    assert!(error.ends_with(&expected), "{error}");
    assert_eq!(folder.text("Dockerfile"), dockerfile("1"));
}

#[tokio::test]
async fn nothing_is_written_if_docker_fails_for_one_image() {
    let folder = Folder::new(&answer(&["amd64", "arm64"]));
    folder.write("Dockerfile", "1");
    folder.write("with-tools.Dockerfile", "2");
    let error = folder.error(false).await;
    for expected in [
        "with-tools.Dockerfile, line 2: a.b/base/image:2: ",
        "docker ended with exit status: 1:\nERROR: a.b/base/image:2: not found\n",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(folder.text("Dockerfile"), dockerfile("1"));
    assert_eq!(folder.text("with-tools.Dockerfile"), dockerfile("2"));
}

#[tokio::test]
async fn without_docker_the_error_says_what_is_needed() {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path("docker")).unwrap();
    let error = folder.error(false).await;
    assert!(error.starts_with("install Docker's client with its plugin buildx: "), "{error}");
}

#[tokio::test]
async fn a_folder_without_base_images_is_an_error() {
    let folder = Folder::new("");
    std::fs::write(folder.path("Dockerfile"), "ARG AGENT=agent\n").unwrap();
    assert!(folder.error(true).await.contains("names a base image"));
}
