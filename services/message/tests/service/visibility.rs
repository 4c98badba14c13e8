//! What members see whose group hides its history, or who have cleared it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use viberchat_kit::error::Reason;
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::list_messages_request::Anchor;
use viberchat_proto::message::v1::subscribe_request::Request as Asked;
use viberchat_proto::message::v1::subscribe_response::Push;
use viberchat_proto::message::v1::{
    ListMessagesRequest, LogEntry, ReadLogRequest, SendMessageRequest, SubscribeAdd, SubscribeRequest, SubscribeStart,
};
use viberchat_proto::types::v1::{RequestContext, Role};

use crate::support::*;

/// A group in which bob has been from 4 to 8 and again since 12. What is about a hidden message says so by its name.
struct Story {
    id: ConversationId,
    /// By place.
    messages: Vec<String>,
    /// The places that bob sees.
    seen: BTreeSet<u64>,
    head: u64,
}

async fn story(world: &World, client: &mut Client) -> Story {
    let id = create_group(world, client, &[("alice", Role::Owner)]).await;
    world.members.hide_history(id);
    let mut messages = vec![String::new(); 20];
    let mut say = async |client: &mut Client, seq: u64| {
        let message = sent(client, "alice", id, &format!("m{seq}"), &format!("text {seq}")).await;
        assert_eq!(message.seq, seq);
        messages[seq as usize] = message.message_id;
    };
    say(client, 2).await;
    say(client, 3).await;
    let version = world.members.add(id, "bob", Role::Member);
    assert_eq!(system(client, id, version, "alice", added("bob")).await.unwrap().seq, 4);
    world.members.joined(id, "bob", 4);
    say(client, 5).await;
    say(client, 6).await;
    say(client, 7).await;
    let version = world.members.remove(id, "bob");
    assert_eq!(system(client, id, version, "alice", removed("bob")).await.unwrap().seq, 8);
    world.members.left(id, "bob", 8);
    say(client, 9).await;
    say(client, 10).await;
    say(client, 11).await;
    let version = world.members.add(id, "bob", Role::Member);
    assert_eq!(system(client, id, version, "alice", added("bob")).await.unwrap().seq, 12);
    world.members.joined(id, "bob", 12);
    say(client, 13).await;
    // About hidden ones, and one about a message that bob sees.
    assert_eq!(edit(client, "alice", id, &messages[9], "e1", "hidden edit").await.unwrap().seq, 14);
    assert_eq!(react(client, "alice", id, &messages[2], "r1", "+1").await.unwrap().seq, 15);
    assert_eq!(pin(client, "alice", id, &messages[10], "p1").await.unwrap().seq, 16);
    assert_eq!(delete(client, "alice", id, &messages[9], "d1").await.unwrap().seq, 17);
    assert_eq!(pin(client, "alice", id, &messages[6], "p2").await.unwrap().seq, 18);
    let reply = SendMessageRequest { reply_to_message_id: messages[3].clone(), ..message(id, "m19", "text 19") };
    let reply = client.send_message(by("alice", reply)).await.unwrap().into_inner().message.unwrap();
    messages[19] = reply.message_id;
    until_answers_are_old().await;
    let seen = (4..=8).chain([12, 13, 18, 19]).collect();
    Story { id, messages, seen, head: 19 }
}

/// Checks that entries are 1 … head and show exactly what may be seen.
fn assert_shows(entries: &[LogEntry], seen: &BTreeSet<u64>, head: u64) {
    let mut next = 1;
    let mut shown = BTreeSet::new();
    for entry in entries {
        assert_eq!(entry.seq, next, "contiguous");
        next = end_of(entry) + 1;
        if is_hidden(entry) {
            assert!((entry.seq..next).all(|seq| !seen.contains(&seq)), "{entry:?}");
            assert_eq!((entry.actor_user_id.as_str(), entry.create_time), ("", None));
        } else {
            shown.insert(entry.seq);
        }
    }
    assert_eq!((&shown, next), (seen, head + 1));
}

#[tokio::test]
async fn the_log_shows_the_own_stays_and_hides_what_is_about_the_rest() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let Story { id, seen, head, .. } = story(&world, &mut client).await;
    assert_shows(&log(&mut client, "bob", id).await, &seen, head);
    assert!(log(&mut client, "alice", id).await.iter().all(|entry| !is_hidden(entry)), "she has been there always");
    // Runs are cut at the borders of pages, whatever their size.
    for limit in 1..=7 {
        let mut entries: Vec<LogEntry> = Vec::new();
        while entries.last().map_or(0, end_of) < head {
            let after_seq = entries.last().map_or(0, end_of);
            let request = ReadLogRequest { conversation_id: id.to_string(), after_seq, limit, bytes_max: 0 };
            entries.extend(client.read_log(by("bob", request)).await.unwrap().into_inner().entries);
        }
        assert_shows(&entries, &seen, head);
    }
    let first = &log(&mut client, "bob", id).await[0];
    assert_eq!((first.seq, end_of(first), first.message_no), (1, 3, 2), "one run, with the numbers of its end");
}

