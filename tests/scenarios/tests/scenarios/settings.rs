//! What a function says that is not set up.

use std::process::Stdio;

use bellhop_scenarios::Environment;
use tokio::process::Command;

#[tokio::test]
async fn a_function_without_its_environment_names_everything_that_is_missing() {
    for name in ["push", "task-state", "sweep"] {
        let binary = Environment::binaries().join(name);
        let output = Command::new(&binary)
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        assert!(!output.status.success());
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let lines: Vec<_> = said.lines().filter(|line| line.contains("BELLHOP_")).collect();
        let [line] = lines.as_slice() else {
            panic!("one line: {said}");
        };
        assert!(
            line.contains("missing environment variables: BELLHOP_TABLE, BELLHOP_BUCKET, BELLHOP_TOPIC_ARN"),
            "{line}"
        );
    }
}
