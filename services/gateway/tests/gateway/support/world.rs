//! What the scripted services know, and what a test can do to them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tonic::Status;
use viberchat_kit::clock::{SystemClock, Timestamp};
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::{ConversationId, MessageId, SystemEntropy};
use viberchat_proto::conversation::v1::watch_memberships_response::Push as Membership;
use viberchat_proto::conversation::v1::{
    AuthorizeMemberRequest, AuthorizeMemberResponse, Membership as Member, MembershipChange, MembershipChangeKind,
    MembershipHeartbeat, Span, WatchMembershipsResponse,
};
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::subscribe_response::Push;
use viberchat_proto::message::v1::{
    EntryBody, Hidden, LogEntry, MemberRemoved, MembersAdded, Message, MessageSent, Position, ReactionAdded,
    SubscribeResponse,
};
use viberchat_proto::types::v1::{ConversationKind, HistoryVisibility, Role};

use super::presence::PresenceState;

#[derive(Clone, Default)]
pub(crate) struct World(pub(crate) Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) conversations: HashMap<ConversationId, Conversation>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) senders: Vec<UnboundedSender<Result<viberchat_proto::message::v1::SendMessagesResponse, Status>>>,
    /// Sends are taken and never answered.
    pub(crate) sends_hang: bool,
    pub(crate) sends_unanswered: usize,
    /// Calls of ReadLog that fail before one works.
    pub(crate) reads_fail: usize,
    /// The most bytes that a call of ReadLog asked for.
    pub(crate) read_bytes_max: u32,
    /// Calls of ReadLog so far.
    pub(crate) reads: usize,
    /// No snapshot is given.
    pub(crate) memberships_hang: bool,
    /// Changes of memberships, heard or not: the number of the last is the version of all.
    pub(crate) changes: Vec<MembershipChange>,
    /// No resume goes on from an earlier version than this.
    pub(crate) changes_since: u64,
    /// Users who were given a snapshot, or whose resume went on.
    pub(crate) snapshots: Vec<String>,
    pub(crate) resumes: Vec<String>,
    /// Doors of the sends that came.
    pub(crate) doors: Vec<i32>,
    /// Calls that are only noted.
    pub(crate) noted: Vec<&'static str>,
    /// Pairs of which it was asked what the user may see.
    pub(crate) authorizations: usize,
    pub(crate) presence: PresenceState,
}

#[derive(Default)]
pub(crate) struct Conversation {
    pub(crate) kind: ConversationKind,
    pub(crate) members: HashSet<String>,
    pub(crate) log: Vec<LogEntry>,
    /// Of the membership, and of the entries from now on.
    pub(crate) version: u64,
    /// Users who see only what came since.
    pub(crate) visible_from: HashMap<String, u64>,
}

pub(crate) struct Subscriber {
    pub(crate) sender: UnboundedSender<Result<SubscribeResponse, Status>>,
    pub(crate) follows: HashSet<ConversationId>,
}

pub(crate) struct Watcher {
    pub(crate) sender: UnboundedSender<Result<WatchMembershipsResponse, Status>>,
    pub(crate) users: HashSet<String>,
}

impl World {
    /// A group of these users, with `entries` messages of the first one.
    pub(crate) fn group(&self, members: &[&str], entries: u64) -> ConversationId {
        self.conversation(ConversationKind::Group, members, entries)
    }

    pub(crate) fn direct(&self, members: [&str; 2], entries: u64) -> ConversationId {
        self.conversation(ConversationKind::Direct, &members, entries)
    }

    fn conversation(&self, kind: ConversationKind, members: &[&str], entries: u64) -> ConversationId {
        let id = ConversationId::new(&SystemClock, &SystemEntropy);
        let all = members.iter().map(|member| (*member).to_owned()).collect();
        self.0.lock().conversations.insert(id, Conversation { kind, members: all, version: 1, ..<_>::default() });
        for number in 1..=entries {
            self.append(id, members[0], &format!("message {number}"), "");
        }
        id
    }

    /// Appends a message, and tells the subscribers.
    pub(crate) fn append(&self, id: ConversationId, actor: &str, text: &str, request_id: &str) -> Message {
        self.0.lock().append(id, actor, text, request_id, true)
    }

    /// Appends a message that no subscriber hears of.
    pub(crate) fn append_unheard(&self, id: ConversationId, actor: &str, text: &str) {
        self.0.lock().append(id, actor, text, "", false);
    }

    pub(crate) fn head(&self, id: ConversationId) -> u64 {
        self.0.lock().conversations[&id].log.len() as u64
    }

