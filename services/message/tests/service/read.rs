use std::sync::atomic::Ordering;

use futures::future::join_all;
use viberchat_kit::error::Reason;
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::list_messages_request::Anchor;
use viberchat_proto::message::v1::{
    BatchGetHeadsRequest, GetMessageRequest, ListMessagesRequest, ListMessagesResponse, ReadLogRequest,
};
use viberchat_proto::types::v1::Role;

use crate::support::*;

async fn list(
    client: &mut Client,
    id: ConversationId,
    anchor: Option<Anchor>,
    page_size: u32,
    page_token: &str,
) -> Result<ListMessagesResponse, tonic::Status> {
    let page_token = page_token.to_owned();
    let request = ListMessagesRequest { conversation_id: id.to_string(), page_size, page_token, anchor };
    client.list_messages(by("alice", request)).await.map(tonic::Response::into_inner)
}

fn seqs(page: &ListMessagesResponse) -> Vec<u64> {
    page.messages.iter().map(|message| message.seq).collect()
}

/// 1 is the creation, 2 to 41 are messages.
async fn forty_messages(world: &World, client: &mut Client) -> ConversationId {
    let id = create_group(world, client, &[("alice", Role::Owner), ("bob", Role::Member)]).await;
    for n in 0..40 {
        sent(client, "alice", id, &format!("m{n}"), &format!("text {n}")).await;
    }
    id
}

#[tokio::test]
async fn pages_of_messages_go_both_ways_from_every_anchor() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = forty_messages(&world, &mut client).await;

    let newest = list(&mut client, id, None, 15, "").await.unwrap();
    assert_eq!(seqs(&newest), (27..=41).collect::<Vec<_>>());
    assert_eq!(newest.as_of_seq, 41);
    let older = list(&mut client, id, None, 15, &newest.next_page_token).await.unwrap();
    assert_eq!(seqs(&older), (12..=26).collect::<Vec<_>>());
    let oldest = list(&mut client, id, None, 15, &older.next_page_token).await.unwrap();
    assert_eq!(seqs(&oldest), (2..=11).collect::<Vec<_>>());
    assert_eq!(oldest.next_page_token, "");

    let before = list(&mut client, id, Some(Anchor::BeforeSeq(10)), 4, "").await.unwrap();
    assert_eq!(seqs(&before), [6, 7, 8, 9]);
    let after = list(&mut client, id, Some(Anchor::AfterSeq(10)), 4, "").await.unwrap();
    assert_eq!(seqs(&after), [11, 12, 13, 14]);
    let further = list(&mut client, id, Some(Anchor::AfterSeq(10)), 4, &after.next_page_token).await.unwrap();
    assert_eq!(seqs(&further), [15, 16, 17, 18]);
    let around = list(&mut client, id, Some(Anchor::AroundSeq(20)), 5, "").await.unwrap();
    assert_eq!(seqs(&around), [18, 19, 20, 21, 22]);
    assert_eq!(seqs(&list(&mut client, id, Some(Anchor::AroundSeq(2)), 3, "").await.unwrap()), [2, 3, 4]);
}

#[tokio::test]
async fn a_page_token_is_good_for_its_caller_and_list_only() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = forty_messages(&world, &mut client).await;
    let token = list(&mut client, id, None, 5, "").await.unwrap().next_page_token;

    assert_refused(list(&mut client, id, None, 5, "forged").await, Reason::PageTokenInvalid);
    assert_refused(list(&mut client, id, Some(Anchor::AfterSeq(3)), 5, &token).await, Reason::PageTokenInvalid);
    let other = ListMessagesRequest { conversation_id: id.to_string(), page_token: token, ..Default::default() };
    assert_refused(client.list_messages(by("bob", other)).await, Reason::PageTokenInvalid);
}

