//! The function `spot-interruption`: instances that EC2 takes away are drained, and their builds go on elsewhere.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let watch = bellhop_spot_interruption::Watch::new(suite.engine());
        move |invocation| {
            let watch = watch.clone();
            async move { Ok(watch.handle(&invocation.event).await?) }
        }
    })
    .await
}
