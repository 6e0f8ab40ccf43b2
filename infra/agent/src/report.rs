//! The agent's report, and which exit code it ends with.

use serde::Serialize;

/// The exit code if there was nothing to run.
pub const CHECKOUT_FAILED: i32 = 90;
/// The exit code if the script succeeded and its artifacts could not be uploaded.
pub const ARTIFACTS_FAILED: i32 = 91;
/// The exit code if the job's secrets could not be fetched.
pub const SECRETS_FAILED: i32 = 92;
/// The exit code if the artifacts of other jobs could not be fetched.
pub const FETCH_FAILED: i32 = 93;
/// The exit code of what SIGTERM ended.
pub const TERMINATED: i32 = 143;
/// The longest text in a report, in bytes.
pub const LONGEST_TEXT: usize = 2000;

/// How far the attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The checkout failed, or was stopped.
    Checkout,
    /// Everything was fetched, and the commit is not there.
    CommitGone,
    /// The job's secrets could not be fetched now.
    Secrets,
    /// A secret is missing or denied, or no value for a variable.
    SecretRefused,
    /// The artifacts of other jobs could not be fetched now.
    Fetch,
    /// An artifact to fetch is gone or another file than it was, or has no place in the checkout.
    FetchRefused,
    /// The script ran.
    Script,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    version: u8,
    /// How far the attempt came.
    pub phase: Phase,
    /// The agent's exit code.
    pub exit_code: i32,
    /// Whether SIGTERM was passed on to what ran.
    pub signalled: bool,
    /// The command that failed.
    pub command: Option<String>,
    /// Its line in the script.
    pub line: Option<u64>,
    /// More for people.
    pub message: Option<String>,
}

impl Report {
    fn new(phase: Phase, exit_code: i32, message: Option<&[u8]>) -> Self {
        Self {
            version: 1,
            phase,
            exit_code,
            signalled: false,
            command: None,
            line: None,
            message: message.and_then(text),
        }
    }

    /// Of a checkout that failed; `message` has the last lines about it.
    #[must_use]
    pub fn of_failed_checkout(commit_gone: bool, message: &[u8]) -> Self {
        let phase = if commit_gone { Phase::CommitGone } else { Phase::Checkout };
        Self::new(phase, CHECKOUT_FAILED, Some(message))
    }

    /// Of a job that did not get its secrets, for a reason that lasts or may pass.
    #[must_use]
    pub fn without_secrets(is_lasting: bool, message: &[u8]) -> Self {
        let phase = if is_lasting { Phase::SecretRefused } else { Phase::Secrets };
        Self::new(phase, SECRETS_FAILED, Some(message))
    }

    /// Of a job that did not get the artifacts of other jobs, for a reason that lasts or may pass.
    #[must_use]
    pub fn without_artifacts(is_lasting: bool, message: &[u8]) -> Self {
        let phase = if is_lasting { Phase::FetchRefused } else { Phase::Fetch };
        Self::new(phase, FETCH_FAILED, Some(message))
    }

    /// Of an attempt that was stopped before its script began.
    #[must_use]
    pub fn of_stopped_checkout() -> Self {
        Self {
            signalled: true,
            ..Self::new(Phase::Checkout, TERMINATED, Some(b"stopped by SIGTERM before the script began"))
        }
    }

    /// Of a script that ran, and of its artifacts.
    #[must_use]
    pub fn of_script(end: &ScriptEnd, artifacts: &Artifacts) -> Self {
        let mut message: Vec<String> = end.stopped().map(ToOwned::to_owned).into_iter().collect();
        let (mut exit_code, mut signalled) = (end.code, end.signalled);
        if let Some(reason) = artifacts.reason() {
            if end.code == 0 && !end.signalled {
                exit_code = ARTIFACTS_FAILED;
                signalled = *artifacts == Artifacts::Stopped;
                message = vec![format!("the script succeeded, but {reason}")];
            } else {
                // The script's result stands: a failed script has failed, with or without artifacts.
                message.push(reason);
            }
        }
        let failed = end.failed_command();
        Self {
            signalled,
            command: failed.and_then(|failure| text(&failure.command)),
            line: failed.map(|failure| failure.line),
            ..Self::new(Phase::Script, exit_code, Some(message.join("; ").as_bytes()))
        }
    }

