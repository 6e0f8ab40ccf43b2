//! Pipeline files that ask for what only administrators decide.

use bellhop_scenarios::World;

/// Pushes a file whose job has this line in addition, and gives the error.
async fn rejected(world: &World, line: &str) -> String {
    let file = format!("version: 1\njobs:\n  test:\n    agent: small\n    run: make test\n    {line}\n");
    let push = world.commit(&[(".bellhop.yaml", &file)], "More").await;
    let answer = world.push(&push).await.unwrap();
    let rejected = answer[0]["rejected"].as_str();
    rejected.unwrap_or_else(|| panic!("{line} is accepted: {answer}")).to_owned()
}

#[tokio::test]
async fn a_pipeline_file_that_sets_a_role_a_cluster_a_network_or_a_size() {
    let world = World::new().await;
    for (key, value) in [
        ("role", "arn:aws:iam::123456789012:role/bellhop-agent/shop-protected"),
        ("cluster", "production"),
        ("task-definition", "production:7"),
        ("subnets", "[subnet-0f]"),
        ("cpu", "16384"),
        ("refs", "['**']"),
        ("ecs", "{ cluster: production }"),
    ] {
        let why = rejected(&world, &format!("{key}: {value}")).await;
        let expected = format!(".bellhop.yaml, line 6, jobs.test: unknown key `{key}`");
        assert!(why.starts_with(&expected), "{why}");
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_pipeline_file_that_sets_what_the_agent_is_given() {
    let world = World::new().await;
    for name in [
        "BELLHOP_RESULT_URI",
        "BELLHOP_ARTIFACTS_URI",
        "BELLHOP_REPOSITORY",
        "BELLHOP_ANYTHING",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_ENDPOINT_URL_STS",
        "CODEBUILD_SRC_DIR",
        "CI",
    ] {
        let why = rejected(&world, &format!("environment: {{ {name}: x }}")).await;
        assert!(why.contains(name) && why.contains("expected another name than"), "{why}");
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_pipeline_file_whose_artifacts_are_outside_the_checkout() {
    let world = World::new().await;
    for pattern in ["../secrets", "/proc/1/environ", "a/../../b", "./x"] {
        let why = rejected(&world, &format!("artifacts: ['{pattern}']")).await;
        assert!(why.contains("artifacts"), "{why}");
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_pipeline_file_that_defines_agents_or_repositories() {
    let world = World::new().await;
    for key in [
        "agents: { mine: { ecs: { cluster: production, task-definition: x } } }",
        "repositories: { shop: { agents: [deploy] } }",
    ] {
        let file = format!("version: 1\n{key}\njobs:\n  test: {{ agent: small, run: make test }}\n");
        let push = world.commit(&[(".bellhop.yaml", &file)], "More").await;
        let answer = world.push(&push).await.unwrap();
        let why = answer[0]["rejected"].as_str().unwrap();
        assert!(why.starts_with(".bellhop.yaml, line 2: unknown key"), "{why}");
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_pipeline_file_that_grows_in_the_parser() {
    let world = World::new().await;
    let mut laughs = "version: 1\na: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ["b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        laughs.push_str(&format!(
            "{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"
        ));
    }
    for file in [laughs, "[".repeat(100_000), format!("version: 1\njobs: {}", "x".repeat(1_000_000))] {
        let push = world.commit(&[(".bellhop.yaml", &file)], "Large").await;
        let answer = world.push(&push).await.unwrap();
        let why = answer[0]["rejected"].as_str().unwrap();
        assert!(why.starts_with(".bellhop.yaml") && why.len() < 1_000, "{why}");
    }
    assert!(world.tasks().is_empty());
}
