//! Builds that are real processes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bellhop_model::codebuild::Outcome;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::artifacts::collect;
use super::builds::{Build, Context};
use super::buildspec::{Artifacts, Buildspec};
use super::projects::{CODECOMMIT, NO_SOURCE, ProjectArtifacts};
use super::{BuildPhase, CodeBuild, timed_out};
use crate::BuildProcessOptions;
use crate::processes::{Group, PATH, exit_code};
use crate::support::lock;

/// The buildspec's path where nobody gives another one.
const BUILDSPEC: &str = "buildspec.yml";
/// What runs a phase's commands.
const DRIVER: &str = include_str!("phase.sh");

/// What a build's processes need to know of it.
struct Work {
    id: String,
    uuid: String,
    project: String,
    source_type: String,
    source_location: Option<String>,
    source_version: Option<String>,
    buildspec: Option<String>,
    artifacts: ProjectArtifacts,
    /// The variables of project and request.
    variables: BTreeMap<String, String>,
    /// The name and the kind of a variable that is not plain text.
    unresolved: Option<(String, String)>,
    /// What CodeBuild itself gives.
    given: BTreeMap<String, String>,
    timeout: u32,
    queued_timeout: u32,
}

impl Work {
    fn new(build: &Build, folder: &Path) -> Self {
        let plan = &build.plan;
        let unresolved = plan
            .environment
            .environment_variables
            .iter()
            .find(|variable| variable.kind != "PLAINTEXT");
        let mut given: BTreeMap<_, _> = [
            ("AWS_DEFAULT_REGION", plan.region.clone()),
            ("AWS_REGION", plan.region.clone()),
            ("CODEBUILD_BUILD_ARN", build.arn.clone()),
            ("CODEBUILD_BUILD_ID", build.id.clone()),
            ("CODEBUILD_BUILD_IMAGE", plan.environment.image.clone()),
            ("CODEBUILD_BUILD_NUMBER", plan.number.to_string()),
            ("CODEBUILD_CI", "true".to_owned()),
            ("CODEBUILD_INITIATOR", plan.initiator.clone()),
            ("CODEBUILD_KMS_KEY_ID", build.encryption_key()),
            ("CODEBUILD_LOG_PATH", build.uuid.clone()),
            ("CODEBUILD_SRC_DIR", folder.join("src").display().to_string()),
            ("CODEBUILD_START_TIME", build.started.as_millisecond().to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let optional = [
            ("CODEBUILD_SOURCE_REPO_URL", &plan.source.location),
            ("CODEBUILD_SOURCE_VERSION", &plan.source_version),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                given.insert(name.to_owned(), value.clone());
            }
        }
        Self {
            id: build.id.clone(),
            uuid: build.uuid.clone(),
            project: plan.project.clone(),
            source_type: plan.source.kind.clone(),
            source_location: plan.source.location.clone(),
            source_version: plan.source_version.clone(),
            buildspec: plan.source.buildspec.clone().filter(|buildspec| !buildspec.is_empty()),
            artifacts: plan.artifacts.clone(),
            variables: build.variables(),
            unresolved: unresolved.map(|variable| (variable.name.clone(), variable.kind.clone())),
            given,
            timeout: plan.timeout,
            queued_timeout: plan.queued_timeout,
        }
    }
}

/// A build's life: queue, environment, phases, end. Whoever drops it ends the processes.
pub(super) async fn live(codebuild: CodeBuild, id: String, options: BuildProcessOptions) {
    let Some(work) = codebuild.work(&id, &options) else {
        return;
    };
    let minute = codebuild.inner.timing.build_minute;
    let in_time = timeout(minute * work.queued_timeout, codebuild.wait_for_turn(&id)).await.is_ok()
        && timeout(minute * work.timeout, run(&codebuild, &work, &options)).await.is_ok();
    if !in_time {
        codebuild.tell(&id, |change| change.break_off(Outcome::TimedOut, Some(timed_out())));
    }
    lock(&codebuild.inner.state).runners.remove(&id);
}

impl CodeBuild {
    fn work(&self, id: &str, options: &BuildProcessOptions) -> Option<Work> {
        let state = lock(&self.inner.state);
        let build = state.find(id)?;
        Some(Work::new(build, &folder(options, &build.uuid)))
    }

