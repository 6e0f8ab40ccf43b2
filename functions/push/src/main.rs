//! The function `push`: starts a run for a push to CodeCommit.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let starter = suite.run_starter();
        move |invocation| {
            let starter = starter.clone();
            async move { Ok(bellhop_push::handle(&starter, &invocation.event).await?) }
        }
    })
    .await
}
