//! The function `alarm`: handles state changes of CloudWatch alarms.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let engine = suite.alarm_engine();
        move |invocation| {
            let engine = engine.clone();
            async move { Ok(bellhop_alarm::handle(&engine, &invocation.event).await?) }
        }
    })
    .await
}