    async fn wait_for_turn(&self, id: &str) {
        let mut changes = self.inner.changes.subscribe();
        while !self.leave_queue(id) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn enter(&self, id: &str, phase: BuildPhase) {
        self.tell(id, |change| change.enter(phase));
    }

    fn fail_phase(&self, id: &str, outcome: Outcome, context: Context) {
        self.tell(id, |change| change.fail_phase(outcome, context));
    }
}

async fn run(codebuild: &CodeBuild, work: &Work, options: &BuildProcessOptions) {
    let id = &work.id;
    sleep(codebuild.inner.timing.provisioning).await;
    codebuild.enter(id, BuildPhase::DownloadSource);
    match prepare(codebuild, work, options).await {
        Ok((buildspec, shell)) => {
            run_phases(codebuild, work, &buildspec, &shell).await;
        }
        Err(context) => codebuild.fail_phase(id, Outcome::ClientError, context),
    }
    codebuild.enter(id, BuildPhase::Finalizing);
    sleep(codebuild.inner.timing.deprovisioning).await;
    codebuild.tell(id, |change| change.complete());
}

/// DOWNLOAD_SOURCE: the source, the buildspec, and the environment that its commands get.
async fn prepare(codebuild: &CodeBuild, work: &Work, options: &BuildProcessOptions) -> Result<(Buildspec, Shell), Context> {
    let folder = folder(options, &work.uuid);
    let source = folder.join("src");
    let broken = |error: io::Error| Context::new("CLIENT_ERROR", error.to_string());
    fs::create_dir_all(&folder).map_err(broken)?;
    let log = File::create(log_path(options, &work.uuid)).map_err(broken)?;
    drop(log);

    let commit = download(codebuild, work, &source).await?;
    let buildspec = read_buildspec(work, &source)?;
    if let Some((name, kind)) = &work.unresolved {
        let message = format!("the stand-in has no values of type {kind}, which {name} is");
        return Err(Context::new("CLIENT_ERROR", message));
    }

    let mut environment: BTreeMap<_, _> = [("PATH", PATH.to_owned()), ("LANG", "C.UTF-8".to_owned())]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    environment.insert("HOME".to_owned(), folder.display().to_string());
    // Each one over those before it.
    environment.extend(options.environment.clone());
    environment.extend(buildspec.variables());
    environment.extend(work.variables.clone());
    environment.extend(work.given.clone());
    if let Some(commit) = commit {
        environment.insert("CODEBUILD_RESOLVED_SOURCE_VERSION".to_owned(), commit);
    }
    let shell = Shell {
        state: folder.join("shell"),
        progress: folder.join("command"),
        exports: folder.join("exports"),
        exported: buildspec.exported_variables().map(str::to_owned).collect(),
        log: log_path(options, &work.uuid),
        environment,
        source,
    };
    Ok((buildspec, shell))
}

/// Fetches the source, and returns the commit where there is one.
async fn download(codebuild: &CodeBuild, work: &Work, into: &Path) -> Result<Option<String>, Context> {
    let client_error = |message: String| Context::new("CLIENT_ERROR", message);
    match work.source_type.as_str() {
        NO_SOURCE => {
            fs::create_dir_all(into).map_err(|error| client_error(error.to_string()))?;
            Ok(None)
        }
        CODECOMMIT => {
            let location = work.source_location.as_deref().unwrap_or_default();
            let repository = location.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let version = work.source_version.as_deref();
            let commit = codebuild.inner.codecommit.check_out(repository, version, into).await;
            let commit = commit.map_err(|error| client_error(format!("{error:#} for primary source")))?;
            codebuild.tell(&work.id, |change| change.build.resolved_version = Some(commit.clone()));
            Ok(Some(commit))
        }
        other => Err(client_error(format!("the stand-in has no source of type {other}"))),
    }
}

fn read_buildspec(work: &Work, source: &Path) -> Result<Buildspec, Context> {
    let error = |message: String| Context::new("YAML_FILE_ERROR", message);
    let given = work.buildspec.as_deref().unwrap_or(BUILDSPEC);
    let read = match Buildspec::inline(given) {
        Some(read) => read,
        None => {
            let path = source.join(given);
            let text = fs::read_to_string(&path).map_err(|cause| error(format!("stat {}: {cause}", path.display())))?;
            Buildspec::read(&text)
        }
    };
    read.map_err(error)
}

/// INSTALL to UPLOAD_ARTIFACTS, with the phases left out that a failure leaves out.
async fn run_phases(codebuild: &CodeBuild, work: &Work, buildspec: &Buildspec, shell: &Shell) {
    let id = &work.id;
    let mut succeeding = true;
    let mut phase = BuildPhase::Install;
    while phase.has_commands() {
        codebuild.enter(id, phase);
        let result = shell.run_phase(buildspec, phase, succeeding).await;
        let exported = shell.exported();
        codebuild.tell(id, |change| change.build.exported = exported);
        phase = match result {
            Ok(()) => phase.next(),
            Err(context) => {
                succeeding = false;
                codebuild.fail_phase(id, Outcome::Failed, context);
                phase.next_after_failure()
            }
        };
    }
    if phase == BuildPhase::UploadArtifacts {
        codebuild.enter(id, phase);
        if let Err(context) = upload(codebuild, work, buildspec.artifacts.as_ref(), &shell.source).await {
            codebuild.fail_phase(id, Outcome::ClientError, context);
        }
    }
}

/// UPLOAD_ARTIFACTS: copies in the build's folder, and objects in the upstream's bucket where there is an upstream.
async fn upload(codebuild: &CodeBuild, work: &Work, artifacts: Option<&Artifacts>, source: &Path) -> Result<(), Context> {
    let Some((bucket, prefix)) = work.artifacts.place(&work.project, &work.uuid) else {
        return Ok(());
    };
    // Without a list of files nothing is stored, as with CodeBuild.
    let Some(artifacts) = artifacts else {
        return Ok(());
    };
    let failed = |error: String| Context::new("CLIENT_ERROR", format!("Error in UPLOAD_ARTIFACTS phase: {error}"));
    let Some(options) = &codebuild.inner.processes else {
        return Ok(());
    };
    let copies = artifact_folder(options, &work.uuid).join(&bucket);
    for found in collect(source, artifacts)? {
        let key = if prefix.is_empty() {
            found.path
        } else {
            format!("{prefix}/{}", found.path)
        };
        let content = fs::read(&found.file).map_err(|error| failed(error.to_string()))?;
        let copy = copies.join(&key);
        let parent = copy.parent().unwrap_or(&copies);
        fs::create_dir_all(parent).map_err(|error| failed(error.to_string()))?;
        fs::write(&copy, &content).map_err(|error| failed(error.to_string()))?;
        let put = codebuild.inner.upstream.put_object(&bucket, &key, content).await;
        put.map_err(|error| failed(format!("{error:#}")))?;
    }
    Ok(())
}

/// The shell that all phases share.
struct Shell {
    /// Where the shell's variables, functions and folder are kept between the phases.
    state: PathBuf,
    /// The place of the command that runs, in its list.
    progress: PathBuf,
    /// The names of the variables that the buildspec exports, and the file with `NAME=VALUE` for each that the shell has, all ended by NUL.
    exported: Vec<String>,
    exports: PathBuf,
    log: PathBuf,
    environment: BTreeMap<String, String>,
    source: PathBuf,
}

impl Shell {
    async fn run_phase(&self, buildspec: &Buildspec, phase: BuildPhase, succeeding: bool) -> Result<(), Context> {
        let Some(phase) = buildspec.phase(phase) else {
            return Ok(());
        };
        let commands = self.run(&phase.commands, succeeding).await;
        let finally = self.run(&phase.finally, succeeding && commands.is_ok()).await;
        commands.and(finally)
    }

