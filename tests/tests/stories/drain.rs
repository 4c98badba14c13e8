//! A stop goes on as usual until the sockets are closed: sends under way are answered, and who is removed meanwhile hears it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use viberchat_tests::{
    client::{Attempt, Client, Followed, socket::Encoding},
    history::{Action, Answer, Counters, Door, Push, text_with},
};

use super::Stage;

in_both_encodings! {
    what_is_under_way_is_answered_and_a_removal_is_heard
}

const LIMIT: Duration = Duration::from_secs(10);
/// Of two sockets the first is closed after a half of it: time enough for what happens here.
const DRAIN_MS: &str = "8000";

fn attempt(client: &Client, conversation: &str, id: &str, action: Action) -> Attempt {
    let known_seq = client.known_seq(conversation);
    Attempt { conversation: conversation.to_owned(), request_id: id.to_owned(), known_seq, action }
}

async fn what_is_under_way_is_answered_and_a_removal_is_heard(encoding: Encoding) -> Result<()> {
    let settings = |settings: viberchat_tests::cluster::Settings| {
        settings.set("GATEWAY__DRAIN_MS", DRAIN_MS).set("DRAIN_MS", "12000")
    };
    let mut stage = Stage { encoding, ..Stage::open_with(settings).await? };
    let (ann, bob) = (stage.online("ann").await?, stage.online("bob").await?);
    let group = ann.create_group(Door::Socket, &["bob".to_owned()], "group").await?;
    let has_group = |followed: &Followed| followed.cursors.get(&group).is_some_and(|seq| *seq > 0);
    ensure!(bob.socket().context("online")?.wait_until(LIMIT, has_group).await, "bob has the group");

    // Pipelined sends are under way when the server is told to stop, and the sockets hear of that.
    let mut under_way = Vec::new();
    for number in 0..40 {
        let send = attempt(&ann, &group, &format!("a{number}"), Action::send(text_with(number, 200)));
        under_way.push(ann.begin_send(&send).await.context("ann is online")?);
    }
    stage.server.begin_stop()?;
    let goaway = |push: &Push| matches!(push, Push::Goaway);
    ensure!(bob.wait_for_push(LIMIT, 0, goaway).await, "bob is told to go: {:?}", bob.pushes());
    for sent in under_way {
        let answer = ann.finish_send(sent).await;
        ensure!(matches!(answer, Answer::Stored { .. }), "a send under way: {answer:?}");
    }

    // During the drain all goes on: a send is pushed, a removal is heard by the socket that is still open.
    let send = attempt(&ann, &group, "late", Action::send(text_with(100, 20)));
    let Answer::Stored { seq, .. } = ann.attempt(Door::Socket, &send).await else {
        anyhow::bail!("a send during the drain is not stored")
    };
    let has_sent = |followed: &Followed| followed.cursors.get(&group).is_some_and(|last| *last >= seq);
    ensure!(bob.socket().context("online")?.wait_until(LIMIT, has_sent).await, "bob hears it");
    let removal = attempt(&ann, &group, "remove", Action::RemoveMember { member: "bob".to_owned() });
    let answer = ann.attempt(Door::Socket, &removal).await;
    ensure!(matches!(answer, Answer::Stored { .. }), "the removal: {answer:?}");
    let removed = |push: &Push| matches!(push, Push::Removed { conversation } if *conversation == group);
    ensure!(bob.wait_for_push(LIMIT, 0, removed).await, "bob hears of it: {:?}", bob.pushes());
    ensure!(bob.socket().is_some(), "his socket is open still");
    let refused = attempt(&bob, &group, "refused", Action::send(text_with(200, 20)));
    let answer = bob.attempt(Door::Socket, &refused).await;
    ensure!(matches!(answer, Answer::NotAttempted(_) | Answer::Rejected(_)), "bob is gone: {answer:?}");

    for client in [&ann, &bob] {
        if let Some(socket) = client.socket() {
            ensure!(socket.wait_for_end(LIMIT).await, "{} is closed in the end", client.user());
        }
    }
    stage.server.stop(&stage.recorder).await?;
    stage.server.restart().await?;
    let (_, report) = stage.close(&[(&ann, &[group.as_str()])]).await?;
    report.assert_green(Counters::default());
    Ok(())
}
