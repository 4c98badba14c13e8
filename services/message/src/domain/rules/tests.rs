use proptest::prelude::*;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, RequestId, SeededEntropy};

use super::super::content::{PINS_MAX, REACTION_KINDS_MAX};
use super::super::entry::MemberRole;
use super::super::head::{LogState, Memory};
use super::super::membership::{ConversationKind, Role};
use super::super::target::{Target, Targets};
use super::super::visibility::{History, Span, View};
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
    targets: Targets,
    entropy: SeededEntropy,
}

impl Log {
    fn new() -> Self {
        let memory = Memory { ids_max: 64, changes_max: 64 };
        let state = LogState::above(Head::default(), memory);
        let mut log = Self { state, targets: Targets::default(), entropy: SeededEntropy::new(1) };
        let members = USERS.iter().map(|name| MemberRole { user: user(name), role: role(name) }).collect();
        let created = SystemBody::Created { name: "group".to_owned(), members, history: None };
        log.append(&[system("alice", 1, created)]);
        for n in 0..MESSAGES {
            log.append(&[send(USERS[n as usize % 3], &format!("first{n}"))]);
        }
        log
    }

    fn message_id(&self, index: u64) -> MessageId {
        self.targets.messages[&(index + 2)].sent.message_id
    }

    /// Decides a batch and appends what was accepted. The places (0: nothing to do), and the refusals.
    fn append(&mut self, proposals: &[Proposal]) -> Vec<Result<u64, Refusal>> {
        self.append_as(proposals, |actor| standing(actor, 1))
    }

