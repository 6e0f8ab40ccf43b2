//! Mistakes in what jobs share: locks, and files of other jobs.

use super::{pipeline, refusal};

#[test]
fn locks_and_files_of_other_jobs() {
    let of = |test: &str, other: &str| {
        let text = pipeline(&format!("run: x\n{test}"), &format!("package:\n  agent: small\n  run: x\n{other}"));
        refusal(&text)
    };
    assert_eq!(
        of("lock: staging\nrelaunch: warning", ""),
        ".bellhop.yaml, line 7, jobs.test.relaunch: a job with a `lock` has one agent at a time: expected `stopped`, or remove the key"
    );
    assert_eq!(
        of("lock: Staging", ""),
        ".bellhop.yaml, line 6, jobs.test.lock: `Staging` is not a valid lock name: expected 1 to 63 characters of a-z, 0-9 and -, not beginning with -"
    );
    let keeps = "  artifacts: dist/**\n";
    assert_eq!(
        of("needs: package\nfetch: packge", keeps),
        ".bellhop.yaml, line 7, jobs.test.fetch[0]: there is no job `packge`; did you mean `package`? (known: test, package)"
    );
    assert_eq!(
        of("fetch: [package]", keeps),
        ".bellhop.yaml, line 6, jobs.test.fetch[0]: the job does not come after `package`: expected `package` in `needs`"
    );
    assert_eq!(
        of("needs: package\nfetch: [package, package]", keeps),
        ".bellhop.yaml, line 7, jobs.test.fetch[1]: `package` appears twice"
    );
    assert_eq!(
        of("needs: package\nfetch: package", ""),
        ".bellhop.yaml, line 7, jobs.test.fetch[0]: the job `package` keeps no files: expected `artifacts` in it"
    );
    let many: Vec<String> = (0..21).map(|number| format!("job-{number}")).collect();
    assert_eq!(
        of(&format!("fetch: [{}]", many.join(", ")), keeps),
        ".bellhop.yaml, line 6, jobs.test.fetch: 21 jobs: at most 20 are possible"
    );
}
