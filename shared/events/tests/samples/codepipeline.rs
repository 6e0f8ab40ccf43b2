//! Jobs of CodePipeline.

use bellhop_domain::request::{PipelineAsks, PipelineJob, PipelineStart, PipelineWork};
use bellhop_events::Event;

use super::story::{PUSHED, Row, first_run};

pub(super) fn rows() -> Vec<Row> {
    let row = |name, id: &str, asks| {
        let id = id.parse().unwrap();
        (name, vec![Event::Pipeline(PipelineJob { id, asks })], vec![])
    };
    let start = |branch: Option<&str>, commit: Option<&str>, work| {
        PipelineAsks::Start(PipelineStart {
            repository: "shop".parse().unwrap(),
            branch: branch.map(Into::into),
            commit: commit.map(|id| id.parse().unwrap()),
            work,
        })
    };
    let test = || PipelineWork::Job("test".parse().unwrap());
    let wrong = |text: &str| PipelineAsks::Wrong(text.into());
    vec![
        row(
            "codepipeline/job.json",
            "3f5a7c91-b2d4-4e60-8f13-a5c7e9fb0d12",
            start(None, Some(PUSHED), test()),
        ),
        row(
            "codepipeline/branch.json",
            "4a6c8e02-d3f5-4718-9a2b-4c6d8e0f1a23",
            start(Some("release/1.4"), None, test()),
        ),
        row(
            "codepipeline/continued.json",
            "5b7d9f13-e406-4829-8b3c-5d7e9f1a2b34",
            PipelineAsks::Continue(first_run()),
        ),
        row(
            "codepipeline/script.json",
            "6c8e0a24-f517-493a-9c4d-6e8f0a1b3c45",
            start(
                None,
                Some(PUSHED),
                PipelineWork::Script {
                    run: "make smoke-test".into(),
                    agent: "small".parse().unwrap(),
                },
            ),
        ),
        row(
            "codepipeline/no-parameters.json",
            "7d9f1b35-0628-4a4b-8d5e-7f9a1b2c4d56",
            wrong(r#"UserParameters: expected JSON such as {"repository":"shop","job":"test"}, but the action has none"#),
        ),
        row(
            "codepipeline/plain-text.json",
            "8e0a2c46-1739-4b5c-9e6f-8a0b2c3d5e67",
            wrong(r#"UserParameters: expected JSON such as {"repository":"shop","job":"test"}, but found plain text"#),
        ),
        row(
            "codepipeline/misspelt.json",
            "9f1b3d57-284a-4c6d-8f70-9b1c3d4e6f78",
            wrong("UserParameters.jop: unknown key; did you mean job? (known: repository, job, branch, commit, run, agent)"),
        ),
        row(
            "codepipeline/job-and-script.json",
            "a02c4e68-395b-4d7e-9081-ac2d4e5f7089",
            wrong("UserParameters.run: expected either job or run, but found both"),
        ),
        row(
            "codepipeline/foreign-token.json",
            "b13d5f79-4a6c-4e8f-8192-bd3e5f608192",
            wrong("continuationToken: expected a run id, the only token that this function issues"),
        ),
        (
            "codepipeline/state-change.json",
            vec![],
            vec![
                "aws.codepipeline CodePipeline Pipeline Execution State Change: foreign: \
                 an event that Bellhop does not handle"
                    .into(),
            ],
        ),
    ]
}
