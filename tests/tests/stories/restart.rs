//! After a restart presence is unknown for a moment, never wrongly offline (C11).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use viberchat_tests::{
    client::socket::Encoding,
    history::{Door, Push, Status},
};

use super::Stage;

in_both_encodings! {
    after_a_kill_presence_is_unknown_for_a_moment_and_not_offline
}

const LIMIT: Duration = Duration::from_secs(10);

async fn after_a_kill_presence_is_unknown_for_a_moment_and_not_offline(encoding: Encoding) -> Result<()> {
    let mut stage = Stage::open(encoding).await?;
    let (mut ann, mut bob) = (stage.online("ann").await?, stage.online("bob").await?);
    ann.create_group(Door::Socket, &["bob".to_owned()], "group").await?;
    let of_ann = |status: Status| {
        move |push: &Push| match push {
            Push::Presence(shown) => shown.iter().any(|shown| shown.user == "ann" && shown.status == status),
            _ => false,
        }
    };
    bob.watch_presence(&["ann".to_owned()]).await?;
    ensure!(bob.wait_for_push(LIMIT, 0, of_ann(Status::Online)).await, "ann is there: {:?}", bob.pushes());
    stage.server.kill(&stage.recorder).await?;
    stage.server.restart().await?;
    ensure!(
        bob.socket().is_none_or(|socket| socket.is_over()) || bob.socket().context("online")?.wait_for_end(LIMIT).await,
        "killed"
    );
    bob.connect().await?;
    let shown = bob.watch_presence(&["ann".to_owned()]).await?;
    ensure!(shown.iter().all(|shown| shown.status == Status::Unknown), "ann may come back: {shown:?}");
    ann.leave();
    ann.connect().await?;
    ensure!(bob.wait_for_push(LIMIT, 0, of_ann(Status::Online)).await, "ann is back: {:?}", bob.pushes());
    ensure!(!bob.pushes().iter().any(of_ann(Status::Offline)), "she was never offline: {:?}", bob.pushes());
    Ok(())
}
