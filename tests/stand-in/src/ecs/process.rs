//! Tasks that are real processes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Ecs, FAILED_TO_START, Launch};
use crate::ProcessOptions;
use crate::processes::{Group, PATH, exit_code};

/// The way to a task's process.
pub(super) struct Runner {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

enum Order {
    /// SIGTERM now and SIGKILL after the grace.
    Terminate { grace: Duration },
    /// SIGKILL now, and no more state changes.
    Abandon,
}

impl Runner {
    /// Starts the task's life: provisioning, process, end.
    pub(super) fn start(ecs: Ecs, id: String, options: ProcessOptions) -> Self {
        let (orders, received) = mpsc::unbounded_channel();
        Self {
            orders,
            task: tokio::spawn(live(ecs, id, options, received)),
        }
    }

    /// Asks the process to end, and ends it after the grace. Nothing happens where it has ended already.
    pub(super) fn terminate(&self, grace: Duration) {
        let _ = self.orders.send(Order::Terminate { grace });
    }

    /// Ends the process without any grace and without telling the state.
    pub(super) async fn abandon(self) {
        let _ = self.orders.send(Order::Abandon);
        // The task cannot fail other than by a panic, which was reported where it happened.
        let _ = self.task.await;
    }
}

async fn live(ecs: Ecs, id: String, options: ProcessOptions, mut orders: mpsc::UnboundedReceiver<Order>) {
    let timing = ecs.timing();
    tokio::select! {
        () = sleep(timing.provisioning) => {}
        order = orders.recv() => {
            if matches!(order, Some(Order::Terminate { .. })) {
                ecs.container_ended(&id, None);
                sleep(timing.deprovisioning).await;
                ecs.deprovisioned(&id);
            }
            return;
        }
    }
    let Some(launch) = ecs.activate(&id) else {
        return;
    };
    match spawn(&options, &id, &launch) {
        Ok((child, group)) => {
            ecs.started(&id);
            let Some(code) = supervise(child, group, &mut orders).await else {
                return;
            };
            ecs.container_ended(&id, Some(code));
        }
        Err(error) => {
            let reason = format!("CannotStartContainerError: {error}");
            ecs.not_started(&id, FAILED_TO_START, &reason);
        }
    }
    tokio::select! {
        () = sleep(timing.deprovisioning) => ecs.deprovisioned(&id),
        () = abandoned(&mut orders) => {}
    }
}

/// Returns when the task is to be abandoned; other orders come too late by now.
async fn abandoned(orders: &mut mpsc::UnboundedReceiver<Order>) {
    while let Some(Order::Terminate { .. }) = orders.recv().await {}
}

/// Waits for the process's end and passes signals on. The result is its exit code, or None if it was abandoned.
async fn supervise(mut child: Child, group: Group, orders: &mut mpsc::UnboundedReceiver<Order>) -> Option<i32> {
    let mut deadline: Option<Instant> = None;
    loop {
        let overdue = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => return Some(status.map_or(137, exit_code)),
            () = overdue => {
                group.kill();
                deadline = None;
            }
            order = orders.recv() => match order {
                Some(Order::Terminate { grace }) => {
                    // As a container runtime does, only the first process is told; SIGKILL is for all.
                    group.terminate();
                    deadline = Some(Instant::now() + grace);
                }
                Some(Order::Abandon) | None => {
                    group.kill();
                    let _ = child.wait().await;
                    return None;
                }
            },
        }
    }
}

fn spawn(options: &ProcessOptions, id: &str, launch: &Launch) -> io::Result<(Child, Group)> {
    let folder = options.work.join(id);
    fs::create_dir_all(&folder)?;
    let log = File::create(log_path(options, id))?;

    let executable = fs::metadata(&options.entry_point)?.permissions().mode() & 0o111 != 0;
    let mut command = if executable {
        Command::new(&options.entry_point)
    } else {
        let mut bash = Command::new("/bin/bash");
        bash.arg(&options.entry_point);
        bash
    };
    command
        .args(&launch.command)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("HOME", &folder)
        .envs(&options.environment)
        .env("AWS_ACCESS_KEY_ID", &launch.access_key)
        .envs(&launch.defined_environment)
        .envs(&launch.environment_override)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Group::spawn(&mut command)
}

/// Where a task's output goes.
pub(super) fn log_path(options: &ProcessOptions, id: &str) -> PathBuf {
    options.logs.join(format!("{id}.log"))
}
