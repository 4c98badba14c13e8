use viberchat_kit::clock::Timestamp;

use super::*;
use crate::domain::entry::Body;

fn id(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

fn entry(conversation_id: ConversationId, seq: u64) -> Arc<Entry> {
    Arc::new(Entry {
        conversation_id,
        seq,
        message_no: seq,
        conversation_version: 0,
        actor: user("alice"),
        request_id: None,
        create_time: Timestamp::from_millis(0),
        body: Body::Unknown,
    })
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn position(name: &str, read_seq: u64) -> Position {
    Position::read(user(name), read_seq, read_seq)
}

#[tokio::test]
async fn hints_come_to_those_who_follow() {
    let bus = Bus::new(None);
    let (one, two) = (Arc::new(Inbox::new(10)), Arc::new(Inbox::new(10)));
    bus.follow(id(1), &one);
    bus.follow(id(1), &two);
    bus.follow(id(2), &two);

    bus.publish(id(1), &[entry(id(1), 1)], &[position("alice", 1)]);
    bus.publish(id(2), &[entry(id(2), 9)], &[]);

    let heard = one.take().await;
    assert_eq!(heard.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1]);
    assert_eq!(heard.positions.len(), 1);
    assert_eq!(two.take().await.entries.len(), 2);

    bus.unfollow(id(1), &two);
    bus.publish(id(1), &[entry(id(1), 2)], &[]);
    assert!(two.take_now().entries.is_empty());
    assert_eq!(one.take_now().entries.len(), 1);
    bus.unfollow(id(1), &one);
    bus.unfollow(id(2), &two);
    assert!(!bus.is_followed(), "nothing is kept for conversations that nobody follows");
}

#[tokio::test]
async fn a_full_inbox_keeps_the_head_and_the_latest_positions() {
    let bus = Bus::new(None);
    let inbox = Arc::new(Inbox::new(2));
    bus.follow(id(1), &inbox);
    for seq in 1..=5 {
        bus.publish(id(1), &[entry(id(1), seq)], &[position("alice", seq)]);
    }
    bus.publish(id(1), &[], &[position("alice", 3)]);
    bus.publish_head(id(1), 4);

    let heard = inbox.take().await;
    assert_eq!(heard.entries.len(), 2);
    assert_eq!(heard.heads[&id(1)], 5);
    assert_eq!(heard.positions[&(id(1), user("alice"))].read_seq, 5);
}

#[test]
fn a_position_that_comes_late_takes_nothing_back() {
    let bus = Bus::new(None);
    let inbox = Arc::new(Inbox::new(2));
    bus.follow(id(1), &inbox);
    let told = |moved: Position| {
        bus.publish_positions(id(1), &[moved]);
        inbox.take_now().positions.remove(&(id(1), user("alice")))
    };
    assert_eq!(told(position("alice", 5)), Some(position("alice", 5)));
    assert_eq!(told(position("alice", 4)), None, "overtaken on its way");
    assert_eq!(told(position("alice", 5)), None, "twice");
    let delivered = Position { delivered_seq: 7, ..position("alice", 3) };
    let both = Position { delivered_seq: 7, ..position("alice", 5) };
    assert_eq!(told(delivered), Some(both), "each number moves by itself");
}

#[tokio::test]
async fn whoever_waits_is_woken() {
    let bus = Bus::new(None);
    let inbox = Arc::new(Inbox::new(2));
    bus.follow(id(1), &inbox);
    let waiting = inbox.take();
    let publishing = async {
        tokio::task::yield_now().await;
        bus.publish_head(id(1), 3);
    };
    let (heard, ()) = futures::join!(waiting, publishing);
    assert_eq!(heard.heads[&id(1)], 3);
}