    pub(crate) fn position(&self, id: ConversationId, user: &str, read_seq: u64) {
        let position =
            Position { conversation_id: id.to_string(), user_id: user.to_owned(), read_seq, ..Position::default() };
        self.0.lock().publish(id, &Push::Position(position));
    }

    pub(crate) fn add_member(&self, id: ConversationId, user: &str) {
        let mut state = self.0.lock();
        state.conversations.get_mut(&id).expect("it is there").members.insert(user.to_owned());
        state.tell(id, user, MembershipChangeKind::Added);
    }

    /// Adds a member who sees nothing of what was before, with the entry that says so.
    pub(crate) fn add_member_without_history(&self, id: ConversationId, user: &str) {
        self.append_joining(id, user, true);
        self.0.lock().tell(id, user, MembershipChangeKind::Added);
    }

    /// The same, while nobody listens.
    pub(crate) fn add_member_without_history_unheard(&self, id: ConversationId, user: &str) {
        self.append_joining(id, user, false);
    }

    fn append_joining(&self, id: ConversationId, user: &str, heard: bool) {
        let mut state = self.0.lock();
        let conversation = state.conversations.get_mut(&id).expect("it is there");
        conversation.members.insert(user.to_owned());
        conversation.version += 1;
        let seq = conversation.log.len() as u64 + 1;
        conversation.visible_from.insert(user.to_owned(), seq);
        state.append_body(id, "alice", Body::MembersAdded(MembersAdded::default()), "", heard);
        if !heard {
            state.note(id, user, MembershipChangeKind::Added);
        }
    }

    /// What the streams did not hear before comes now.
    pub(crate) fn publish_from(&self, id: ConversationId, seq: u64) {
        let mut state = self.0.lock();
        let entries: Vec<_> = state.conversations[&id].log.iter().filter(|entry| entry.seq >= seq).cloned().collect();
        for entry in entries {
            state.publish(id, &Push::Entry(entry));
        }
    }

    /// Reacts to the message of that seq, and tells the subscribers.
    pub(crate) fn react(&self, id: ConversationId, actor: &str, message_seq: u64) {
        let reaction = ReactionAdded { message_seq, emoji: "+1".to_owned(), ..ReactionAdded::default() };
        self.0.lock().append_body(id, actor, Body::ReactionAdded(reaction), "", true);
    }

    pub(crate) fn remove_member(&self, id: ConversationId, user: &str) {
        let mut state = self.0.lock();
        state.conversations.get_mut(&id).expect("it is there").members.remove(user);
        state.tell(id, user, MembershipChangeKind::Removed);
    }

    /// Removes a member while nobody listens.
    pub(crate) fn remove_member_unheard(&self, id: ConversationId, user: &str) {
        let mut state = self.0.lock();
        state.conversations.get_mut(&id).expect("it is there").members.remove(user);
        state.note(id, user, MembershipChangeKind::Removed);
    }

    /// The entry that says so, to those who stay.
    pub(crate) fn append_removal(&self, id: ConversationId, actor: &str, user: &str) {
        let removed = MemberRemoved { user_id: user.to_owned(), ..MemberRemoved::default() };
        self.0.lock().append_body(id, actor, Body::MemberRemoved(removed), "", true);
    }

    /// The stream of memberships lives, and has said everything.
    pub(crate) fn beat_memberships(&self) {
        let state = self.0.lock();
        let push = Some(Membership::Heartbeat(MembershipHeartbeat { membership_version: state.membership_version() }));
        for watcher in &state.watchers {
            let _sent = watcher.sender.send(Ok(WatchMembershipsResponse { push: push.clone() }));
        }
    }

    pub(crate) fn change(&self, id: ConversationId, user: &str) {
        self.0.lock().tell(id, user, MembershipChangeKind::Changed);
    }

    pub(crate) fn break_subscribe(&self) {
        self.0.lock().subscribers.clear();
    }

    pub(crate) fn break_memberships(&self) {
        self.0.lock().watchers.clear();
    }

    pub(crate) fn break_sends(&self) {
        self.0.lock().senders.clear();
    }

    pub(crate) fn follows(&self, id: ConversationId) -> bool {
        self.0.lock().subscribers.iter().any(|subscriber| subscriber.follows.contains(&id))
    }

    pub(crate) fn watches(&self, user: &str) -> bool {
        self.0.lock().watchers.iter().any(|watcher| watcher.users.contains(user))
    }
}

