//! The function `pipeline`: starts runs for CodePipeline actions, which wait for their results.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let starter = suite.run_starter();
        move |invocation| {
            let starter = starter.clone();
            async move { Ok(bellhop_pipeline::handle(&starter, &invocation.event).await?) }
        }
    })
    .await
}
