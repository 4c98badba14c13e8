//! Lanes over a real SQLite file, behind a store that fails on demand where a real one cannot be made to.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use viberchat_kit::clock::SystemClock;
use viberchat_kit::error::{Outcome, Reason};
use viberchat_kit::id::{RequestId, SystemEntropy, UserId};
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::rpc::Channel;
use viberchat_kit::telemetry::Metrics;

use super::*;
use crate::bus::{Contents, Inbox};
use crate::domain::content::Metadata;
use crate::domain::dedup::{Found, WriteId};
use crate::domain::entry::{Body, Door};
use crate::domain::head::Head;
use crate::domain::membership::{ConversationKind, Role, Standing};
use crate::domain::position::Mark;
use crate::domain::rules::Intent;
use crate::domain::visibility::{History, View};
use crate::metrics::AuthorizeMetrics;
use crate::store::sqlite::stamp::SqliteFile;
use crate::store::{
    Append, Appended, LogSlice, MessageRange, MessageSlice, Overview, PositionSet, PositionSlice, ReactionKey,
    ReadLimit, StoreError,
};

/// What happens to the next append.
enum Fault {
    /// It is stored, and nobody is told.
    StoreAndForget,
    /// It is lost, and nobody is told.
    Lose,
    /// It is refused.
    Refuse,
    /// It waits until it is let go.
    Hold(Arc<Notify>),
    /// Another instance appends this first.
    Overtake(Append),
    /// The store has a defect.
    Panic,
}

struct Faulty {
    inner: Arc<dyn Store>,
    faults: Mutex<VecDeque<Fault>>,
    appends: Mutex<Vec<usize>>,
}

impl Faulty {
    async fn append_faultily(&self, append: Append) -> crate::store::Result<Appended> {
        self.appends.lock().push(append.records.len());
        let fault = self.faults.lock().pop_front();
        let unknown = || StoreError::OutcomeUnknown("timeout".to_owned());
        match fault {
            None => {}
            Some(Fault::StoreAndForget) => {
                self.inner.append(append).await?;
                return Err(unknown());
            }
            Some(Fault::Lose) => return Err(unknown()),
            Some(Fault::Refuse) => return Err(StoreError::Unavailable("asleep".to_owned())),
            Some(Fault::Hold(go)) => go.notified().await,
            Some(Fault::Overtake(other)) => assert_eq!(self.inner.append(other).await?, Appended::Stored),
            Some(Fault::Panic) => panic!("a defect"),
        }
        self.inner.append(append).await
    }
}

macro_rules! passed_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Store for Faulty {
            fn append(&self, append: Append) -> BoxFuture<'_, crate::store::Result<Appended>> {
                self.append_faultily(append).boxed()
            }

            $(fn $name(&self, $($arg: $type),*) -> BoxFuture<'_, crate::store::Result<$answer>> {
                self.inner.$name($($arg),*)
            })*
        }
    };
}

passed_on! {
    ping() -> ();
    find_ids(id: ConversationId, ids: Vec<WriteId>, after: u64) -> (Head, Vec<Option<Found>>);
    find_version(id: ConversationId, version: u64) -> Option<u64>;
    read_log(id: ConversationId, after: u64, limit: ReadLimit) -> LogSlice;
    tail(id: ConversationId, entries: usize) -> LogSlice;
    messages(id: ConversationId, viewer: UserId, range: MessageRange, limit: ReadLimit) -> MessageSlice;
    messages_at(id: ConversationId, viewer: Option<UserId>, seqs: Vec<u64>) -> MessageSlice;
    pins(id: ConversationId, viewer: UserId, before_seq: u64, limit: ReadLimit) -> MessageSlice;
    pin_count(id: ConversationId) -> (Head, u64);
    find_reactions(id: ConversationId, keys: Vec<ReactionKey>) -> (Head, Vec<bool>);
    heads(ids: Vec<ConversationId>) -> Vec<Head>;
    overviews(user: UserId, conversations: Vec<(ConversationId, u64)>) -> Vec<Overview>;
    set_position(id: ConversationId, user: UserId, mark: Mark) -> PositionSet;
    positions(id: ConversationId, after: Option<UserId>, items: usize) -> PositionSlice;
    written_elsewhere() -> bool;
    close() -> ();
}

