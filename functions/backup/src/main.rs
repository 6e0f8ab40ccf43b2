//! The function `backup`: handles schedules, requests for backups, and job events of AWS Backup.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let keeper = suite.keeper();
        move |invocation| {
            let keeper = keeper.clone();
            async move { Ok(bellhop_backup::handle(&keeper, &invocation).await?) }
        }
    })
    .await
}