#[tokio::test]
async fn a_message_is_found_by_its_id_and_a_guessed_one_is_not() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let first = sent(&mut client, "alice", id, "m1", "hello").await;

    let get = |message_id: &str| {
        by("alice", GetMessageRequest { conversation_id: id.to_string(), message_id: message_id.to_owned() })
    };
    let found = client.get_message(get(&first.message_id)).await.unwrap().into_inner();
    assert_eq!((found.message.as_ref(), found.as_of_seq), (Some(&first), 1));
    // The same place, another rest.
    let last = if first.message_id.ends_with('0') { "1" } else { "0" };
    let guessed = format!("{}{last}", &first.message_id[..35]);
    assert_refused(client.get_message(get(&guessed)).await, Reason::MessageNotFound);
    let old = "0190a5e6-7b1c-4d3e-9f00-000000000000";
    assert_refused(client.get_message(get(old)).await, Reason::MessageNotFound);
    let error = assert_refused(client.get_message(get("none")).await, Reason::InvalidArgument);
    assert_eq!(error.violations[0].field, "message_id");
}

#[tokio::test]
async fn the_log_is_read_in_bounded_pages() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let text = "x".repeat(16_000);
    for n in 0..60 {
        sent(&mut client, "alice", id, &format!("m{n}"), &text).await;
    }
    let read =
        |limit| by("alice", ReadLogRequest { conversation_id: id.to_string(), after_seq: 5, limit, bytes_max: 0 });
    let page = client.read_log(read(3)).await.unwrap().into_inner();
    assert_eq!(page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [6, 7, 8]);
    assert_eq!(page.head_seq, 60);
    assert_eq!(client.read_log(read(0)).await.unwrap().into_inner().entries.len(), 32, "512 KiB, not 50 entries");
}

#[tokio::test]
async fn heads_of_many_conversations_come_at_once_and_only_ones_own() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let group = forty_messages(&world, &mut client).await;
    let direct = world.members.direct(["alice", "bob"]);
    let foreign = world.members.direct(["carol", "bob"]);
    sent(&mut client, "carol", foreign, "m1", "private").await;
    let last = sent(&mut client, "bob", direct, "m1", "hello").await;

    let conversation_ids = [group, direct, foreign].iter().map(ToString::to_string).collect();
    let request = by("alice", BatchGetHeadsRequest { conversation_ids });
    let mut heads = client.batch_get_heads(request).await.unwrap().into_inner().heads;
    heads.sort_by_key(|head| head.head_seq);

    assert_eq!(heads.len(), 2);
    assert_eq!((heads[0].head_seq, heads[0].unread_count, heads[0].read_seq), (1, 1, 0));
    assert_eq!(heads[0].last_message.as_ref().unwrap().message_id, last.message_id);
    assert_eq!((heads[1].head_seq, heads[1].message_no, heads[1].unread_count), (41, 40, 0));
    assert_eq!(heads[1].as_of_seq, 41);

    let many = BatchGetHeadsRequest { conversation_ids: vec![direct.to_string(); 201] };
    assert_refused(client.batch_get_heads(by("alice", many)).await, Reason::InvalidArgument);
}

#[tokio::test]
async fn many_readers_of_one_page_are_asked_about_together_and_see_each_their_own() {
    let world = World::new();
    let node = world.node().await;
    let names: Vec<_> = (0..300).map(|n| format!("user-{n}")).collect();
    let members: Vec<_> =
        names.iter().map(|name| (name.as_str(), Role::Member)).chain([("alice", Role::Owner)]).collect();
    let mut client = node.client();
    let id = create_group(&world, &mut client, &members).await;
    sent(&mut client, "alice", id, "of alice", "text").await;
    let before = world.members.questions.load(Ordering::SeqCst);

    let read = async |user: &str| {
        let request = ListMessagesRequest { conversation_id: id.to_string(), ..ListMessagesRequest::default() };
        node.client().list_messages(by(user, request)).await.map(tonic::Response::into_inner)
    };
    let reading = names.iter().map(|name| read(name)).collect::<Vec<_>>();
    let (pages, stranger, of_alice) = futures::join!(join_all(reading), read("mallory"), read("alice"));

    assert_eq!(of_alice.unwrap().messages[0].client_message_id, "of alice");
    for page in pages {
        let page = page.unwrap();
        assert_eq!((page.messages.len(), page.messages[0].text.as_str()), (1, "text"));
        assert_eq!(page.messages[0].client_message_id, "", "whose it is not");
    }
    assert_refused(stranger, Reason::ConversationNotFound);
    // A few while nothing waits yet, then 200 at once; a refusal is asked for again.
    let questions = world.members.questions.load(Ordering::SeqCst) - before;
    assert!((2..=12).contains(&questions), "{questions} questions about 302 users");
}
