//! One attempt, from the first line of the log to the exit code.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::artifacts;
use crate::aws;
use crate::aws::config::Lazy;
use crate::aws::identity::Identity;
use crate::aws::s3::Store;
use crate::checkout::{Checkout, Failure as CheckoutFailure, codecommit, credential_helper};
use crate::errors::Errors;
use crate::fetch;
use crate::log::{Forwarding, finish, hide, masked, say};
use crate::mask::Needles;
use crate::report::{Artifacts, CHECKOUT_FAILED, Failure, Report, ScriptEnd};
use crate::script;
use crate::secrets::{self, Trouble};
use crate::settings::{Names, Script, SettingError, Settings, Task, Variables};
use crate::stopping::Plan;
use crate::supervise::{Limits, Supervisor};

/// The exit code if the agent cannot even begin.
pub const CANNOT_START: u8 = 90;
/// How many lines about a failed checkout the report has.
const LINES: usize = 5;
/// How long the last lines may take to get into the log.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same, of an agent that was asked to stop.
const HASTE: Duration = Duration::from_millis(200);
/// How many failed uploads the log shows.
const UPLOADS_SHOWN: usize = 20;

/// Runs the attempt that the environment describes. Returns the exit code.
pub async fn run(variables: &Variables) -> u8 {
    let settings = Settings::read(variables);
    let aws = Lazy::new(variables);
    let store = Store::new(&aws);
    let identity = Identity::new(&aws);
    let mut supervisor = match Supervisor::new(Plan::new(settings.stop_timeout, settings.on_spot)) {
        Ok(supervisor) => supervisor,
        Err(error) => {
            say(&format!("checkout: the agent cannot listen for signals: {error}"));
            finish().await;
            return CANNOT_START;
        }
    };
    let begun = Places::make().and_then(|places| {
        Ok(Attempt {
            errors: Errors::create(&places.internal.join("errors"))?,
            places,
            supervisor: &mut supervisor,
            settings: &settings,
            aws: &aws,
            store: &store,
            identity: &identity,
        })
    });
    let report = match begun {
        Ok(mut attempt) => {
            let mut report = pin!(attempt.report(variables));
            // At the end there may be no time left to ask for it.
            tokio::select! {
                biased;
                report = &mut report => report,
                () = know(&identity, &settings) => report.await,
            }
        }
        Err(error) => {
            say(&format!("checkout: the agent cannot prepare its working folder: {error}"));
            Report::of_failed_checkout(false, error.to_string().as_bytes())
        }
    };
    // The job has ended: a signal from here on changes nothing but the time that is left.
    if supervisor
        .before_the_end(upload(&report, &settings, &store, &identity))
        .await
        .is_none()
    {
        say("report: there was no time left to upload it");
    }
    if supervisor.unless_stopping(timeout(PATIENCE, finish())).await.is_none() {
        let _ = timeout(HASTE, finish()).await;
    }
    u8::try_from(report.exit_code).unwrap_or(u8::MAX)
}

/// Asks for the agent's identity, if the report's address needs it. A failure is of no matter yet: it is asked for again where it is needed.
async fn know(identity: &Identity<'_>, settings: &Settings) {
    if let Ok(address) = &settings.report_to {
        let _ = identity.in_address(address).await;
    }
}

/// Uploads the report. The exit code decides the result; without a report only details are missing.
async fn upload(report: &Report, settings: &Settings, store: &Store<'_>, identity: &Identity<'_>) {
    match &settings.report_to {
        Ok(address) => {
            let uploaded = match identity.in_address(address).await {
                Ok(address) => store.put(&address, report.to_json(), "application/json").await,
                Err(error) => Err(error),
            };
            if let Err(error) = uploaded {
                say(&format!("report: it could not be uploaded to {address}: {error}"));
            }
        }
        Err(error) => say(&format!("report: {error}")),
    }
}

/// The folders and files of an attempt.
struct Places {
    checkout: PathBuf,
    internal: PathBuf,
    script: PathBuf,
    note: PathBuf,
    program: PathBuf,
}

impl Places {
    /// Makes the folder of the agent's own in the working folder.
    fn make() -> io::Result<Self> {
        let work = std::env::current_dir()?;
        let internal = work.join("internal");
        fs::create_dir_all(&internal)?;
        let places = Self {
            checkout: work.join("checkout"),
            script: internal.join("script"),
            note: internal.join("failure"),
            internal,
            program: std::env::current_exe().map_err(|error| io::Error::other(format!("/proc/self/exe: {error}")))?,
        };
        match fs::remove_file(&places.note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(places),
        }
    }
}

struct Attempt<'a> {
    places: Places,
    supervisor: &'a mut Supervisor,
    errors: Errors,
    settings: &'a Settings,
    aws: &'a Lazy<'a>,
    store: &'a Store<'a>,
    identity: &'a Identity<'a>,
}