    /// The report as it is uploaded.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// How the script ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptEnd {
    /// Its exit code; 128 + n if signal n ended it.
    pub code: i32,
    /// Whether SIGTERM was passed on to it.
    pub signalled: bool,
    /// Whether SIGKILL had to follow.
    pub killed: bool,
    /// What the prelude noted.
    pub failure: Option<Failure>,
}

impl ScriptEnd {
    /// Why it was stopped, if it was.
    #[must_use]
    pub fn stopped(&self) -> Option<&'static str> {
        match (self.signalled, self.killed) {
            (true, true) => Some("killed: still running after SIGTERM"),
            (true, false) => Some("stopped by SIGTERM"),
            (false, _) => None,
        }
    }

    /// The command that failed. A trap of the script may have continued after it and ended the script with another code: then the command explains nothing.
    #[must_use]
    pub fn failed_command(&self) -> Option<&Failure> {
        let failure = self.failure.as_ref().filter(|failure| failure.code == self.code)?;
        (!self.signalled && self.code != 0 && !failure.command.is_empty()).then_some(failure)
    }

    /// The line of the log about it.
    #[must_use]
    pub fn summary(&self, seconds: u64) -> String {
        let code = self.code;
        if let Some(failure) = self.failed_command() {
            let first = failure.command.split(|byte| *byte == b'\n').next().unwrap_or_default();
            format!(
                "exit code {code} after {seconds} s, line {}: {}",
                failure.line,
                String::from_utf8_lossy(first)
            )
        } else if let Some(why) = self.stopped() {
            format!("exit code {code} after {seconds} s, {why}")
        } else {
            format!("exit code {code} after {seconds} s")
        }
    }
}

/// What the prelude notes about the command that ended the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its exit code.
    pub code: i32,
    /// Its line in the script.
    pub line: u64,
    /// The command, as it stands there.
    pub command: Vec<u8>,
}

impl Failure {
    /// Reads the note: exit code and line on lines of their own, then the command.
    #[must_use]
    pub fn parse(note: &[u8]) -> Option<Self> {
        let mut parts = note.splitn(3, |byte| *byte == b'\n');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u32>().ok();
        let (code, line) = (number()?, number()?);
        Some(Self {
            code: code.try_into().ok()?,
            line: line.into(),
            command: parts.next()?.to_vec(),
        })
    }
}

/// What became of the artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifacts {
    /// There were none to upload, or all are uploaded.
    Done,
    /// They could not be uploaded, because of this.
    Failed(String),
    /// The agent was stopped before.
    Stopped,
}

impl Artifacts {
    /// Why they are not there.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Done => None,
            Self::Failed(why) => Some(format!("the artifacts could not be uploaded: {why}")),
            Self::Stopped => Some("the agent was stopped before its artifacts were uploaded".to_owned()),
        }
    }
}

