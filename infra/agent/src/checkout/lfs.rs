//! What the answers about Git LFS mean: decisions, without Git.

use std::io::BufRead;

/// How often the fetch of the files is tried.
pub const TRIES: u32 = 3;

/// The exit codes from here on say that the fetch had to be stopped, and would have to be again.
const STOPPED: i32 = 124;

/// The HTTP status in a trace of git-lfs that explains a failure. Its messages are the server's, where that sends any: the trace has the status. A server
/// that has answered once speaks Git LFS.
#[must_use]
pub fn status(trace: impl BufRead) -> Option<u16> {
    let mut status = None;
    for line in trace.split(b'\n').map_while(Result::ok) {
        if status == Some(200) {
            break;
        }
        let line = String::from_utf8_lossy(&line);
        let number = line.rsplit_once("trace git-lfs: HTTP: ").map(|(_, number)| number);
        let number = number.filter(|number| number.len() == 3).and_then(|number| number.parse().ok());
        status = number.or(status);
    }
    status
}

/// Whether the status says that the server has no Git LFS. What CodeCommit said before it knew Git LFS was a client error
/// (<https://github.com/git-lfs/git-lfs/issues/3127>).
#[must_use]
pub fn is_without_lfs(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 406 | 410 | 415 | 501)
}

/// Whether a fetch that failed is tried again.
#[must_use]
pub fn is_retried(tries: u32, exit_code: i32) -> bool {
    tries < TRIES && exit_code < STOPPED
}

/// Whether `.lfsconfig` names another server than CodeCommit. The agent has credentials only for that.
#[must_use]
pub fn is_elsewhere(url: &str, codecommit: &str) -> bool {
    !url.is_empty() && !url.starts_with(&format!("{codecommit}/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_status_counts_until_one_is_200() {
        let trace = |lines: &[&str]| status(lines.join("\n").as_bytes());
        assert_eq!(
            trace(&[
                "00:00 trace git-lfs: HTTP: POST https://x",
                "00:00 trace git-lfs: HTTP: 401",
                "00:00 trace git-lfs: HTTP: 404"
            ]),
            Some(404)
        );
        assert_eq!(trace(&["trace git-lfs: HTTP: 200", "trace git-lfs: HTTP: 404"]), Some(200));
        assert_eq!(trace(&["trace git: HTTP: 404", "trace git-lfs: HTTP: 4040"]), None);
        assert_eq!(status(&b"\xff\n"[..]), None);
    }

    #[test]
    fn servers_without_git_lfs() {
        let without: Vec<u16> = (100..600).filter(|status| is_without_lfs(*status)).collect();
        assert_eq!(without, [400, 404, 405, 406, 410, 415, 501]);
    }

    #[test]
    fn what_had_to_be_stopped_is_not_tried_again() {
        assert!(is_retried(1, 2) && is_retried(2, 1));
        assert!(!is_retried(3, 2) && !is_retried(1, 124) && !is_retried(1, 143));
    }

    #[test]
    fn other_servers() {
        let codecommit = "https://git-codecommit.eu-west-1.amazonaws.com";
        assert!(!is_elsewhere("", codecommit));
        assert!(!is_elsewhere(
            "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/art",
            codecommit
        ));
        assert!(is_elsewhere(
            "https://git-codecommit.eu-west-1.amazonaws.com.example/art",
            codecommit
        ));
        assert!(is_elsewhere("https://lfs.example.com/art", codecommit));
    }

    proptest! {
        #[test]
        fn any_trace_is_read(lines in prop::collection::vec("(trace git-lfs: )?(HTTP: )?\\PC{0,5}", 0..8)) {
            let _ = status(lines.join("\n").as_bytes());
        }
    }
}