    fn append_as(
        &mut self,
        proposals: &[Proposal],
        standing: impl Fn(&UserId) -> Standing,
    ) -> Vec<Result<u64, Refusal>> {
        let at = Timestamp::from_millis(1_000);
        let mut draft = Draft::new(conversation(), &self.state, self.targets.clone(), at, &self.entropy);
        let mut results = Vec::new();
        for proposal in proposals {
            results.push(match draft.check(proposal, Some(&standing(&proposal.actor))) {
                Check::Accepted => Ok(draft.add(proposal).entry.seq),
                Check::Nothing => Ok(0),
                Check::Refused(refusal) => Err(refusal),
                Check::StandingTooOld => panic!("the log's memory reaches back to version 1"),
            });
        }
        let entries = draft.into_entries();
        for drafted in entries {
            // What the store would project of it.
            match &drafted.entry.body {
                Body::Message(sent) => {
                    let target = Target::new(drafted.entry.actor.clone(), sent.clone());
                    self.targets.messages.insert(drafted.entry.seq, target);
                }
                body => self.targets.apply(&drafted.entry.actor, body),
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
        joined_seq: 1,
        was_member: true,
        peer_gone: false,
        blocked: false,
        member_count: 3,
        view: View::of(History::Shared, &[], 0),
    }
}

fn proposal(actor: &str, request: &str, intent: Intent) -> Proposal {
    let request_id = RequestId::parse(request).unwrap();
    let id = WriteId { user: user(actor), request_id };
    let mentioned = intent.mentions().iter().map(|user| Arc::new(standing(user, 1))).collect();
    Proposal { actor: user(actor), id: Some((id, [0; 16])), intent, mentioned }
}

fn send(actor: &str, request: &str) -> Proposal {
    send_with(actor, request, None, &[])
}

fn send_with(actor: &str, request: &str, reply_to: Option<MessageId>, mentions: &[&str]) -> Proposal {
    let intent = Intent::Send {
        text: request.to_owned(),
        acting_service: String::new(),
        door: Door::Grpc,
        keep_read_position: false,
        reply_to,
        mentions: mentions.iter().map(|name| user(name)).collect(),
        metadata: Metadata::new(),
    };
    proposal(actor, request, intent)
}

fn react(actor: &str, request: &str, message_id: MessageId, emoji: &str) -> Proposal {
    proposal(actor, request, Intent::React { message_id, emoji: emoji.to_owned() })
}

fn unreact(actor: &str, request: &str, message_id: MessageId, emoji: &str) -> Proposal {
    proposal(actor, request, Intent::Unreact { message_id, emoji: emoji.to_owned() })
}

fn pin(actor: &str, request: &str, message_id: MessageId) -> Proposal {
    proposal(actor, request, Intent::Pin { message_id })
}

fn unpin(actor: &str, request: &str, message_id: MessageId) -> Proposal {
    proposal(actor, request, Intent::Unpin { message_id })
}

fn edit(actor: &str, request: &str, message_id: MessageId) -> Proposal {
    proposal(actor, request, Intent::Edit { message_id, text: "new".to_owned(), mentions: Vec::new() })
}

fn delete(actor: &str, request: &str, message_id: MessageId) -> Proposal {
    proposal(actor, request, Intent::Delete { message_id })
}

fn system(actor: &str, version: u64, body: SystemBody) -> Proposal {
    Proposal { actor: user(actor), id: None, intent: Intent::System { version, body }, mentioned: Vec::new() }
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
    let draft = Draft::new(conversation(), &log.state, Targets::default(), Timestamp::from_millis(0), &log.entropy);
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
    let draft = Draft::new(conversation(), &state, Targets::default(), Timestamp::from_millis(0), &entropy);
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
    let mut draft = Draft::new(conversation(), &log.state, Targets::default(), Timestamp::from_millis(0), &log.entropy);
    let id = |actor: &str, request: &str| send(actor, request).id.unwrap().0;
    assert_eq!(draft.find(&id("alice", "first0")).unwrap().seq, 2);
    assert_eq!(draft.find(&id("bob", "first0")), None);
    draft.add(&send("bob", "new"));
    assert_eq!(draft.find(&id("bob", "new")).unwrap().seq, MESSAGES + 2);
}

#[test]
fn a_reaction_is_given_once_and_taken_back_by_its_giver() {
    let mut log = Log::new();
    let (message, head) = (log.message_id(0), MESSAGES + 1);
    let results = log.append(&[
        react("bob", "r1", message, "+1"),
        react("bob", "r2", message, "+1"),
        unreact("carol", "r3", message, "+1"),
        react("carol", "r4", message, "+1"),
        unreact("bob", "r5", message, "+1"),
        unreact("bob", "r6", message, "+1"),
        react("bob", "r7", message, "+1"),
    ]);
    assert_eq!(results, [Ok(head + 1), Ok(0), Ok(0), Ok(head + 2), Ok(head + 3), Ok(0), Ok(head + 4)]);
}

#[test]
fn a_message_has_twenty_kinds_of_reactions_and_any_number_of_each() {
    let mut log = Log::new();
    let message = log.message_id(0);
    let kinds: Vec<_> =
        (0..REACTION_KINDS_MAX).map(|n| react("bob", &format!("r{n}"), message, &n.to_string())).collect();
    assert!(log.append(&kinds).iter().all(Result::is_ok));
    assert_eq!(log.append(&[react("carol", "c1", message, "one more")]), [Err(Refusal::TooManyReactions)]);
    assert!(log.append(&[react("carol", "c2", message, "7")])[0].is_ok());
    let freed = [unreact("bob", "b1", message, "3"), react("carol", "c3", message, "one more")];
    assert!(log.append(&freed).iter().all(Result::is_ok), "a kind that nobody gives any more makes room");
}

#[test]
fn pins_are_for_admins_and_counted() {
    let mut log = Log::new();
    let message = log.message_id(0);
    assert_eq!(log.append(&[pin("bob", "p1", message)]), [Err(Refusal::RoleRequired)]);
    assert_eq!(log.append(&[unpin("bob", "p2", message)]), [Err(Refusal::RoleRequired)]);
    let in_a_direct = |actor: &UserId| Standing { kind: Some(ConversationKind::Direct), ..standing(actor, 1) };
    assert!(log.append_as(&[pin("bob", "p3", message)], in_a_direct)[0].is_ok());
    assert_eq!(log.append(&[pin("alice", "p4", message)]), [Ok(0)], "it is pinned");
    log.targets.pins = PINS_MAX;
    assert_eq!(log.append(&[pin("alice", "p5", log.message_id(1))]), [Err(Refusal::TooManyPins)]);
    let freed = log.append(&[unpin("alice", "p6", message), pin("alice", "p7", log.message_id(1))]);
    assert!(freed.iter().all(Result::is_ok));
}

#[test]
fn a_deletion_takes_reactions_and_the_pin_away_and_nothing_comes_back() {
    let mut log = Log::new();
    let message = log.message_id(0);
    let results = log.append(&[
        react("bob", "r1", message, "+1"),
        pin("alice", "p1", message),
        delete("alice", "d1", message),
        react("carol", "r2", message, "+1"),
        unreact("bob", "r3", message, "+1"),
        pin("alice", "p2", message),
        unpin("alice", "p3", message),
        send_with("bob", "m1", Some(message), &[]),
    ]);
    assert_eq!(
        results[3..],
        [Err(Refusal::AlreadyDeleted), Ok(0), Err(Refusal::AlreadyDeleted), Ok(0), Err(Refusal::ReplyDeleted),]
    );
    assert_eq!(log.targets.pins, 0);
}

#[test]
fn what_the_actor_does_not_see_is_not_there_to_write_about() {
    let mut log = Log::new();
    // The first three messages lie before the stay.
    let late = |actor: &UserId| Standing {
        view: View::of(History::SinceJoining, &[Span { from_seq: 5, to_seq: 0 }], 0),
        ..standing(actor, 1)
    };
    let (hidden, seen) = (log.message_id(0), log.message_id(3));
    let refused = [
        edit("alice", "e1", hidden),
        delete("alice", "d1", hidden),
        react("alice", "r1", hidden, "+1"),
        unreact("alice", "r2", hidden, "+1"),
        pin("alice", "p1", hidden),
        unpin("alice", "p2", hidden),
    ];
    assert_eq!(log.append_as(&refused, late), [Err(Refusal::MessageNotFound); 6]);
    assert_eq!(log.append_as(&[send_with("alice", "m1", Some(hidden), &[])], late), [Err(Refusal::ReplyNotFound)]);
    let allowed = [react("alice", "r3", seen, "+1"), send_with("alice", "m2", Some(seen), &[])];
    assert!(log.append_as(&allowed, late).iter().all(Result::is_ok));
}

#[test]
fn a_reply_carries_the_place_of_what_it_answers() {
    let mut log = Log::new();
    let answered = log.message_id(2);
    let seq = log.append(&[send_with("bob", "m1", Some(answered), &[])])[0].unwrap();
    let reply_to = log.targets.messages[&seq].sent.reply_to.unwrap();
    assert_eq!((reply_to.message_id, reply_to.seq), (answered, 4));
    let elsewhere = MessageId::for_seq(Timestamp::from_millis(5), 4, &SeededEntropy::new(99));
    assert_eq!(log.append(&[send_with("bob", "m2", Some(elsewhere), &[])]), [Err(Refusal::ReplyNotFound)]);
}

#[test]
fn only_members_at_the_head_are_mentioned() {
    let mut log = Log::new();
    let mention = |request, name| send_with("alice", request, None, &[name]);
    let results = log.append(&[
        mention("m1", "bob"),
        mention("m2", "mallory"),
        system("alice", 2, removal("bob")),
        mention("m3", "bob"),
    ]);
    assert_eq!(results[1], Err(Refusal::MentionNotMember));
    assert_eq!(results[3], Err(Refusal::MentionNotMember), "the answer is older than the removal");
    assert!(results[0].is_ok());
}

#[test]
fn a_block_stops_what_would_reach_the_other_and_nothing_else() {
    let mut log = Log::new();
    let blocked = |actor: &UserId| Standing { blocked: true, ..standing(actor, 1) };
    let own = log.message_id(0);
    let stopped = [send("alice", "m1"), edit("alice", "e1", own), react("alice", "r1", own, "+1")];
    assert_eq!(log.append_as(&stopped, blocked), [Err(Refusal::Blocked); 3]);
    assert!(log.append_as(&[delete("alice", "d1", own)], blocked)[0].is_ok());
    let gone = |actor: &UserId| Standing { peer_gone: true, ..standing(actor, 1) };
    assert_eq!(log.append_as(&[send("alice", "m2")], gone), [Err(Refusal::PeerGone)]);
}

#[test]
fn nothing_follows_the_closing_entry() {
    let mut log = Log::new();
    let message = log.message_id(0);
    let results = log.append(&[
        system("alice", 2, SystemBody::Closed),
        send("alice", "m1"),
        delete("alice", "d1", message),
        system("alice", 3, removal("bob")),
    ]);
    let head = MESSAGES + 2;
    assert_eq!(results[0], Ok(head));
    assert_eq!(results[1..], [Err(Refusal::NotMember); 3]);
    assert_eq!(log.append(&[send("bob", "m2")]), [Err(Refusal::NotMember)], "in later batches too");
    assert_eq!(log.state.head.seq, head);
}

fn any_proposal() -> impl Strategy<Value = (u8, usize, u64)> {
    (0_u8..11, 0_usize..3, 0..MESSAGES)
}

fn concrete(log: &Log, index: usize, (kind, actor, message): (u8, usize, u64)) -> Proposal {
    let (actor, request) = (USERS[actor], format!("r{index}"));
    match kind {
        0 => send(actor, &request),
        1 => edit(actor, &request, log.message_id(message)),
        2 => delete(actor, &request, log.message_id(message)),
        3 => system("alice", 2 + message, removal(actor)),
        4 => react(actor, &request, log.message_id(message % 2), "+1"),
        5 => unreact(actor, &request, log.message_id(message % 2), "+1"),
        6 => pin(actor, &request, log.message_id(message % 2)),
        7 => unpin(actor, &request, log.message_id(message % 2)),
        8 => send_with(actor, &request, Some(log.message_id(message)), &["carol"]),
        9 if message == 0 => system("alice", 2, SystemBody::Closed),
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
            let stored = log.append(std::slice::from_ref(&proposal))[0].is_ok_and(|seq| seq > 0);
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
