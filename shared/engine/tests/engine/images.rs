//! Images that jobs push: their digests are noted when the build has ended.

use std::time::Duration;

use bellhop_domain::build::BuildState;
use bellhop_domain::results::found::Image;

use crate::world::{World, job};

#[tokio::test]
async fn the_digest_of_an_image_is_noted_when_its_build_has_ended() {
    let world = World::new();
    world.pipeline("version: 1\njobs:\n  test: { agent: small, run: make, images: ['ci/shop:{commit}', 'ci/shop:gone'] }\n");
    let id = job(&world.started("one").await, "test");
    let commit = world.build(&id).await.spec.commit;
    world
        .registry
        .0
        .lock()
        .unwrap()
        .insert(format!("ci/shop:{commit}"), "sha256:0a1b".to_owned());
    world.exits(&id, 0).await;
    world.clock.pass(Duration::from_secs(120));
    world.sweep().await.unwrap();
    let build = world.build(&id).await;
    assert!(matches!(build.state, BuildState::Finished { .. }));
    let image = |image: String, digest: Option<&str>| Image {
        image,
        digest: digest.map(ToOwned::to_owned),
    };
    let expected = [
        image(format!("ci/shop:{commit}"), Some("sha256:0a1b")),
        image("ci/shop:gone".to_owned(), None),
    ];
    assert_eq!(build.results.unwrap().images, expected);
    // The tag is moved; what was noted stays.
    world.registry.0.lock().unwrap().clear();
    world.sweep().await.unwrap();
    assert_eq!(world.build(&id).await.results.unwrap().images, expected);
}
