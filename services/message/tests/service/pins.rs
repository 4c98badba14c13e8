use viberchat_kit::error::Reason;
use viberchat_proto::message::v1::ListPinnedMessagesRequest;
use viberchat_proto::types::v1::Role;

use crate::support::*;

fn seqs(messages: &[viberchat_proto::message::v1::Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

#[tokio::test]
async fn pinned_messages_are_listed_newest_pin_first_in_pages() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let id = world.members.direct(["alice", "bob"]);
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(sent(&mut client, "alice", id, &format!("m{n}"), "text").await.message_id);
    }
    for n in [2, 0, 4, 1] {
        let pinned = pin(&mut client, "bob", id, &ids[n], &format!("p{n}")).await.unwrap();
        let message = pinned.message.unwrap();
        assert_eq!((message.pinned_by_user_id.as_str(), message.pin_time.is_some()), ("bob", true));
    }
    let again = pin(&mut client, "alice", id, &ids[2], "again").await.unwrap();
    assert_eq!((again.seq, again.duplicate), (0, false), "it is pinned");
    assert_eq!(again.message.unwrap().pinned_by_user_id, "bob");
    let repeated = pin(&mut client, "bob", id, &ids[2], "p2").await.unwrap();
    assert_eq!((repeated.seq, repeated.duplicate), (6, true));
    assert!(unpin(&mut client, "alice", id, &ids[4], "u4").await.unwrap().message.unwrap().pin_time.is_none());
    assert_eq!(unpin(&mut client, "alice", id, &ids[4], "u4 again").await.unwrap().seq, 0);
    assert_eq!(seqs(&list_pinned(&mut client, "alice", id).await), [2, 1, 3]);

    let (mut paged, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPinnedMessagesRequest { conversation_id: id.to_string(), page_size: 2, page_token };
        let page = client.list_pinned_messages(by("alice", request)).await.unwrap().into_inner();
        assert_eq!(page.as_of_seq, 10);
        paged.extend(seqs(&page.messages));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, [2, 1, 3]);
    let forged = ListPinnedMessagesRequest {
        conversation_id: id.to_string(),
        page_token: "forged".to_owned(),
        ..Default::default()
    };
    assert_refused(client.list_pinned_messages(by("alice", forged)).await, Reason::PageTokenInvalid);
}

#[tokio::test]
async fn members_of_a_group_do_not_pin_and_there_are_a_hundred_pins_at_most() {
    let world = World::new();
    let node = world.node().await;
    let mut client = node.client();
    let members = [("alice", Role::Owner), ("adam", Role::Admin), ("bob", Role::Member)];
    let id = create_group(&world, &mut client, &members).await;
    let mut last = String::new();
    for n in 0..=100 {
        last = sent(&mut client, "bob", id, &format!("m{n}"), "text").await.message_id;
        let pinned = pin(&mut client, "adam", id, &last, &format!("p{n}")).await;
        assert_eq!(pinned.is_ok(), n < 100, "{n}");
        if let Err(status) = pinned {
            assert_eq!(refusal(&status).reason, Reason::LimitExceeded);
        }
    }
    assert_refused(pin(&mut client, "bob", id, &last, "by bob").await, Reason::RoleRequired);
    let pinned = list_pinned(&mut client, "bob", id).await.remove(0).message_id;
    assert_refused(unpin(&mut client, "bob", id, &pinned, "off").await, Reason::RoleRequired);
    delete(&mut client, "bob", id, &pinned, "d1").await.unwrap();
    assert_refused(pin(&mut client, "alice", id, &pinned, "back").await, Reason::AlreadyDeleted);
    pin(&mut client, "alice", id, &last, "now").await.unwrap();
}
