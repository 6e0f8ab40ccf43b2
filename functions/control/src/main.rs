//! The function `control`: handles requests of people, schedules and programs.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let starter = suite.run_starter();
        move |invocation| {
            let starter = starter.clone();
            async move { Ok(bellhop_control::handle(&starter, &invocation).await?) }
        }
    })
    .await
}
