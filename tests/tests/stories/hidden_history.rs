//! A group whose history is hidden from who joins: a user joins, leaves and joins again, and sees exactly their stays, by every
//! door and in every shape that history has.
//!
//! The log: 1 created, 2 "before", 3 bob is added, 4 "during", 5 bob leaves, 6 "between", 7 a reaction to "during", 8 an edit of
//! "before", 9 "between" is pinned, 10 "during" is pinned, 11 bob is added, 12 an answer to "between", 13 an edit of "between",
//! 14 a reaction to "between", 15 "after".

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use viberchat_proto::{
    message::v1::{GetMessageRequest, ListMessagesRequest, Message, list_messages_request::Anchor},
    types::v1::HistoryVisibility,
};
use viberchat_tests::{
    client::{
        Attempt, Client, Followed, GetMessage, ListMessages, Listener, Socket,
        socket::{Encoding, Opening},
    },
    history::{Action, Answer, Body, Counters, Door, Entry, Found, History, Push, text_with},
};

use super::Stage;

in_both_encodings! {
    who_joins_leaves_and_joins_again_sees_exactly_their_stays
}

const LIMIT: Duration = Duration::from_secs(10);

const DOORS: [Door; 3] = [Door::Socket, Door::Http, Door::Grpc];

/// The places that bob sees, and how far the hidden runs between them go.
const SEEN: [(u64, u64); 9] = [(1, 2), (3, 3), (4, 4), (5, 5), (6, 10), (11, 11), (12, 12), (13, 14), (15, 15)];

struct Group<'a> {
    id: String,
    ann: &'a Client,
}

impl Group<'_> {
    async fn write(&self, id: &str, action: Action) -> Result<String> {
        let attempt = Attempt { conversation: self.id.clone(), request_id: id.to_owned(), known_seq: None, action };
        match self.ann.attempt(Door::Socket, &attempt).await {
            Answer::Stored { message_id, .. } => Ok(message_id),
            other => anyhow::bail!("{id}: {other:?}"),
        }
    }

    async fn add_bob(&self, id: &str) -> Result<()> {
        self.write(id, Action::AddMembers { members: vec!["bob".into()] }).await.map(drop)
    }
}

fn places(entries: &[Entry]) -> Vec<(u64, u64)> {
    entries.iter().map(|entry| (entry.seq, entry.last_seq())).collect()
}

/// Waits until the session has the place.
async fn reaches(client: &Client, conversation: &str, seq: u64) -> Result<()> {
    let socket = client.socket().context("online")?;
    let reached = |followed: &Followed| followed.cursors.get(conversation).is_some_and(|at| *at >= seq);
    ensure!(socket.wait_until(LIMIT, reached).await, "{} has {:?}", client.user(), socket.followed());
    Ok(())
}

