use std::net::SocketAddr;

use futures::FutureExt as _;
use serde_json::Value;

use super::*;
use crate::fanout::Registry;
use crate::fanout::tests::join;

const TIMEOUT: Duration = Duration::from_secs(5);
/// Until a send has its answer, whoever gives it.
const PATIENCE: Duration = Duration::from_secs(6);

fn at(port: u16) -> Place {
    Some(SocketAddr::from(([10, 0, 0, 1], port)))
}

/// Two instances, and a conversation of each.
struct Stage {
    sends: Arc<Sends>,
    registry: Registry,
    feeds: [Feed; 2],
    conversations: [String; 2],
    now: Instant,
}

impl Stage {
    fn open() -> Self {
        let sends = Arc::new(Sends::new(TIMEOUT));
        let feeds = [1, 2].map(|port| {
            let feed = sends.open(at(port));
            sends.state.lock().routes.up(at(port));
            feed
        });
        let now = Instant::now();
        let ann = UserId::parse("ann").expect("a good id");
        let near = |port| {
            let nearest = |conversation: &String| {
                let mut state = sends.state.lock();
                let key = (ann.clone(), conversation.clone());
                let place = state.routes.begin(&key, now);
                state.routes.end(&key);
                place == Some(at(port))
            };
            let mut ids = (1..=u8::MAX).map(|number| ConversationId::from_bytes([number; 16]).to_string());
            ids.find(nearest).expect("each is nearest to some")
        };
        let conversations = [near(1), near(2)];
        Self { sends, registry: Registry::default(), feeds, conversations, now }
    }

    fn send(&self, member: &Arc<Member>, user: &str, id: u32, conversation: &str) -> bool {
        let under_way = member.session().begin(id, 0);
        let request = SendMessageRequest { conversation_id: conversation.to_owned(), ..SendMessageRequest::default() };
        let user = UserId::parse(user).expect("a good id");
        self.sends.submit(member, &user, under_way, request, self.now).is_ok()
    }

    /// What the stream to an instance takes.
    fn takes(&mut self, instance: usize) -> Option<SendMessagesRequest> {
        self.feeds[instance].next().now_or_never().flatten()
    }
}

/// The ids of what was answered, and the errors' outcomes.
fn answers(member: &Arc<Member>) -> Vec<(u64, String)> {
    let mut session = member.session();
    let frames = std::iter::from_fn(|| session.pop_frame());
    let answers = frames.map(|frame| serde_json::from_slice::<Value>(&frame).expect("JSON"));
    answers
        .map(|answer| {
            let outcome = answer["error"]["outcome"].as_str().unwrap_or_default();
            (answer["id"].as_u64().unwrap_or_default(), outcome.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn an_instance_that_takes_nothing_holds_up_those_who_send_to_it_and_nobody_else() {
    let mut stage = Stage::open();
    let [slow, other] = stage.conversations.clone();
    let ((_ann, ann), (_bob, bob)) = (join(&stage.registry, "ann"), join(&stage.registry, "bob"));
    for id in 0..QUEUE_MAX {
        assert!(stage.sends.has_room(&ann), "{id}");
        assert!(stage.send(&ann, "ann", id as u32 + 1, &slow));
    }
    assert!(!stage.sends.has_room(&ann));
    assert!(stage.sends.has_room(&bob) && stage.send(&bob, "bob", 1, &other));
    assert!(stage.takes(1).is_some() && stage.sends.has_room(&bob));
    assert!(!stage.sends.has_room(&ann), "that was not her queue");
    for _ in 0..=QUEUE_MAX / 2 {
        assert!(stage.takes(0).is_some());
    }
    assert!(stage.sends.has_room(&ann));
}

#[tokio::test]
async fn what_was_not_taken_in_time_is_never_attempted_nor_what_came_behind_it() {
    let mut stage = Stage::open();
    let [slow, other] = stage.conversations.clone();
    let (_ann, ann) = join(&stage.registry, "ann");
    for (id, conversation) in [(1, &slow), (2, &slow), (3, &other)] {
        assert!(stage.send(&ann, "ann", id, conversation));
    }
    assert!(stage.takes(0).is_some(), "the first one may be stored");
    let later = stage.now + PATIENCE;
    stage.now += Duration::from_secs(3);
    assert!(stage.send(&ann, "ann", 4, &slow));
    stage.sends.expire(later);
    let answered = answers(&ann);
    let outcome_of = |id| answered.iter().find(|(known, _)| *known == id).map(|(_, outcome)| outcome.as_str());
    assert_eq!(outcome_of(2), Some("OUTCOME_NOT_ATTEMPTED"), "{answered:?}");
    assert_eq!(outcome_of(4), Some("OUTCOME_NOT_ATTEMPTED"), "it came behind: {answered:?}");
    assert!(outcome_of(1).is_some_and(|outcome| outcome != "OUTCOME_NOT_ATTEMPTED"), "{answered:?}");
    assert!(stage.takes(0).is_none(), "the queue holds nothing that nobody waits for");
    stage.now = later;
    assert!(!stage.send(&ann, "ann", 5, &slow), "it was sent before the user heard of the failure");
    stage.now += Duration::from_secs(1);
    stage.sends.expire(stage.now);
    assert!(stage.send(&ann, "ann", 6, &slow));
}

#[tokio::test]
async fn who_waits_for_room_and_is_refused_is_read_while_what_comes_behind_is_refused_too() {
    let mut stage = Stage::open();
    let [slow, _] = stage.conversations.clone();
    let ((_ann, ann), (_bob, bob)) = (join(&stage.registry, "ann"), join(&stage.registry, "bob"));
    assert!(stage.send(&ann, "ann", 1, &slow));
    let later = stage.now + PATIENCE;
    stage.now += Duration::from_secs(3);
    for id in 0..QUEUE_MAX as u32 {
        assert!(stage.send(&bob, "bob", id + 1, &slow));
    }
    assert!(stage.send(&ann, "ann", 2, &slow));
    assert!(!stage.sends.has_room(&ann) && !stage.sends.has_room(&bob));
    stage.sends.expire(later);
    assert!(stage.sends.has_room(&ann) && !stage.sends.has_room(&bob), "the queue is full, with his");
    stage.now = later;
    assert!(!stage.send(&ann, "ann", 3, &slow));
}

#[tokio::test]
async fn a_conversation_has_one_instance_however_its_id_is_spelled() {
    let mut stage = Stage::open();
    let (_ann, ann) = join(&stage.registry, "ann");
    for number in 0xaa..=u8::MAX {
        let id = ConversationId::from_bytes([number; 16]).to_string();
        let mut takes_it = |spelled: &str| {
            assert!(stage.send(&ann, "ann", 1, spelled));
            let taken = [0, 1].map(|instance| stage.takes(instance).is_some());
            stage.sends.expire(stage.now + PATIENCE);
            taken
        };
        assert_eq!(takes_it(&id), takes_it(&id.to_uppercase()), "{id}");
    }
}
