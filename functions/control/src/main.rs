//! The function `control`: handles requests of people, schedules and programs.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let (starter, callers) = (suite.run_starter(), suite.callers());
        move |invocation| {
            let starter = starter.clone();
            async move { Ok(bellhop_control::handle(&starter, callers, &invocation).await?) }
        }
    })
    .await
}