async fn who_joins_leaves_and_joins_again_sees_exactly_their_stays(encoding: Encoding) -> Result<()> {
    let stage = Stage::open(encoding).await?;
    let (ann, mut bob) = (stage.online("ann").await?, stage.online("bob").await?);
    let id = ann.create_group_with(Door::Socket, &[], "hidden", HistoryVisibility::SinceJoining).await?;
    let group = Group { id, ann: &ann };
    let text = |number: u64| Action::send(text_with(number, 20));
    let before = group.write("before", text(1)).await?;
    group.add_bob("join").await?;
    let during = group.write("during", text(2)).await?;
    reaches(&bob, &group.id, 4).await?;
    let leave = Action::RemoveMember { member: "bob".into() };
    let leave = Attempt { conversation: group.id.clone(), request_id: "leave".into(), known_seq: None, action: leave };
    ensure!(matches!(bob.attempt(Door::Socket, &leave).await, Answer::Stored { seq: 5, .. }), "bob leaves");
    // Away with the cursors of the first stay, to resume from.
    bob.leave();
    let between = group.write("between", text(3)).await?;
    let react = |message_id: &str| Action::React { message_id: message_id.to_owned(), emoji: "👍".into() };
    group.write("react to during", react(&during)).await?;
    let edit =
        |message_id: &str, number| Action::Edit { message_id: message_id.to_owned(), text: text_with(number, 20) };
    group.write("edit before", edit(&before, 4)).await?;
    group.write("pin between", Action::Pin { message_id: between.clone() }).await?;
    group.write("pin during", Action::Pin { message_id: during.clone() }).await?;
    group.add_bob("join again").await?;
    bob.connect().await?;
    let answer = Action::Send { text: text_with(5, 20), reply_to: Some(between.clone()) };
    let reply = group.write("an answer", answer).await?;
    group.write("edit between", edit(&between, 6)).await?;
    group.write("react to between", react(&between)).await?;
    let after = group.write("after", text(7)).await?;
    reaches(&bob, &group.id, 15).await?;

    for door in DOORS {
        log_is_as_seen(&bob, door, &group.id).await.with_context(|| format!("the log by {door:?}"))?;
        let messages = messages(&bob, door, &group.id, None).await?;
        let ids: Vec<&str> = messages.iter().map(|message| message.message_id.as_str()).collect();
        ensure!(ids == [&during, &reply, &after], "{door:?} lists {messages:?}");
        let shown = messages[0].reactions.iter().map(|kind| (kind.emoji.as_str(), kind.count)).collect::<Vec<_>>();
        ensure!(shown == [("👍", 1)], "what is bob's shows as it stands: {shown:?}");
        for anchor in [Anchor::BeforeSeq(12), Anchor::AroundSeq(4), Anchor::AroundSeq(7), Anchor::AfterSeq(0)] {
            let page = self::messages(&bob, door, &group.id, Some(anchor)).await?;
            ensure!(page.iter().all(|message| ids.contains(&message.message_id.as_str())), "{anchor:?}: {page:?}");
        }
        let pins = bob.list_pinned(door, &group.id, true).await?;
        ensure!(pins.len() == 1 && pins[0].message_id == during, "{door:?} lists the pins {pins:?}");
        for hidden in [&before, &between] {
            let request = GetMessageRequest { conversation_id: group.id.clone(), message_id: hidden.clone() };
            let refused = bob.call::<GetMessage>(door, request).await.err().map(|refusal| refusal.reason);
            ensure!(refused.as_deref() == Some("MESSAGE_NOT_FOUND"), "a hidden message by {door:?}: {refused:?}");
            let touch = Attempt {
                conversation: group.id.clone(),
                request_id: format!("touch {hidden} by {door:?}"),
                known_seq: None,
                action: react(hidden),
            };
            let touched = bob.attempt(door, &touch).await;
            ensure!(touched == Answer::Rejected("MESSAGE_NOT_FOUND".into()), "a reaction to it: {touched:?}");
        }
        bob.heads(door, std::slice::from_ref(&group.id), true).await?;
    }
    let listener = Listener::open(&stage.server, "bob", std::slice::from_ref(&group.id), &stage.recorder).await?;
    let all = |followed: &Followed| followed.cursors.get(&group.id) == Some(&15);
    ensure!(listener.wait_until(LIMIT, all).await, "a subscription reaches the head");
    drop(listener);
    // A device that has the first stay only.
    let token = stage.server.tokens().user("bob");
    let opening = Opening {
        address: &stage.server.addresses().http,
        encoding,
        user: "bob",
        token: &token,
        resume: Some([(group.id.clone(), 4)].into()),
    };
    let device = Socket::open(opening, &stage.recorder).await?;
    let ready = |followed: &Followed| followed.ready && followed.cursors.get(&group.id) == Some(&15);
    ensure!(device.wait_until(LIMIT, ready).await, "the device has {:?}", device.followed());

    let pushed = pushed_to(&stage.recorder.history(), &group.id, "bob");
    ensure!(pushed.len() == 4 && pushed[2] == SEEN, "the subscription: {pushed:?}");
    ensure!(pushed[3] == SEEN[3..], "the resume: {pushed:?}");
    // Live, a hidden run comes place by place. What is shown of it is for the checker to say.
    let within = |place: &(u64, u64)| SEEN.iter().any(|(from, to)| from <= &place.0 && place.1 <= *to);
    for session in &pushed[..2] {
        ensure!(session.iter().all(within), "a session: {pushed:?}");
    }
    ensure!(pushed[1].ends_with(&[(15, 15)]), "the second stay: {pushed:?}");
    drop(device);

    let conversation = group.id.clone();
    let (_, report) = stage.close(&[(&ann, &[&conversation])]).await?;
    report.assert_green(Counters::default());
    Ok(())
}

async fn log_is_as_seen(bob: &Client, door: Door, conversation: &str) -> Result<()> {
    bob.read_whole_log(door, conversation).await?;
    bob.list_all(door, conversation).await?;
    let history = bob.recorder().history();
    let mut read: Vec<Entry> = Vec::new();
    for found in history.reads.iter().filter(|read| read.user == "bob" && read.door == door) {
        if let Found::Log { entries, .. } = &found.found {
            read.extend(entries.iter().cloned());
        }
    }
    ensure!(places(&read) == SEEN, "{:?}", places(&read));
    let hidden = read.iter().filter(|entry| matches!(entry.body, Body::Hidden { .. })).count();
    ensure!(hidden == 3, "three runs are hidden: {read:?}");
    Ok(())
}

async fn messages(bob: &Client, door: Door, conversation: &str, anchor: Option<Anchor>) -> Result<Vec<Message>> {
    let request = ListMessagesRequest { conversation_id: conversation.to_owned(), anchor, ..Default::default() };
    Ok(bob.call::<ListMessages>(door, request).await?.0.messages)
}

/// What each session of the user was pushed of the conversation.
fn pushed_to(history: &History, conversation: &str, user: &str) -> Vec<Vec<(u64, u64)>> {
    let sessions = history.sessions.iter().filter(|session| session.user == user);
    sessions
        .map(|session| {
            let entries = session.pushes.iter().filter_map(|pushed| match &pushed.push {
                Push::Entry(entry) if entry.conversation == conversation => Some((entry.seq, entry.last_seq())),
                _ => None,
            });
            entries.collect()
        })
        .collect()
}
