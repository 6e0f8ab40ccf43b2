//! What task processes and build processes have in common.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// The search path of a process that was given none.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process group, which is killed when this goes out of scope: when its first process ends (a container dies with
/// it), and when the stand-in is dropped, whatever the reason.
pub(crate) struct Group(Pid);

impl Group {
    /// Starts a process as the first one of a new group.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok((child, Self(Pid::from_raw(id))))
    }

    /// SIGTERM for the first process alone, as a container runtime does it.
    pub(crate) fn terminate(&self) {
        // It fails where the process has ended already.
        let _ = kill(self.0, Signal::SIGTERM);
    }

    /// SIGKILL for all processes.
    pub(crate) fn kill(&self) {
        // It fails where the group has no process any more, which is what is wanted.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The exit code as a container runtime reports it.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(137)
}
