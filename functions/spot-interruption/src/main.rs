//! The function `spot-interruption`: drains instances that EC2 interrupts, and marks their builds as interrupted.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bellhop_runtime::serve(|suite| {
        let watch = bellhop_spot_interruption::Watch::new(suite.instance_engine());
        move |invocation| {
            let watch = watch.clone();
            async move { Ok(watch.handle(&invocation.event).await?) }
        }
    })
    .await
}