impl State {
    pub(crate) fn append(
        &mut self,
        id: ConversationId,
        actor: &str,
        text: &str,
        request_id: &str,
        heard: bool,
    ) -> Message {
        let conversation = self.conversations.get_mut(&id).expect("it is there");
        let seq = conversation.log.len() as u64 + 1;
        let at = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(seq).expect("small"));
        let message_id = MessageId::for_seq(at, seq, &SystemEntropy).to_string();
        let sent = MessageSent { message_id: message_id.clone(), text: text.to_owned(), ..MessageSent::default() };
        self.append_body(id, actor, Body::Message(sent), request_id, heard);
        Message {
            message_id,
            conversation_id: id.to_string(),
            seq,
            message_no: seq,
            sender_user_id: actor.to_owned(),
            text: text.to_owned(),
            client_message_id: request_id.to_owned(),
            create_time: Some(at.to_proto()),
            ..Message::default()
        }
    }

    fn append_body(&mut self, id: ConversationId, actor: &str, body: Body, request_id: &str, heard: bool) {
        let conversation = self.conversations.get_mut(&id).expect("it is there");
        let seq = conversation.log.len() as u64 + 1;
        let at = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(seq).expect("small"));
        let entry = LogEntry {
            conversation_id: id.to_string(),
            seq,
            message_no: seq,
            conversation_version: conversation.version,
            actor_user_id: actor.to_owned(),
            create_time: Some(at.to_proto()),
            request_id: request_id.to_owned(),
            body: Some(EntryBody { body: Some(body) }),
        };
        conversation.log.push(entry.clone());
        if heard {
            self.publish(id, &Push::Entry(entry));
        }
    }

    pub(crate) fn authorize(&self, request: &AuthorizeMemberRequest) -> AuthorizeMemberResponse {
        let id = ConversationId::parse(&request.conversation_id).expect("a good id");
        let visible_from = self.conversations[&id].visible_from.get(&request.user_id).copied();
        let history = if visible_from.is_some() { HistoryVisibility::SinceJoining } else { HistoryVisibility::Shared };
        let spans = vec![Span { from_seq: visible_from.unwrap_or(1), to_seq: 0 }];
        AuthorizeMemberResponse { history: history.into(), spans, ..AuthorizeMemberResponse::default() }
    }

    pub(crate) fn publish(&mut self, id: ConversationId, push: &Push) {
        for subscriber in self.subscribers.iter().filter(|subscriber| subscriber.follows.contains(&id)) {
            let _sent = subscriber.sender.send(Ok(SubscribeResponse { push: Some(push.clone()) }));
        }
    }

    pub(crate) fn membership(&self, id: ConversationId) -> Member {
        Member {
            conversation_id: id.to_string(),
            kind: self.conversations[&id].kind.into(),
            role: Role::Member.into(),
            conversation_version: self.conversations[&id].version,
        }
    }

    /// Versions count from 1.
    pub(crate) fn membership_version(&self) -> u64 {
        self.changes.len() as u64 + 1
    }

    fn note(&mut self, id: ConversationId, user: &str, kind: MembershipChangeKind) -> MembershipChange {
        let change = MembershipChange {
            user_id: user.to_owned(),
            kind: kind.into(),
            membership: Some(self.membership(id)),
            membership_version: self.membership_version() + 1,
        };
        self.changes.push(change.clone());
        change
    }

    fn tell(&mut self, id: ConversationId, user: &str, kind: MembershipChangeKind) {
        let change = self.note(id, user, kind);
        for watcher in self.watchers.iter().filter(|watcher| watcher.users.contains(user)) {
            let push = Some(Membership::Change(change.clone()));
            let _sent = watcher.sender.send(Ok(WatchMembershipsResponse { push }));
        }
    }

    /// The log, if the user may read it.
    pub(crate) fn log_for(&self, id: &str, user: &str) -> Result<&Vec<LogEntry>, Status> {
        let not_found = || Status::from(Error::new(Reason::ConversationNotFound, "no such conversation"));
        let id = ConversationId::parse(id).map_err(|_| not_found())?;
        let conversation = self.conversations.get(&id).ok_or_else(not_found)?;
        if conversation.members.contains(user) { Ok(&conversation.log) } else { Err(not_found()) }
    }
}

/// An entry as a user sees it who sees nothing from before `visible_from`.
pub(crate) fn shown_to(entry: &LogEntry, visible_from: u64) -> LogEntry {
    let target = match entry.body.as_ref().and_then(|body| body.body.as_ref()) {
        Some(Body::ReactionAdded(reaction)) => reaction.message_seq,
        _ => entry.seq,
    };
    if target.min(entry.seq) >= visible_from {
        return entry.clone();
    }
    let hidden = EntryBody { body: Some(Body::Hidden(Hidden { to_seq: entry.seq })) };
    LogEntry {
        conversation_id: entry.conversation_id.clone(),
        seq: entry.seq,
        body: Some(hidden),
        ..LogEntry::default()
    }
}
