//! Build projects, and the parts of them that a StartBuild request may override.

use serde::{Deserialize, Serialize};

/// The source type of a project without source.
pub(super) const NO_SOURCE: &str = "NO_SOURCE";
/// The source type of a CodeCommit repository.
pub(super) const CODECOMMIT: &str = "CODECOMMIT";
/// The type of artifacts that are stored in a bucket.
pub(super) const S3: &str = "S3";

/// A build project, with the members of CodeBuild's
/// [CreateProject](https://docs.aws.amazon.com/codebuild/latest/APIReference/API_CreateProject.html) that matter here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// The name: 2 to 150 letters, digits, hyphens and underscores.
    pub name: String,
    /// Where the source comes from.
    #[serde(default)]
    pub source: ProjectSource,
    /// The branch, tag or commit that is built where StartBuild names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// What becomes of the build's files.
    #[serde(default)]
    pub artifacts: ProjectArtifacts,
    /// What the build runs in.
    #[serde(default)]
    pub environment: ProjectEnvironment,
    /// How long a build may take once it is out of the queue, in minutes: 5 to 2160.
    #[serde(default = "timeout")]
    pub timeout_in_minutes: u32,
    /// How long a build may be queued, in minutes: 5 to 480.
    #[serde(default = "queued_timeout")]
    pub queued_timeout_in_minutes: u32,
    /// How many builds of the project there may be at once, queued ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_build_limit: Option<u32>,
}

fn timeout() -> u32 {
    60
}

fn queued_timeout() -> u32 {
    480
}

impl Project {
    /// A project without source, artifacts, variables and limit, with CodeBuild's own timeouts.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            source: ProjectSource::default(),
            source_version: None,
            artifacts: ProjectArtifacts::default(),
            environment: ProjectEnvironment::default(),
            timeout_in_minutes: timeout(),
            queued_timeout_in_minutes: queued_timeout(),
            concurrent_build_limit: None,
        }
    }

    /// The same project with a CodeCommit repository of us-east-1 as its source.
    #[must_use]
    pub fn codecommit(mut self, repository: &str) -> Self {
        self.source.kind = CODECOMMIT.to_owned();
        self.source.location = Some(format!("https://git-codecommit.us-east-1.amazonaws.com/v1/repos/{repository}"));
        self
    }

    /// The same project with this buildspec: YAML, or a path in the source.
    #[must_use]
    pub fn buildspec(mut self, buildspec: &str) -> Self {
        self.source.buildspec = Some(buildspec.to_owned());
        self
    }

    /// The same project with a further plain text variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.environment_variables.push(Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            kind: plaintext(),
        });
        self
    }
}

/// Where a project's source comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSource {
    /// `CODECOMMIT`, `NO_SOURCE`, or another of CodeBuild's types, which only scripted builds can have.
    #[serde(rename = "type")]
    pub kind: String,
    /// The repository's HTTPS clone URL; only its last part counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// YAML, or a path in the source; `buildspec.yml` in the source's root without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buildspec: Option<String>,
}

impl Default for ProjectSource {
    fn default() -> Self {
        Self {
            kind: NO_SOURCE.to_owned(),
            location: None,
            buildspec: None,
        }
    }
}

/// What becomes of a build's files: see
/// [ProjectArtifacts](https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ProjectArtifacts.html).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectArtifacts {
    /// `NO_ARTIFACTS`, `S3` or `CODEPIPELINE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The first part of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `BUILD_ID` puts the build's UUID after the path; `NONE` does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_type: Option<String>,
    /// The last part of the keys before the file's own path; `/` for none. The project's name without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `NONE` for one object per file. `ZIP` is for scripted builds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packaging: Option<String>,
}

impl Default for ProjectArtifacts {
    fn default() -> Self {
        Self {
            kind: "NO_ARTIFACTS".to_owned(),
            location: None,
            path: None,
            namespace_type: None,
            name: None,
            packaging: None,
        }
    }
}

impl ProjectArtifacts {
    /// Bucket and key prefix, without a slash at its end; None where nothing is stored in a bucket.
    pub(super) fn place(&self, project: &str, uuid: &str) -> Option<(String, String)> {
        let bucket = self.location.clone().filter(|_| self.kind == S3)?;
        let path = self.path.as_deref().unwrap_or_default().trim_matches('/');
        let namespace = if self.namespace_type.as_deref() == Some("BUILD_ID") {
            uuid
        } else {
            ""
        };
        let name = self.name.as_deref().unwrap_or(project).trim_matches('/');
        let parts: Vec<_> = [path, namespace, name].into_iter().filter(|part| !part.is_empty()).collect();
        Some((bucket, parts.join("/")))
    }

    /// The bucket and the prefix as an ARN; None where nothing is stored in a bucket.
    pub(super) fn arn(&self, project: &str, uuid: &str) -> Option<String> {
        let (bucket, prefix) = self.place(project, uuid)?;
        let place = if prefix.is_empty() { bucket } else { format!("{bucket}/{prefix}") };
        Some(format!("arn:aws:s3:::{place}"))
    }
}

/// What a build runs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProjectEnvironment {
    /// The kind of environment, such as `LINUX_CONTAINER`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The image.
    pub image: String,
    /// The compute type, such as `BUILD_GENERAL1_SMALL`.
    pub compute_type: String,
    /// The project's variables.
    #[serde(default)]
    pub environment_variables: Vec<Variable>,
    /// Whether the build may run Docker.
    #[serde(default)]
    pub privileged_mode: bool,
}

impl Default for ProjectEnvironment {
    fn default() -> Self {
        Self {
            kind: "LINUX_CONTAINER".to_owned(),
            image: "aws/codebuild/standard:7.0".to_owned(),
            compute_type: "BUILD_GENERAL1_SMALL".to_owned(),
            environment_variables: Vec::new(),
            privileged_mode: false,
        }
    }
}

/// An environment variable of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value, in plain text, or where it stands.
    pub value: String,
    /// `PLAINTEXT`; `PARAMETER_STORE` and `SECRETS_MANAGER` are for scripted builds only.
    #[serde(rename = "type", default = "plaintext")]
    pub kind: String,
}

fn plaintext() -> String {
    "PLAINTEXT".to_owned()
}
