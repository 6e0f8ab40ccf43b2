//! The function `sweep`: processes everything that is due, once a minute, and single records at their time.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let engine = suite.engine();
        move |invocation| {
            let engine = engine.clone();
            async move { Ok(bellhop_sweep::handle(&engine, &invocation.event, invocation.deadline).await?) }
        }
    })
    .await
}
