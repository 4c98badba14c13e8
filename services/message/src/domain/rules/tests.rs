use proptest::prelude::*;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{RequestId, SeededEntropy};

use super::super::entry::MemberRole;
use super::super::head::Memory;
use super::*;

const MESSAGES: u64 = 6;
const USERS: [&str; 3] = ["alice", "bob", "carol"];

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn conversation() -> ConversationId {
    ConversationId::from_bytes([7; 16])
}

/// A log: created by alice with bob and carol as members, then messages by all three in turn.
struct Log {
    state: LogState,
    targets: HashMap<u64, Target>,
    entropy: SeededEntropy,
}

impl Log {
    fn new() -> Self {
        let memory = Memory { ids_max: 64, changes_max: 64 };
        let state = LogState::above(Head::default(), memory);
        let mut log = Self { state, targets: HashMap::new(), entropy: SeededEntropy::new(1) };
        let members = USERS.iter().map(|name| MemberRole { user: user(name), role: role(name) }).collect();
        let created = SystemBody::Created { name: "group".to_owned(), members };
        log.append(&[system("alice", 1, created)]);
        for n in 0..MESSAGES {
            log.append(&[send(USERS[n as usize % 3], &format!("first{n}"))]);
        }
        log
    }

    fn message_id(&self, index: u64) -> MessageId {
        self.targets[&(index + 2)].sent.message_id
    }

    /// Decides a batch and appends what was accepted. The refusals, and the kinds of the entries.
    fn append(&mut self, proposals: &[Proposal]) -> Vec<Result<u64, Refusal>> {
        let at = Timestamp::from_millis(1_000);
        let mut draft = Draft::new(conversation(), &self.state, self.targets.clone(), at, &self.entropy);
        let mut results = Vec::new();
        for proposal in proposals {
            results.push(match draft.check(proposal, Some(&standing(&proposal.actor, 1))) {
                Check::Accepted => Ok(draft.add(proposal).entry.seq),
                Check::Refused(refusal) => Err(refusal),
                Check::StandingTooOld => panic!("the log's memory reaches back to version 1"),
            });
        }
        let entries = draft.into_entries();
        for drafted in entries {
            match &drafted.entry.body {
                Body::Message(sent) => {
                    let target = Target { sender: drafted.entry.actor.clone(), sent: sent.clone(), deleted: false };
                    self.targets.insert(drafted.entry.seq, target);
                }
                Body::Deleted { message_seq, .. } => self.targets.get_mut(message_seq).unwrap().deleted = true,
                _ => {}
            }
            self.state.apply(drafted.step());
        }
        results
    }
}

fn role(name: &str) -> Role {
    if name == "alice" { Role::Owner } else { Role::Member }
}

/// As the conversation service said at this version.
fn standing(actor: &UserId, version: u64) -> Standing {
    Standing {
        version,
        kind: Some(ConversationKind::Group),
        role: USERS.contains(&actor.as_str()).then(|| role(actor.as_str())),
        joined: true,
        was_member: true,
        peer_gone: false,
    }
}

fn proposal(actor: &str, request: &str, intent: Intent) -> Proposal {
    let request_id = RequestId::parse(request).unwrap();
    let id = WriteId { user: user(actor), request_id };
    Proposal { actor: user(actor), id: Some((id, [0; 16])), intent }
}

fn send(actor: &str, request: &str) -> Proposal {
    let intent = Intent::Send {
        text: request.to_owned(),
        acting_service: String::new(),
        door: Door::Grpc,
        keep_read_position: false,
    };
    proposal(actor, request, intent)
}

fn edit(actor: &str, request: &str, message_id: MessageId) -> Proposal {
    proposal(actor, request, Intent::Edit { message_id, text: "new".to_owned() })
}

fn delete(actor: &str, request: &str, message_id: MessageId) -> Proposal {
    proposal(actor, request, Intent::Delete { message_id })
}

fn system(actor: &str, version: u64, body: SystemBody) -> Proposal {
    Proposal { actor: user(actor), id: None, intent: Intent::System { version, body } }
}

fn removal(name: &str) -> SystemBody {
    SystemBody::MemberRemoved { user: user(name), left: false, new_owner: None }
}

#[test]
fn each_write_is_decided_after_the_batchs_earlier_ones() {
    let mut log = Log::new();
    let alices = log.message_id(0);
    let results = log.append(&[
        edit("alice", "e1", alices),
        delete("alice", "d1", alices),
        edit("alice", "e2", alices),
        send("bob", "m1"),
        system("alice", 2, removal("bob")),
        send("bob", "m2"),
        system("alice", 2, removal("carol")),
    ]);
    let head = MESSAGES + 1;
    assert_eq!(
        results,
        [
            Ok(head + 1),
            Ok(head + 2),
            Err(Refusal::AlreadyDeleted),
            Ok(head + 3),
            Ok(head + 4),
            Err(Refusal::NotMember),
            Err(Refusal::VersionGap { current: 2 }),
        ]
    );
}