#[tokio::test]
async fn a_stream_shows_the_same_from_the_beginning_and_live() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let Story { id, messages, mut seen, head } = story(&world, &mut client).await;
    let (requests, receiver) = mpsc::channel(4);
    let mut pushes = client.subscribe(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let conversations = vec![SubscribeStart { conversation_id: id.to_string(), after_seq: Some(0) }];
    let context = RequestContext { on_behalf_of: "bob".to_owned(), correlation_id: 1, ..RequestContext::default() };
    let request = Some(Asked::Add(SubscribeAdd { conversations }));
    requests.send(SubscribeRequest { context: Some(context), request }).await.unwrap();
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut until = async |entries: &mut Vec<LogEntry>, head: u64| {
        while entries.last().map_or(0, end_of) < head {
            if let Some(Push::Entry(entry)) = pushes.message().await.unwrap().unwrap().push {
                entries.push(entry);
            }
        }
    };
    until(&mut entries, head).await;
    assert_shows(&entries, &seen, head);
    assert!(entries.len() < head as usize, "runs of a page are one push");

    react(&mut client, "alice", id, &messages[11], "live1", "+1").await.unwrap();
    react(&mut client, "alice", id, &messages[13], "live2", "+1").await.unwrap();
    until(&mut entries, head + 2).await;
    seen.insert(head + 2);
    assert_shows(&entries, &seen, head + 2);
}

#[tokio::test]
async fn messages_pins_and_writes_keep_to_the_own_stays() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let Story { id, messages, .. } = story(&world, &mut client).await;
    let listed = list_messages(&mut client, "bob", id).await;
    assert_eq!(listed.iter().map(|message| message.seq).collect::<Vec<_>>(), [5, 6, 7, 13, 19]);
    assert_eq!(listed[4].reply_to_message_id, messages[3], "a reply stays, with what it answers");
    let pinned = list_pinned(&mut client, "bob", id).await;
    assert_eq!(pinned.iter().map(|message| message.seq).collect::<Vec<_>>(), [6]);
    for hidden in [2, 3, 9, 10, 11] {
        let message = &messages[hidden];
        assert_refused(get_message(&mut client, "bob", id, message).await, Reason::MessageNotFound);
        assert_refused(react(&mut client, "bob", id, message, "r", "+1").await, Reason::MessageNotFound);
        assert_refused(unreact(&mut client, "bob", id, message, "u", "+1").await, Reason::MessageNotFound);
        assert_refused(delete(&mut client, "bob", id, message, "d").await, Reason::MessageNotFound);
        assert_refused(edit(&mut client, "bob", id, message, "e", "text").await, Reason::MessageNotFound);
        let reply =
            SendMessageRequest { reply_to_message_id: message.clone(), ..super::support::message(id, "m", "t") };
        let error = assert_refused(client.send_message(by("bob", reply)).await, Reason::MessageNotFound);
        assert_eq!(error.violations[0].field, "reply_to_message_id");
    }
    get_message(&mut client, "bob", id, &messages[7]).await.unwrap();
    react(&mut client, "bob", id, &messages[7], "ok", "+1").await.unwrap();
}

#[tokio::test]
async fn pages_of_messages_skip_what_is_hidden_and_end() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner)]).await;
    world.members.hide_history(id);
    for n in 0..120 {
        sent(&mut client, "alice", id, &format!("m{n}"), "before").await;
    }
    let version = world.members.add(id, "bob", Role::Member);
    let joined = system(&mut client, id, version, "alice", added("bob")).await.unwrap().seq;
    world.members.joined(id, "bob", joined);
    for n in 200..203 {
        sent(&mut client, "alice", id, &format!("m{n}"), "after").await;
    }
    let page = async |client: &mut Client, anchor, page_size, page_token: &str| {
        let (conversation_id, page_token) = (id.to_string(), page_token.to_owned());
        let request = ListMessagesRequest { conversation_id, page_size, page_token, anchor };
        let page = client.list_messages(by("bob", request)).await.unwrap().into_inner();
        assert!(page.messages.iter().all(|message| message.seq > joined));
        (page.messages.len(), page.next_page_token)
    };
    let (count, token) = page(&mut client, None, 2, "").await;
    assert_eq!(count, 2);
    assert_eq!(
        page(&mut client, None, 2, &token).await,
        (1, String::new()),
        "nothing that may be seen is further back"
    );
    assert_eq!(page(&mut client, Some(Anchor::AfterSeq(0)), 50, "").await, (3, String::new()));
    assert_eq!(page(&mut client, Some(Anchor::BeforeSeq(60)), 50, "").await, (0, String::new()));
    assert_eq!(page(&mut client, Some(Anchor::AroundSeq(joined)), 50, "").await, (3, String::new()));
}