struct Rig {
    lanes: Lanes,
    store: Arc<Faulty>,
    lifecycle: Lifecycle,
    _file: SqliteFile,
}

impl Rig {
    fn new() -> Self {
        Self::with_limits(LaneLimits { lanes_max: 64, pending_max: 1_000, pending_bytes_max: 1 << 24, ids_max: 64 })
    }

    fn with_limits(limits: LaneLimits) -> Self {
        let file = SqliteFile::new();
        let store =
            Arc::new(Faulty { inner: Arc::new(file.store()), faults: Mutex::default(), appends: Mutex::default() });
        let lifecycle = Lifecycle::new();
        // Answers come with the requests here; whoever asks anyway hears that nobody is there.
        let (nobody, _) = Channel::late();
        let metrics = Metrics::new();
        let handle = lifecycle.handle();
        let authorizer = Authorizer::new(
            nobody.clone(),
            Duration::from_secs(1),
            10,
            handle.clone(),
            AuthorizeMetrics::new(&metrics),
        );
        let tools = Tools {
            store: store.clone(),
            authorizer: Arc::new(authorizer),
            bus: Arc::new(Bus::new(None)),
            activity: Arc::new(Activity::new(nobody, Duration::from_secs(5), handle.clone())),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            lifecycle: handle,
            metrics: LaneMetrics::new(&metrics),
        };
        Self { lanes: Lanes::new(tools, limits), store, lifecycle, _file: file }
    }

    fn fault(&self, fault: Fault) {
        self.store.faults.lock().push_back(fault);
    }

    fn submit(&self, request: Request) -> Ticket {
        self.lanes.submit(conversation(1), request).unwrap()
    }

    async fn send(&self, request_id: &str) -> Result<Stored> {
        self.submit(send("alice", request_id)).wait().await
    }

    /// The request ids in the log.
    async fn log(&self) -> Vec<String> {
        let all = ReadLimit { items: 10_000, bytes: usize::MAX };
        let slice = self.store.inner.read_log(conversation(1), 0, all).await.unwrap();
        assert!(slice.records.iter().zip(1..).all(|(record, seq)| record.head.seq == seq));
        slice.records.into_iter().map(|record| record.id.unwrap().0.to_string()).collect()
    }
}

