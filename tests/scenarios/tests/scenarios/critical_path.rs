//! What lies between an event and the launch that answers it.

use bellhop_scenarios::World;

/// The requests up to the first RunTask.
fn until_launch(world: &World, mark: bellhop_stand_in::Mark) -> Vec<String> {
    let requests = World::requests(&world.journal().since(mark));
    let launch = requests.iter().position(|request| request == "ecs RunTask").unwrap();
    requests[..launch].to_vec()
}

#[tokio::test]
async fn two_round_trips_lie_between_a_warning_and_the_replacement() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    let warning = world.ecs().warn(&first).unwrap().remove(0);
    let mark = world.journal().mark();

    world.task_event(&warning).await.unwrap();

    assert_eq!(until_launch(&world, mark), ["dynamodb GetItem", "dynamodb PutItem"]);
}

#[tokio::test]
async fn an_interruption_that_nobody_warned_of_costs_a_look_into_the_bucket_more() {
    let world = World::new().await;
    world.start().await;
    let first = world.task(0);
    world.runs(&first).await;
    let stopped = world.ecs().interrupt(&first, 143).unwrap().pop().unwrap();
    let mark = world.journal().mark();

    world.task_event(&stopped).await.unwrap();

    assert_eq!(
        until_launch(&world, mark),
        ["dynamodb GetItem", "s3 ListObjectsV2", "dynamodb PutItem"]
    );
}

#[tokio::test]
async fn two_round_trips_lie_between_a_push_and_its_launch() {
    let world = World::new().await;
    let mark = world.journal().mark();

    world.start().await;

    let mut requests = until_launch(&world, mark);
    // These three are asked side by side.
    requests[..3].sort();
    let expected = [
        "codecommit GetCommit",
        "codecommit GetFile",
        "s3 GetObject",
        "dynamodb TransactWriteItems",
    ];
    assert_eq!(requests, expected);
}