#[tokio::test]
async fn who_has_cleared_the_chat_sees_what_comes_later_and_has_read_the_rest() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    for n in 0..4 {
        sent(&mut client, "alice", id, &format!("m{n}"), "old").await;
    }
    world.members.clear(id, "bob", 4);
    let head = heads(&mut client, "bob", &[id]).await.remove(0);
    assert_eq!((head.unread_count, head.last_message, head.read_seq, head.head_seq), (0, None, 0, 4));
    let new = sent(&mut client, "alice", id, "m4", "new").await;
    let head = heads(&mut client, "bob", &[id]).await.remove(0);
    assert_eq!((head.unread_count, head.last_message.map(|message| message.seq)), (1, Some(5)));
    let read = viberchat_proto::message::v1::MarkReadRequest { conversation_id: id.to_string(), seq: 2 };
    let marked = client.mark_read(by("bob", read)).await.unwrap().into_inner();
    assert_eq!((marked.unread_count, marked.as_of_seq), (1, 5));
    assert_eq!(list_messages(&mut client, "bob", id).await.len(), 1);
    assert_shows(&log(&mut client, "bob", id).await, &BTreeSet::from([5]), 5);
    assert_eq!(log(&mut client, "alice", id).await.iter().filter(|entry| is_hidden(entry)).count(), 0);
    world.members.clear(id, "bob", 900);
    until_answers_are_old().await;
    assert_shows(&log(&mut client, "bob", id).await, &BTreeSet::new(), 5);
    assert_refused(get_message(&mut client, "bob", id, &new.message_id).await, Reason::MessageNotFound);
    assert_eq!(heads(&mut client, "bob", &[id]).await[0].unread_count, 0);
}

#[tokio::test]
async fn a_removed_users_fresh_answer_does_not_make_the_whole_log_unread() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = create_group(&world, &mut client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    let other = world.members.direct(["alice", "bob"]);
    for n in 0..5 {
        sent(&mut client, "bob", id, &format!("m{n}"), "text").await;
    }
    assert_eq!(heads(&mut client, "bob", &[id, other]).await.len(), 2);
    let version = world.members.remove(id, "bob");
    let left = system(&mut client, id, version, "alice", removed("bob")).await.unwrap().seq;
    world.members.left(id, "bob", left);
    let listed = heads(&mut client, "bob", &[id, other]).await;
    assert_eq!(listed.iter().map(|head| head.conversation_id.clone()).collect::<Vec<_>>(), [other.to_string()]);
    let version = world.members.add(id, "bob", Role::Member);
    let joined = system(&mut client, id, version, "alice", added("bob")).await.unwrap().seq;
    world.members.joined(id, "bob", joined);
    let back = heads(&mut client, "bob", &[id]).await.remove(0);
    assert_eq!((back.read_seq, back.unread_count), (joined, 0));
}

#[tokio::test]
async fn heads_of_two_hundred_conversations_are_one_question() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let ids: Vec<_> = (0..200).map(|n| world.members.direct(["alice", &format!("peer{n}")])).collect();
    assert_eq!(heads(&mut client, "alice", &ids).await.len(), 200);
    assert_eq!(world.members.questions.load(Ordering::SeqCst), 1);
    assert_eq!(heads(&mut client, "alice", &ids).await.len(), 200);
    // Two hundred heads may take as long as answers are fresh.
    let questions = 1 + u64::from(cassandra().is_some());
    assert!(world.members.questions.load(Ordering::SeqCst) <= questions, "fresh answers serve");
    world.members.unavailable.store(true, Ordering::SeqCst);
    until_answers_are_old().await;
    assert_eq!(heads(&mut client, "alice", &ids).await.len(), 200, "members known go on for a while");
    let stranger = viberchat_proto::message::v1::BatchGetHeadsRequest { conversation_ids: vec![ids[0].to_string()] };
    assert_refused(client.batch_get_heads(by("mallory", stranger)).await, Reason::StoreUnavailable);
}