/// A text of a report. Each byte that is not UTF-8 is replaced, and what is longer than [`LONGEST_TEXT`] is cut off. An empty text is none.
#[must_use]
pub fn text(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        if text.len() > LONGEST_TEXT {
            break;
        }
    }
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn json_of(report: &Report) -> Value {
        serde_json::from_slice(&report.to_json()).unwrap()
    }

    fn failed(code: i32) -> ScriptEnd {
        let failure = Failure::parse(format!("{code}\n3\nmake test\n  all").as_bytes());
        ScriptEnd {
            code,
            failure,
            ..ScriptEnd::default()
        }
    }

    #[test]
    fn a_failed_command_is_named() {
        let report = Report::of_script(&failed(2), &Artifacts::Done);
        let expected = json!({
            "version": 1, "phase": "script", "exit-code": 2, "signalled": false, "command": "make test\n  all", "line": 3, "message": null
        });
        assert_eq!(json_of(&report), expected);
        assert_eq!(failed(2).summary(7), "exit code 2 after 7 s, line 3: make test");
    }

    #[test]
    fn a_note_about_another_exit_code_explains_nothing() {
        let end = ScriptEnd { code: 4, ..failed(2) };
        assert_eq!(Report::of_script(&end, &Artifacts::Done).command, None);
        assert_eq!(end.summary(1), "exit code 4 after 1 s");
    }

    #[test]
    fn a_stopped_script_names_no_command() {
        let end = ScriptEnd {
            signalled: true,
            ..failed(143)
        };
        let report = Report::of_script(&end, &Artifacts::Stopped);
        assert_eq!((report.exit_code, report.signalled, report.command), (143, true, None));
        let message = "stopped by SIGTERM; the agent was stopped before its artifacts were uploaded";
        assert_eq!(report.message.as_deref(), Some(message));
    }

    #[test]
    fn artifacts_change_the_result_of_a_success_alone() {
        let report = |end: &ScriptEnd, artifacts| {
            let report = Report::of_script(end, &artifacts);
            (report.exit_code, report.signalled, report.message.unwrap())
        };
        let lost = || Artifacts::Failed("denied".to_owned());
        let why = "the artifacts could not be uploaded: denied";
        assert_eq!(
            report(&ScriptEnd::default(), lost()),
            (91, false, format!("the script succeeded, but {why}"))
        );
        assert_eq!(report(&failed(3), lost()), (3, false, why.to_owned()));
        let why = "the agent was stopped before its artifacts were uploaded";
        assert_eq!(
            report(&ScriptEnd::default(), Artifacts::Stopped),
            (91, true, format!("the script succeeded, but {why}"))
        );
        assert_eq!(report(&failed(3), Artifacts::Stopped), (3, false, why.to_owned()));
    }

    #[test]
    fn checkouts() {
        let report = json_of(&Report::of_failed_checkout(true, b"no such commit"));
        assert_eq!(
            (report["phase"].as_str(), report["exit-code"].as_i64()),
            (Some("commit-gone"), Some(90))
        );
        for (report, phase, exit_code) in [
            (Report::without_secrets(true, b"a: no"), "secret-refused", 92),
            (Report::without_secrets(false, b"a: no"), "secrets", 92),
            (Report::without_artifacts(true, b"a: no"), "fetch-refused", 93),
            (Report::without_artifacts(false, b"a: no"), "fetch", 93),
        ] {
            let report = json_of(&report);
            assert_eq!(
                (report["phase"].as_str(), report["exit-code"].as_i64(), report["message"].as_str()),
                (Some(phase), Some(exit_code), Some("a: no"))
            );
        }
        let report = json_of(&Report::of_stopped_checkout());
        assert_eq!(
            (
                report["phase"].as_str(),
                report["exit-code"].as_i64(),
                report["signalled"].as_bool()
            ),
            (Some("checkout"), Some(143), Some(true))
        );
    }

    #[test]
    fn texts() {
        assert_eq!(text(b""), None);
        assert_eq!(
            text(b"a\xe9b \xc3\xa9 \xed\xa0\x80 \xf0\x9f\x8e").unwrap(),
            "a\u{fffd}b \u{e9} \u{fffd}\u{fffd}\u{fffd} \u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(text("ü".repeat(5000).as_bytes()).unwrap().len(), 2000);
        assert_eq!(text(format!("x{}", "ü".repeat(5000)).as_bytes()).unwrap().len(), 1999);
    }

    #[test]
    fn notes_that_are_not_notes() {
        for note in ["", "1", "1\n2", "x\n2\nfalse", "1\n-2\nfalse", "1\n2; rm\nfalse"] {
            assert_eq!(Failure::parse(note.as_bytes()), None, "{note}");
        }
    }

    proptest! {
        #[test]
        fn a_report_is_json_of_some_kilobytes(command in prop::collection::vec(any::<u8>(), 0..4000), code in -300..300) {
            let failure = Failure { code, line: 1, command: command.clone() };
            let end = ScriptEnd { code, failure: Some(failure), ..ScriptEnd::default() };
            let report = Report::of_script(&end, &Artifacts::Failed(String::from_utf8_lossy(&command).into_owned()));
            prop_assert!(report.to_json().len() < 64 * 1024);
            prop_assert!(json_of(&report)["message"].as_str().unwrap().len() <= LONGEST_TEXT);
        }

        #[test]
        fn any_note_is_read(note in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Failure::parse(&note);
        }
    }
}