    async fn run(&self, commands: &[String], succeeding: bool) -> Result<(), Context> {
        if commands.is_empty() {
            return Ok(());
        }
        let status = self.spawn(commands, succeeding).await;
        let code = status.map_err(|error| Context::new("CLIENT_ERROR", error.to_string()))?;
        if code == 0 {
            return Ok(());
        }
        let place = fs::read_to_string(&self.progress).unwrap_or_default();
        let place: usize = place.parse().unwrap_or_default();
        let command = commands.get(place).map_or("", String::as_str);
        Err(Context::of_command(command, code))
    }

    /// The exported variables with the values that the last command has left.
    fn exported(&self) -> Vec<(String, String)> {
        let text = fs::read(&self.exports).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let left: BTreeMap<&str, &str> = text.split('\0').filter_map(|variable| variable.split_once('=')).collect();
        let value = |name: &str| left.get(name).map(|value| (*value).to_owned());
        let found = self.exported.iter().filter_map(|name| {
            let value = value(name).or_else(|| self.environment.get(name).cloned())?;
            Some((name.clone(), value))
        });
        found.collect()
    }

    async fn spawn(&self, commands: &[String], succeeding: bool) -> io::Result<i32> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log)?;
        let mut command = Command::new("/bin/bash");
        command
            .args(["-c", DRIVER, "codebuild"])
            .arg(&self.state)
            .arg(&self.progress)
            .arg(if succeeding { "1" } else { "0" })
            .arg(&self.exports)
            .arg(self.exported.join(" "))
            .args(commands)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.source)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let (mut child, group) = Group::spawn(&mut command)?;
        let status = child.wait().await;
        // What a command left in the background ends with its phase.
        drop(group);
        status.map(exit_code)
    }
}

/// The folder of a build: `src`, its source, and its artifacts.
fn folder(options: &BuildProcessOptions, uuid: &str) -> PathBuf {
    options.work.join(uuid)
}

/// Where a build's output goes.
pub(super) fn log_path(options: &BuildProcessOptions, uuid: &str) -> PathBuf {
    options.logs.join(format!("{uuid}.log"))
}

/// Where the copies of a build's artifacts are.
pub(super) fn artifact_folder(options: &BuildProcessOptions, uuid: &str) -> PathBuf {
    folder(options, uuid).join("artifacts")
}