fn conversation(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

fn request(actor: &str, request_id: &str, fingerprint: u8, intent: Intent) -> Request {
    let user = UserId::parse(actor).unwrap();
    let id = WriteId { user: user.clone(), request_id: RequestId::parse(request_id).unwrap() };
    let standing = Standing {
        version: 0,
        kind: Some(ConversationKind::Direct),
        role: Some(Role::Member),
        joined: true,
        joined_seq: 0,
        was_member: true,
        peer_gone: false,
        blocked: false,
        member_count: 2,
        view: View::of(History::Shared, &[], 0),
    };
    let an_hour = Instant::now() + Duration::from_secs(3_600);
    Request {
        proposal: Proposal { actor: user, id: Some((id, [fingerprint; 16])), intent, mentioned: Vec::new() },
        known_seq: Some(0),
        answer: Some(Answer { standing: Arc::new(standing), valid_until: an_hour }),
        deadline: an_hour,
        link: None,
    }
}

fn send(actor: &str, request_id: &str) -> Request {
    let intent = Intent::Send {
        text: request_id.to_owned(),
        acting_service: String::new(),
        door: Door::Grpc,
        keep_read_position: false,
        reply_to: None,
        mentions: Vec::new(),
        metadata: Metadata::new(),
    };
    request(actor, request_id, 1, intent)
}

fn soon(request: Request) -> Request {
    Request { deadline: Instant::now() + Duration::from_millis(60), ..request }
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it did not come to hold");
}

#[tokio::test]
async fn an_append_that_was_stored_without_an_answer_is_found_and_not_repeated() {
    let rig = Rig::new();
    rig.send("m1").await.unwrap();
    let inbox = Arc::new(Inbox::new(10));
    rig.lanes.tools.bus.follow(conversation(1), &inbox);
    rig.fault(Fault::StoreAndForget);
    let stored = rig.send("m2").await.unwrap();
    assert_eq!((stored.seq(), stored.is_duplicate()), (2, false), "it is this call's own");
    assert_eq!(rig.log().await, ["m1", "m2"]);
    let mut told = Contents::default();
    eventually(|| {
        told = inbox.take_now();
        !told.entries.is_empty()
    })
    .await;
    assert_eq!(told.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(told.positions.values().map(|position| position.read_seq).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn an_append_that_was_lost_without_an_answer_is_made_again_under_the_same_condition() {
    let rig = Rig::new();
    rig.fault(Fault::Lose);
    rig.fault(Fault::Lose);
    assert_eq!(rig.send("m1").await.unwrap().seq(), 1);
    assert_eq!(rig.store.appends.lock().len(), 3);
    assert_eq!(rig.log().await, ["m1"]);
}

#[tokio::test]
async fn what_is_in_doubt_is_never_called_not_stored() {
    let rig = Rig::new();
    rig.fault(Fault::Lose);
    rig.fault(Fault::Refuse);
    let error = rig.send("m1").await.unwrap_err();
    assert_eq!((error.reason, error.outcome), (Reason::OutcomeUnknown, Outcome::Unknown));
    assert_eq!(rig.send("m1").await.unwrap().seq(), 1, "the next attempt decides anew");
}

#[tokio::test]
async fn a_refused_append_says_that_nothing_was_attempted() {
    let rig = Rig::new();
    rig.fault(Fault::Refuse);
    let error = rig.send("m1").await.unwrap_err();
    assert_eq!((error.reason, error.outcome), (Reason::StoreUnavailable, Outcome::NotAttempted));
    assert_eq!(rig.send("m1").await.unwrap().seq(), 1);
}

#[tokio::test]
async fn what_arrives_meanwhile_forms_the_next_batch() {
    let rig = Rig::new();
    let go = Arc::new(Notify::new());
    rig.fault(Fault::Hold(go.clone()));
    let first = rig.submit(send("alice", "first"));
    eventually(|| rig.store.appends.lock().len() == 1).await;
    let tickets: Vec<_> = (0..130).map(|n| rig.submit(send("bob", &format!("m{n}")))).collect();
    go.notify_one();
    first.wait().await.unwrap();
    for (ticket, seq) in tickets.into_iter().zip(2..) {
        assert_eq!(ticket.wait().await.unwrap().seq(), seq);
    }
    assert_eq!(*rig.store.appends.lock(), [1, 64, 64, 2]);
}

#[tokio::test]
async fn many_that_wait_are_compared_with_what_is_stored_meanwhile_without_a_read() {
    let rig = Rig::new();
    let go = Arc::new(Notify::new());
    rig.fault(Fault::Hold(go.clone()));
    let mut tickets = vec![rig.submit(send("alice", "m0"))];
    eventually(|| rig.store.appends.lock().len() == 1).await;
    tickets.extend((1..512).map(|n| rig.submit(send("alice", &format!("m{n}")))));
    go.notify_one();
    for ticket in tickets {
        ticket.wait().await.unwrap();
    }
    let look_ups = || rig.lanes.tools.metrics.id_look_ups.get();
    assert_eq!((rig.log().await.len(), look_ups()), (512, 0));
    // Once nothing waits, what is remembered is little again.
    let again = rig.send("m1").await.unwrap();
    assert_eq!((again.seq(), again.is_duplicate(), look_ups()), (2, true, 1));
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes() {
    let rig = Rig::new();
    let go = Arc::new(Notify::new());
    rig.fault(Fault::Hold(go.clone()));
    let mut tickets = vec![rig.submit(send("alice", "first"))];
    eventually(|| rig.store.appends.lock().len() == 1).await;
    for n in 0..10 {
        let mut long = send("alice", &format!("m{n}"));
        let Intent::Send { text, .. } = &mut long.proposal.intent else { unreachable!("it is a send") };
        *text = "x".repeat(60_000);
        tickets.push(rig.submit(long));
    }
    go.notify_one();
    for ticket in tickets {
        ticket.wait().await.unwrap();
    }
    assert_eq!(*rig.store.appends.lock(), [1, 4, 4, 2]);
}

#[tokio::test]
async fn a_deadline_says_whether_the_entry_was_on_its_way() {
    let rig = Rig::new();
    let go = Arc::new(Notify::new());
    rig.fault(Fault::Hold(go.clone()));
    let on_its_way = rig.submit(soon(send("alice", "m1")));
    eventually(|| rig.store.appends.lock().len() == 1).await;
    let waiting = rig.submit(soon(send("alice", "m2")));

    let (on_its_way, waiting) = futures::join!(on_its_way.wait(), waiting.wait());
    let outcome = |result: Result<Stored>| {
        let error = result.unwrap_err();
        (error.reason, error.outcome)
    };
    assert_eq!(outcome(on_its_way), (Reason::DeadlineExceeded, Outcome::Unknown));
    assert_eq!(outcome(waiting), (Reason::DeadlineExceeded, Outcome::NotAttempted));
    go.notify_one();
    assert_eq!(rig.send("m3").await.unwrap().seq(), 2, "m1 was stored, m2 was not");
    assert_eq!(rig.log().await, ["m1", "m3"]);
}

#[tokio::test]
async fn a_write_goes_on_when_its_caller_goes_away() {
    let rig = Rig::new();
    drop(rig.submit(send("alice", "m1")));
    assert_eq!(rig.send("m2").await.unwrap().seq(), 2);
}

#[tokio::test]
async fn a_repetition_joins_the_attempt_under_way_and_another_body_waits_for_it() {
    let rig = Rig::new();
    let go = Arc::new(Notify::new());
    rig.fault(Fault::Hold(go.clone()));
    let first = rig.submit(send("alice", "m1"));
    eventually(|| rig.store.appends.lock().len() == 1).await;
    let again = rig.submit(send("alice", "m1"));
    let other_body = rig.submit(Request {
        proposal: Proposal {
            id: Some((send("alice", "m1").proposal.id.unwrap().0, [2; 16])),
            ..send("alice", "m1").proposal
        },
        ..send("alice", "m1")
    });
    go.notify_one();
    assert!(!first.wait().await.unwrap().is_duplicate());
    let again = again.wait().await.unwrap();
    assert_eq!((again.seq(), again.is_duplicate()), (1, true));
    assert_eq!(other_body.wait().await.unwrap_err().reason, Reason::IdempotencyKeyReused);
    assert_eq!(rig.log().await, ["m1"]);
}

/// What a rule says rests on the head: the same edit, after another instance's deletion, is refused.
#[tokio::test]
async fn after_a_lost_condition_everything_is_decided_again() {
    let rig = Rig::new();
    let Stored::Appended { entry, .. } = rig.send("m1").await.unwrap() else { panic!("it is new") };
    let Body::Message(message) = &entry.body else { panic!("it is a message") };
    let delete = Intent::Delete { message_id: message.message_id };
    // What another instance would write: made by another lane over a copy of the log's head.
    let deletion = deletion_of(&entry, message);
    rig.fault(Fault::Overtake(deletion));
    let edit = Intent::Edit { message_id: message.message_id, text: "new".to_owned(), mentions: Vec::new() };
    let edited = rig.submit(request("alice", "e1", 3, edit)).wait().await;
    let error = edited.unwrap_err();
    assert_eq!((error.reason, error.outcome), (Reason::AlreadyDeleted, Outcome::Rejected));

    // Ids too: the other instance has stored this very deletion.
    let again = rig.submit(request("alice", "d1", 4, delete)).wait().await.unwrap();
    assert_eq!((again.seq(), again.is_duplicate()), (2, true));
    assert_eq!(rig.log().await, ["m1", "d1"]);
}

#[tokio::test]
async fn an_id_that_another_instance_stores_first_is_a_duplicate() {
    let rig = Rig::new();
    let Stored::Appended { entry, .. } = rig.send("m1").await.unwrap() else { panic!("it is new") };
    let Body::Message(message) = &entry.body else { panic!("it is a message") };
    rig.fault(Fault::Overtake(deletion_of(&entry, message)));
    let delete = Intent::Delete { message_id: message.message_id };
    let stored = rig.submit(request("alice", "d1", 4, delete)).wait().await.unwrap();
    assert_eq!((stored.seq(), stored.is_duplicate()), (2, true));
    assert_eq!(rig.log().await, ["m1", "d1"]);
}

/// The deletion "d1" of the message in the first entry, as another instance appends it.
fn deletion_of(entry: &Entry, message: &crate::domain::entry::MessageSent) -> Append {
    let body = Body::Deleted { message_id: message.message_id, message_seq: entry.seq };
    let head =
        Head { seq: 2, message_no: 1, last_message_seq: 1, conversation_version: 0, time: Some(entry.create_time) };
    Append {
        conversation_id: entry.conversation_id,
        expected_head: 1,
        records: vec![crate::store::Record {
            head,
            kind: body.kind(),
            target_seq: Some(entry.seq),
            actor: entry.actor.clone(),
            id: Some((RequestId::parse("d1").unwrap(), [4; 16])),
            create_time: entry.create_time,
            erased: false,
            body: crate::convert::encode_body(&body).into(),
        }],
        changes: vec![crate::store::StateChange::Delete {
            message_seq: entry.seq,
            delete_seq: 2,
            message_body: crate::convert::encode_body(&entry.body.erased()),
            edit_body: Vec::new(),
        }],
        positions: Vec::new(),
        departed: Vec::new(),
    }
}

#[tokio::test]
async fn a_defect_frees_the_lane_and_says_that_nobody_knows() {
    let rig = Rig::new();
    rig.fault(Fault::Panic);
    let error = rig.send("m1").await.unwrap_err();
    assert_eq!(error.reason, Reason::OutcomeUnknown);
    assert_eq!(rig.send("m1").await.unwrap().seq(), 1);
}

#[tokio::test]
async fn more_than_may_wait_is_refused_at_once() {
    let rig = Rig::with_limits(LaneLimits { lanes_max: 64, pending_max: 2, pending_bytes_max: 1 << 20, ids_max: 64 });
    let go = Arc::new(Notify::new());
    rig.fault(Fault::Hold(go.clone()));
    let mut tickets = vec![rig.submit(send("alice", "m0"))];
    eventually(|| rig.store.appends.lock().len() == 1).await;
    tickets.extend((1..3).map(|n| rig.submit(send("alice", &format!("m{n}")))));
    let error = rig.lanes.submit(conversation(1), send("alice", "m3")).err().unwrap();
    assert_eq!((error.reason, error.outcome), (Reason::StoreUnavailable, Outcome::NotAttempted));

    let mut huge = send("alice", "huge");
    let Intent::Send { text, .. } = &mut huge.proposal.intent else { unreachable!("it is a send") };
    *text = "x".repeat(1 << 20);
    assert!(rig.lanes.submit(conversation(2), huge).is_err(), "bytes of all lanes are bounded");
    go.notify_one();
    for ticket in tickets {
        ticket.wait().await.unwrap();
    }
    assert_eq!(rig.lanes.pending_bytes.load(Ordering::Relaxed), 0, "what waited is given back");
}

#[tokio::test]
async fn idle_lanes_are_forgotten_and_loaded_again() {
    let rig =
        Rig::with_limits(LaneLimits { lanes_max: SHARDS, pending_max: 10, pending_bytes_max: 1 << 20, ids_max: 64 });
    for round in 0..3 {
        for n in 0..200 {
            let ticket = rig.lanes.submit(conversation(n), send("alice", &format!("m{round}"))).unwrap();
            assert_eq!(ticket.wait().await.unwrap().seq(), round + 1);
        }
    }
    let lanes: usize = rig.lanes.shards.iter().map(|shard| shard.lock().lanes.len()).sum();
    assert!(lanes < 4 * SHARDS, "{lanes} lanes are kept");
    let repeated = rig.lanes.submit(conversation(7), send("alice", "m1")).unwrap().wait().await.unwrap();
    assert_eq!((repeated.seq(), repeated.is_duplicate()), (2, true));
}

#[tokio::test]
async fn drivers_end_when_nothing_waits() {
    let rig = Rig::new();
    for n in 0..20 {
        rig.send(&format!("m{n}")).await.unwrap();
    }
    let report = rig.lifecycle.shutdown(Duration::from_secs(2)).await;
    assert!(report.is_clean(), "{report:?}");
}