impl Attempt<'_> {
    async fn report(&mut self, variables: &Variables) -> Report {
        match self.work(variables).await {
            Ok(report) | Err(report) => report,
        }
    }

    /// Does everything that the attempt is for. A report as an error says that the script did not run.
    async fn work(&mut self, variables: &Variables) -> Result<Report, Report> {
        let settings = self.settings;
        let names = &settings.names;
        for remark in &settings.remarks {
            say(remark);
        }
        let secrets = self.secrets().await?;
        let begun = Instant::now();
        say(&format!("checkout: {} at {} ({})", names.repository, names.commit, names.reference));
        let prepared = self.prepare().await;
        self.errors.show();
        // A signal after the last program of the checkout, too.
        if self.supervisor.stopping().is_due() {
            return Err(Report::of_stopped_checkout());
        }
        prepared.map_err(|failure| {
            if failure == CheckoutFailure::Stopped {
                return Report::of_stopped_checkout();
            }
            say(&format!("checkout: failed after {} s", begun.elapsed().as_secs()));
            let commit_gone = failure == CheckoutFailure::CommitGone;
            Report::of_failed_checkout(commit_gone, &masked(&self.errors.tail(LINES)))
        })?;
        self.fetch().await?;
        let Names {
            job, attempt, capacity, ..
        } = names;
        let seconds = begun.elapsed().as_secs();
        say(&format!(
            "script: job {job}, attempt {attempt}, on {capacity} capacity, after {seconds} s"
        ));
        let begun = Instant::now();
        let end = self.script(variables, &secrets).await;
        say(&format!("script: {}", end.summary(begun.elapsed().as_secs())));
        let artifacts = self.artifacts(&end).await;
        Ok(Report::of_script(&end, &artifacts))
    }

    /// Fetches the secrets, which are masked in the log from then on. The checkout does not get them.
    async fn secrets(&mut self) -> Result<BTreeMap<String, String>, Report> {
        let refused = |trouble: Trouble| {
            for text in &trouble.texts {
                say(&format!("secrets: {text}"));
            }
            Report::without_secrets(trouble.is_lasting, trouble.texts.join("; ").as_bytes())
        };
        let passing = |text: String| Trouble {
            is_lasting: false,
            texts: vec![text],
        };
        let wanted = self
            .settings
            .secrets
            .as_ref()
            .map_err(|error| refused(passing(error.to_string())))?;
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let places = secrets::places(wanted);
        let Some(answers) = self.supervisor.unless_stopped(aws::secrets::fetch(&places, self.aws)).await else {
            return Err(Report::of_stopped_checkout());
        };
        let values = secrets::values(wanted, &answers).map_err(refused)?;
        let needles = Needles::new(values.values().map(String::as_str));
        if let Some(needles) = needles.map_err(|error| refused(passing(format!("they cannot be masked in the log: {error}"))))? {
            hide(needles);
        }
        let names: Vec<&str> = values.keys().map(String::as_str).collect();
        say(&format!("secrets: {}", names.join(", ")));
        for remark in secrets::remarks(&values) {
            say(&format!("secrets: {remark}"));
        }
        Ok(values)
    }

    /// Downloads the artifacts of other jobs that the script needs.
    async fn fetch(&mut self) -> Result<(), Report> {
        let refused = |trouble: fetch::Trouble| {
            say(&format!("fetch: {}", trouble.text));
            // A path may have a secret in it.
            Report::without_artifacts(trouble.is_lasting, &masked(trouble.text.as_bytes()))
        };
        let wanted = self.settings.fetch.as_ref();
        let wanted = wanted.map_err(|error| refused(fetch::Trouble::passing(error.to_string())))?;
        let Some(list) = wanted else { return Ok(()) };
        let fetched = self
            .supervisor
            .unless_stopped(fetch::fetch(self.store, &self.places.checkout, list))
            .await;
        // A signal after the last file, too.
        match fetched.filter(|_| !self.supervisor.stopping().is_due()) {
            Some(fetched) => fetched.map_err(refused),
            None => Err(Report::of_stopped_checkout()),
        }
    }

    /// The script and the checkout.
    async fn prepare(&mut self) -> Result<(), CheckoutFailure> {
        let settings = self.settings;
        let task = match &settings.task {
            Ok(task) => task,
            Err(error) => return Err(self.failed(&error.to_string())),
        };
        self.write_script(task).await?;
        let mut checkout = Checkout {
            supervisor: self.supervisor,
            errors: &mut self.errors,
            task,
            folder: &self.places.checkout,
            internal: &self.places.internal,
            credential_helper: &credential_helper(&self.places.program),
            fetch_silence: settings.fetch_silence,
            lfs_timeout: settings.lfs_timeout,
        };
        checkout.make().await
    }

    async fn write_script(&mut self, task: &Task) -> Result<(), CheckoutFailure> {
        let text = match &task.script {
            Script::Text(text) => text.clone().into_bytes(),
            Script::At(address) => match self.supervisor.unless_stopped(self.store.get(address)).await {
                None => return Err(CheckoutFailure::Stopped),
                Some(Ok(text)) => text,
                Some(Err(error)) => return Err(self.failed(&format!("the script could not be fetched from {address}: {error}"))),
            },
        };
        write_script(&self.places, &text).map_err(|error| self.failed(&format!("the script could not be written: {error}")))
    }

    fn failed(&mut self, message: &str) -> CheckoutFailure {
        self.errors.add(message);
        CheckoutFailure::Failed
    }

    async fn script(&mut self, variables: &Variables, secrets: &BTreeMap<String, String>) -> ScriptEnd {
        let mut command = self.command(variables, secrets);
        let limits = Limits {
            heartbeat: Some(self.settings.heartbeat),
            ..Limits::default()
        };
        let ran = match Forwarding::of(&mut command) {
            Ok(output) => {
                let ran = self.supervisor.run(&mut command, limits).await;
                let mut written = pin!(output.end(&mut command));
                if self.supervisor.unless_stopping(&mut written).await.is_none() {
                    let _ = timeout(HASTE, written).await;
                }
                ran
            }
            Err(error) => Err(error),
        };
        let code = match ran {
            Ok(end) => end.code,
            Err(error) => {
                let program = command.get_program().to_string_lossy().into_owned();
                say(&format!("script: {program} could not be started: {error}"));
                // As shells have it.
                if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
            }
        };
        let stopping = self.supervisor.stopping();
        ScriptEnd {
            code,
            signalled: stopping.was_signalled(),
            killed: stopping.was_killed(),
            // The command may have a secret in it. It is cut afterwards.
            failure: fs::read(&self.places.note).ok().and_then(|note| Failure::parse(&masked(&note))),
        }
    }

    /// The script as a program.
    fn command(&self, variables: &Variables, secrets: &BTreeMap<String, String>) -> Command {
        let Places {
            checkout,
            script,
            internal,
            program,
            ..
        } = &self.places;
        // What the agent sets itself comes later, and wins.
        let mut command = if starts_with_interpreter(script) {
            let mut direct = Command::new(script);
            direct.envs(secrets);
            direct
        } else {
            let mut bash = Command::new("bash");
            bash.arg(script).envs(secrets).env("BASH_ENV", internal.join("prelude"));
            bash
        };
        command.current_dir(checkout);
        if let Ok(task) = &self.settings.task {
            // A clone of another repository, such as a submodule, does not see the configuration of the checkout.
            let codecommit = codecommit(&task.region);
            let settings = [
                (format!("credential.{codecommit}.helper"), credential_helper(program)),
                (format!("credential.{codecommit}.useHttpPath"), "true".to_owned()),
            ];
            command.envs(script::git_settings(variables.get("GIT_CONFIG_COUNT"), &settings));
        }
        command
    }

    /// Uploads the artifacts, if the script has left time for it.
    async fn artifacts(&mut self, end: &ScriptEnd) -> Artifacts {
        let settings = self.settings;
        if settings.artifacts.is_empty() {
            return Artifacts::Done;
        }
        let to = match &settings.artifacts_to {
            Ok(to) => to,
            Err(error @ SettingError::Missing { .. }) => {
                say(&format!("artifacts: {error}"));
                return Artifacts::Done;
            }
            Err(error) => {
                say(&format!("artifacts: {error}"));
                return Artifacts::Failed(error.to_string());
            }
        };
        if end.killed {
            return Artifacts::Done;
        }
        let begun = Instant::now();
        let upload = async {
            match self.identity.in_address(to).await {
                Ok(to) => artifacts::upload(self.store, &self.places.checkout, &settings.artifacts, &to).await,
                Err(error) => Err(vec![error.to_string()]),
            }
        };
        let uploaded = match self.supervisor.unless_stopped(upload).await {
            Some(Ok(())) => return Artifacts::Done,
            Some(Err(errors)) => {
                // Without permission for the prefix, there is one error for every file.
                for error in errors.iter().take(UPLOADS_SHOWN) {
                    say(&format!("artifacts: {error}"));
                }
                Artifacts::Failed(String::from_utf8_lossy(&masked(artifacts::summary(&errors).as_bytes())).into_owned())
            }
            None => Artifacts::Stopped,
        };
        let reason = uploaded.reason().unwrap_or_default();
        let reason = reason.split(':').next().unwrap_or_default();
        say(&format!("artifacts: {reason}, after {} s", begun.elapsed().as_secs()));
        uploaded
    }
}

fn write_script(places: &Places, text: &[u8]) -> io::Result<()> {
    fs::write(&places.script, text)?;
    if script::has_interpreter(text) {
        let mut permissions = fs::metadata(&places.script)?.permissions();
        permissions.set_mode(permissions.mode() | 0o111);
        return fs::set_permissions(&places.script, permissions);
    }
    fs::write(places.internal.join("prelude"), script::prelude(&places.script, &places.note))
}

/// Whether the script on the disk names its interpreter.
fn starts_with_interpreter(script: &Path) -> bool {
    fs::read(script).is_ok_and(|text| script::has_interpreter(&text))
}

/// What the report says is what the process ends with.
const _: () = assert!(CANNOT_START as i32 == CHECKOUT_FAILED);