#[test]
fn a_change_in_the_log_decides_over_an_older_answer_and_not_over_a_newer_one() {
    let mut log = Log::new();
    log.append(&[system("alice", 2, removal("bob"))]);
    let draft = Draft::new(conversation(), &log.state, HashMap::new(), Timestamp::from_millis(0), &log.entropy);
    let bobs = send("bob", "m1");
    let check = |version| draft.check(&bobs, Some(&standing(&user("bob"), version)));
    assert_eq!(check(1), Check::Refused(Refusal::NotMember));
    assert_eq!(check(3), Check::Accepted, "an answer that knows of a later joining");
    assert_eq!(draft.check(&bobs, None), Check::StandingTooOld);
}

#[test]
fn an_answer_from_before_the_logs_memory_is_asked_for_again() {
    let memory = Memory { ids_max: 64, changes_max: 64 };
    let state = LogState::above(Head { seq: 900, conversation_version: 5, ..Head::default() }, memory);
    let entropy = SeededEntropy::new(1);
    let draft = Draft::new(conversation(), &state, HashMap::new(), Timestamp::from_millis(0), &entropy);
    let check = |version| draft.check(&send("bob", "m1"), Some(&standing(&user("bob"), version)));
    assert_eq!(check(4), Check::StandingTooOld);
    assert_eq!(check(5), Check::Accepted);
}

#[test]
fn a_message_of_another_id_at_the_same_place_is_not_found() {
    let mut log = Log::new();
    let guessed = MessageId::for_seq(Timestamp::from_millis(5), 2, &SeededEntropy::new(99));
    assert_eq!(log.append(&[delete("alice", "d1", guessed)]), [Err(Refusal::MessageNotFound)]);
}

#[test]
fn ids_are_found_in_the_batch_and_in_the_log() {
    let log = Log::new();
    let mut draft = Draft::new(conversation(), &log.state, HashMap::new(), Timestamp::from_millis(0), &log.entropy);
    let id = |actor: &str, request: &str| send(actor, request).id.unwrap().0;
    assert_eq!(draft.find(&id("alice", "first0")).unwrap().seq, 2);
    assert_eq!(draft.find(&id("bob", "first0")), None);
    draft.add(&send("bob", "new"));
    assert_eq!(draft.find(&id("bob", "new")).unwrap().seq, MESSAGES + 2);
}

fn any_proposal() -> impl Strategy<Value = (u8, usize, u64)> {
    (0_u8..5, 0_usize..3, 0..MESSAGES)
}

fn concrete(log: &Log, index: usize, (kind, actor, message): (u8, usize, u64)) -> Proposal {
    let (actor, request) = (USERS[actor], format!("r{index}"));
    match kind {
        0 => send(actor, &request),
        1 => edit(actor, &request, log.message_id(message)),
        2 => delete(actor, &request, log.message_id(message)),
        3 => system("alice", 2 + message, removal(actor)),
        _ => {
            let member = MemberRole { user: user(actor), role: Role::Member };
            system("alice", 2 + message, SystemBody::MembersAdded(vec![member]))
        }
    }
}

proptest! {
    /// Group commit changes nothing: a batch decides as its writes would one by one.
    #[test]
    fn batches_decide_as_single_writes_do(
        wanted in prop::collection::vec(any_proposal(), 1..40),
        batch in 1_usize..12,
    ) {
        let (mut together, mut alone) = (Log::new(), Log::new());
        let proposals: Vec<_> = wanted.iter().enumerate().map(|(n, w)| concrete(&together, n, *w)).collect();
        let batched: Vec<_> = proposals.chunks(batch).flat_map(|batch| together.append(batch)).collect();
        let single: Vec<_> = proposals.iter().flat_map(|one| alone.append(std::slice::from_ref(one))).collect();
        prop_assert_eq!(batched, single);
        prop_assert_eq!(together.state.head, alone.state.head);
    }

    /// The numbers that every entry carries on from the one before.
    #[test]
    fn entries_continue_the_logs_numbers(wanted in prop::collection::vec(any_proposal(), 1..40)) {
        let mut log = Log::new();
        for (n, wanted) in wanted.iter().enumerate() {
            let before = log.state.head;
            let proposal = concrete(&log, n, *wanted);
            let stored = log.append(std::slice::from_ref(&proposal))[0].is_ok();
            let after = log.state.head;
            prop_assert_eq!(after.seq, before.seq + u64::from(stored));
            let is_message = stored && matches!(proposal.intent, Intent::Send { .. });
            let is_system = stored && matches!(proposal.intent, Intent::System { .. });
            prop_assert_eq!(after.message_no, before.message_no + u64::from(is_message));
            prop_assert_eq!(after.conversation_version, before.conversation_version + u64::from(is_system));
            prop_assert_eq!(after.last_message_seq, if is_message { after.seq } else { before.last_message_seq });
        }
    }
}
