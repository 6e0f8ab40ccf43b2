//! The function `build-state`: passes state changes of agents on CodeBuild and Step Functions to their builds.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let engine = suite.engine();
        move |invocation| {
            let engine = engine.clone();
            async move { Ok(bellhop_build_state::handle(&engine, &invocation.event).await?) }
        }
    })
    .await
}
