//! The function `backup`: handles schedules, requests for backups, and job events of AWS Backup.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let backups = suite.backup_service();
        move |invocation| {
            let backups = backups.clone();
            async move { Ok(bellhop_backup::handle(&backups, &invocation).await?) }
        }
    })
    .await
}
