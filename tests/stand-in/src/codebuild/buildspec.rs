//! Buildspecs of version 0.2: see
//! [the reference](https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::BuildPhase;

/// What the stand-in reads of a buildspec. Other members, such as `runtime-versions` and `cache`, have no effect.
#[derive(Debug, Deserialize)]
pub(super) struct Buildspec {
    version: Value,
    #[serde(default)]
    env: Env,
    #[serde(default)]
    phases: BTreeMap<String, Phase>,
    #[serde(default)]
    pub(super) artifacts: Option<Artifacts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Env {
    #[serde(default)]
    shell: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, Value>,
    #[serde(default)]
    exported_variables: Vec<String>,
}

/// One phase's commands.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Phase {
    /// They end with the first one that fails.
    #[serde(default)]
    pub(super) commands: Vec<String>,
    /// They run after the others, also when those have failed.
    #[serde(default)]
    pub(super) finally: Vec<String>,
}

/// Which files are stored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Artifacts {
    /// Patterns of paths.
    #[serde(default)]
    pub(super) files: Vec<String>,
    /// What the patterns start from; the source's root without it. It is no pattern itself.
    #[serde(default)]
    pub(super) base_directory: Option<String>,
    /// Whether the files lose their folders.
    #[serde(default)]
    discard_paths: Option<Value>,
}

impl Artifacts {
    pub(super) fn discards_paths(&self) -> bool {
        // YAML 1.1's booleans, which AWS's own examples are written with.
        match &self.discard_paths {
            Some(Value::Bool(discard)) => *discard,
            Some(Value::String(text)) => matches!(text.as_str(), "yes" | "true"),
            _ => false,
        }
    }
}

impl Buildspec {
    /// The buildspec that this is, or why it is none; None where it is a path.
    pub(super) fn inline(text: &str) -> Option<Result<Self, String>> {
        let inline = text.contains('\n') || text.trim_start().starts_with('{');
        inline.then(|| Self::read(text))
    }

    /// Reads a buildspec.
    ///
    /// # Errors
    /// It is not one of version 0.2; the text says why.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let buildspec: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let version = match &buildspec.version {
            Value::String(version) => version.clone(),
            version => version.to_string(),
        };
        if version != "0.2" {
            return Err(format!("unknown buildspec version {version}"));
        }
        let known = |name: &String| BuildPhase::ALL.iter().any(|phase| phase.has_commands() && key(*phase) == *name);
        if let Some(unknown) = buildspec.phases.keys().find(|name| !known(name)) {
            return Err(format!("unknown phase {unknown}"));
        }
        if let Some(shell) = &buildspec.env.shell
            && !matches!(shell.as_str(), "sh" | "bash" | "/bin/sh" | "/bin/bash")
        {
            return Err(format!("unsupported shell {shell}"));
        }
        Ok(buildspec)
    }

    /// The commands of a phase.
    pub(super) fn phase(&self, phase: BuildPhase) -> Option<&Phase> {
        self.phases.get(&key(phase))
    }

    /// The variables of `env.variables`.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.env.variables.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    /// The names in `env.exported-variables`, without those that CodeBuild does not export.
    pub(super) fn exported_variables(&self) -> impl Iterator<Item = &str> {
        let names = self.env.exported_variables.iter().map(String::as_str);
        names.filter(|name| !name.starts_with("AWS_"))
    }
}

/// The phase's name in a buildspec.
fn key(phase: BuildPhase) -> String {
    phase.name().to_ascii_lowercase()
}
