//! Two people talk, direct and in a group; one is cut off in the middle of a frame and comes back.

use std::time::Duration;

use anyhow::{Context as _, Result};
use viberchat_tests::{
    client::{Attempt, Client, socket::Encoding},
    history::{Action, Answer, Counters, Door, Found, HeadView, text_with},
};

use super::Stage;

in_both_encodings! {
    one_is_cut_off_with_sends_queued_and_both_see_the_same_everything_once
    a_phone_and_a_laptop_hear_what_the_other_does_reads_included
}

const LIMIT: Duration = Duration::from_secs(10);

fn attempt(client: &Client, conversation: &str, id: &str, action: Action) -> Attempt {
    Attempt {
        conversation: conversation.to_owned(),
        request_id: id.to_owned(),
        known_seq: client.known_seq(conversation),
        action,
    }
}

/// Sends and returns seq and message id.
async fn send(client: &Client, conversation: &str, number: u64) -> Result<(u64, String)> {
    let send = Action::send(text_with(number, 20));
    match client.attempt(Door::Socket, &attempt(client, conversation, &format!("m{number}"), send)).await {
        Answer::Stored { seq, message_id, duplicate: false } => Ok((seq, message_id)),
        other => anyhow::bail!("not stored: {other:?}"),
    }
}

async fn change(client: &Client, conversation: &str, id: &str, action: Action) -> Result<()> {
    let answer = client.attempt(Door::Socket, &attempt(client, conversation, id, action)).await;
    anyhow::ensure!(matches!(answer, Answer::Stored { .. }), "{answer:?}");
    Ok(())
}

async fn one_is_cut_off_with_sends_queued_and_both_see_the_same_everything_once(encoding: Encoding) -> Result<()> {
    let stage = Stage::open(encoding).await?;
    let (ann, mut bob) = (stage.online("ann").await?, stage.online("bob").await?);
    let direct = ann.start_direct(Door::Socket, "bob").await?;
    assert_eq!(bob.start_direct(Door::Socket, "ann").await?, direct);
    let group = ann.create_group(Door::Socket, &["bob".to_owned()], "the group").await?;
    let (direct, group) = (direct.as_str(), group.as_str());
    let both = [direct, group];

    for (place, conversation) in both.into_iter().enumerate() {
        send(&ann, conversation, 10 + place as u64).await?;
    }
    let socket = bob.socket().context("bob is online")?;
    let has_both = |followed: &viberchat_tests::client::Followed| {
        followed.ready
            && both.iter().all(|conversation| followed.cursors.get(*conversation).is_some_and(|seq| *seq > 0))
    };
    assert!(socket.wait_until(LIMIT, has_both).await, "bob hears of both: {:?}", socket.followed());

    // Bob queues sends in both, and is cut off in the middle of a frame before he hears of them.
    let mut queued = Vec::new();
    for number in 100..140 {
        let text = Action::send(text_with(number, 200));
        let conversation = both[usize::from(number % 2 == 0)];
        let attempt = attempt(&bob, conversation, &format!("b{number}"), text);
        let pending = bob.begin_send(&attempt).await.context("bob is online")?;
        queued.push((attempt, pending));
    }
    bob.cut().await;
    let mut lost = Vec::new();
    for (attempt, pending) in queued {
        if !matches!(bob.finish_send(pending).await, Answer::Stored { .. }) {
            lost.push(attempt);
        }
    }

    // Meanwhile ann sends, edits and deletes.
    for (place, conversation) in both.into_iter().enumerate() {
        let number = 20 + 10 * place as u64;
        send(&ann, conversation, number).await?;
        let (_, edited) = send(&ann, conversation, number + 1).await?;
        let (_, deleted) = send(&ann, conversation, number + 2).await?;
        let text = text_with(number + 3, 20);
        change(&ann, conversation, "edit", Action::Edit { message_id: edited, text }).await?;
        change(&ann, conversation, "delete", Action::Delete { message_id: deleted }).await?;
    }

    // Bob comes back, resumes, and sends again what he has no answer to: by the same ids, in the same order.
    bob.connect().await?;
    for attempt in &lost {
        let answer = bob.attempt(Door::Socket, attempt).await;
        assert!(matches!(answer, Answer::Stored { .. }), "{answer:?}");
    }
    let heads = ann.heads(Door::Http, &both.map(str::to_owned), true).await?;
    for client in [&ann, &bob] {
        let socket = client.socket().context("online")?;
        let caught_up = |followed: &viberchat_tests::client::Followed| {
            heads.iter().all(|(conversation, head)| followed.cursors.get(conversation) == Some(head))
        };
        assert!(
            socket.wait_until(LIMIT, caught_up).await,
            "{} has {:?} of {heads:?}",
            client.user(),
            socket.followed()
        );
    }
    let (history, report) = stage.close(&[(&ann, &both), (&bob, &both)]).await?;
    report.assert_green(Counters { resumed: 1, filled: 2, ..Counters::default() });
    // 2 + 40 + 6 messages in all, each once; and both saw the same.
    let counts: Vec<usize> = history
        .reads
        .iter()
        .filter_map(|read| match &read.found {
            Found::Messages { messages, whole: true, .. } => Some(messages.len()),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [24; 8], "messages in each conversation, for both, by both doors");
    Ok(())
}

async fn a_phone_and_a_laptop_hear_what_the_other_does_reads_included(encoding: Encoding) -> Result<()> {
    let stage = Stage::open(encoding).await?;
    let (phone, laptop) = (stage.online("ann").await?, stage.online("ann").await?);
    let bob = stage.online("bob").await?;
    let direct = phone.start_direct(Door::Socket, "bob").await?;
    let (seq, _) = send(&bob, &direct, 1).await?;
    for device in [&phone, &laptop] {
        let socket = device.socket().context("online")?;
        let heard = |followed: &viberchat_tests::client::Followed| followed.cursors.get(&direct) == Some(&seq);
        assert!(socket.wait_until(LIMIT, heard).await, "{:?}", socket.followed());
    }
    phone.mark_read(Door::Socket, &direct, seq).await?;
    let unread = |head: &HeadView| (head.read_seq, head.unread);
    laptop.heads(Door::Socket, std::slice::from_ref(&direct), true).await?;
    let moved = || {
        stage.recorder.history().sessions.iter().enumerate().any(|(id, session)| {
            Some(id) == laptop.socket().map(viberchat_tests::client::Socket::session)
                && session.pushes.iter().any(|pushed| match &pushed.push {
                    viberchat_tests::history::Push::Positions(positions) => {
                        positions.iter().any(|position| position.user == "ann" && position.read_seq == seq)
                    }
                    _ => false,
                })
        })
    };
    let told = async {
        while !moved() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, told).await.context("the laptop hears that the phone has read")?;
    let (history, report) = stage.close(&[(&phone, &[direct.as_str()])]).await?;
    report.assert_green(Counters::default());
    let seen = history.reads.iter().find_map(|read| match &read.found {
        Found::Heads(heads) => heads.first().map(unread),
        _ => None,
    });
    assert_eq!(seen, Some((seq, 0)));
    Ok(())
}
