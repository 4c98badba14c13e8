//! What happened, joined from all observers: the logs, the writes, the stays of members and the deletions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    record::{Action, Answer, Body, Call, Entry, Found, History, Nanos, Push, RedactedKind},
    text::texts_in,
};

/// What happened.
pub(super) struct Truth<'a> {
    /// By conversation.
    pub(super) logs: BTreeMap<&'a str, Log<'a>>,
    /// Writes to the log under their own id, by conversation, user and id.
    pub(super) writes: BTreeMap<(&'a str, &'a str, &'a str), Write<'a>>,
    /// By message id.
    pub(super) deletions: HashMap<&'a str, Deletion>,
    /// Which message a text belongs to.
    pub(super) message_of_text: HashMap<u64, &'a str>,
}

/// The log of a conversation.
#[derive(Default)]
pub(super) struct Log<'a> {
    /// All that was shown at a seq, with the observer's name.
    pub(super) shown: BTreeMap<u64, Vec<(Observer<'a>, &'a Entry)>>,
    /// The entries of the reads at the end and of the files.
    pub(super) stored: BTreeMap<u64, &'a Entry>,
    /// The head of the reads at the end; absent if nobody read.
    pub(super) head: Option<u64>,
    /// The stays of each member; empty for directs.
    pub(super) stays: BTreeMap<&'a str, Vec<Stay>>,
    /// Who joins later sees only what came during their own stays.
    pub(super) since_joining: bool,
    /// Runs that were said to be hidden: to whom, from where, up to where.
    pub(super) hidden: Vec<(Observer<'a>, u64, u64)>,
    /// The places of each message and of all that changes it, rising.
    pub(super) places: HashMap<&'a str, Vec<u64>>,
    /// Where the writes of a user and id stand, as far as anybody saw their ids: the first place of each.
    place_of: HashMap<(&'a str, &'a str), u64>,
}

/// Who saw an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observer<'a> {
    pub(super) user: &'a str,
    /// When it was seen.
    pub(super) at: Nanos,
}

/// A stay of a member, in seqs: the entry of joining and the one of leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) from: u64,
    pub(super) to: Option<u64>,
}

/// All attempts at one write.
pub(super) struct Write<'a> {
    pub(super) calls: Vec<&'a Call>,
    /// When the first attempt began: it cannot be stored before.
    pub(super) begun: Nanos,
    /// When the first ack came.
    pub(super) acked: Option<Nanos>,
    /// The place that the first ack named.
    pub(super) seq: Option<u64>,
}

/// The deletion of a message.
#[derive(Clone, Copy)]
pub(super) struct Deletion {
    /// When the first attempt began.
    pub(super) begun: Nanos,
    /// When the first ack came.
    pub(super) acked: Option<Nanos>,
}

impl<'a> Truth<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut truth = Self {
            logs: BTreeMap::new(),
            writes: BTreeMap::new(),
            deletions: HashMap::new(),
            message_of_text: HashMap::new(),
        };
        truth.take_observations(history);
        truth.take_calls(history);
        for log in truth.logs.values_mut() {
            log.index();
        }
        truth
    }

    fn take_observations(&mut self, history: &'a History) {
        for session in &history.sessions {
            for pushed in &session.pushes {
                if let Push::Entry(entry) = &pushed.push {
                    self.show(Observer { user: &session.user, at: pushed.at }, entry, false);
                }
            }
        }
        for read in &history.reads {
            let observer = Observer { user: &read.user, at: read.ended };
            let Found::Log { entries, head, .. } = &read.found else { continue };
            for entry in entries {
                self.show(observer, entry, read.last);
            }
            if read.last {
                let log = self.logs.entry(&read.conversation).or_default();
                log.head = log.head.max(Some(*head));
            }
        }
        for entry in history.scan.iter().flat_map(|scan| &scan.entries) {
            self.show(Observer { user: "the file", at: Nanos::MAX }, entry, true);
            let log = self.logs.entry(&entry.conversation).or_default();
            log.head = log.head.max(Some(entry.seq));
        }
    }

    fn show(&mut self, observer: Observer<'a>, entry: &'a Entry, stored: bool) {
        if let Body::Hidden { to_seq } = entry.body {
            // It stands for others, and says nothing of them.
            return self.logs.entry(&entry.conversation).or_default().hidden.push((observer, entry.seq, to_seq));
        }
        if let Body::Message { message_id, text, .. } | Body::Edited { message_id, text, .. } = &entry.body {
            for number in texts_in(text.as_bytes()) {
                self.message_of_text.insert(number, message_id);
            }
        }
        let log = self.logs.entry(&entry.conversation).or_default();
        log.shown.entry(entry.seq).or_default().push((observer, entry));
        if stored {
            let kept = log.stored.entry(entry.seq).or_insert(entry);
            if kept.request_id.is_empty() && !entry.request_id.is_empty() {
                *kept = entry;
            }
        }
    }

    fn take_calls(&mut self, history: &'a History) {
        for call in &history.calls {
            let acked = matches!(call.answer, Answer::Stored { .. }).then_some(call.ended).flatten();
            if let Action::Delete { message_id } = &call.action {
                let deletion = self.deletions.entry(message_id).or_insert(Deletion { begun: call.begun, acked: None });
                deletion.begun = deletion.begun.min(call.begun);
                deletion.acked = earliest(deletion.acked, acked);
            }
            if let (Action::Edit { message_id, text }, _)
            | (Action::Send { text, .. }, Answer::Stored { message_id, .. }) = (&call.action, &call.answer)
            {
                self.message_of_text
                    .extend(texts_in(text.as_bytes()).into_iter().map(|number| (number, message_id.as_str())));
            }
            if !call.action.is_log_write() {
                continue;
            }
            let key = (call.conversation.as_str(), call.user.as_str(), call.request_id.as_str());
            let write = self.writes.entry(key).or_insert(Write {
                calls: Vec::new(),
                begun: call.begun,
                acked: None,
                seq: None,
            });
            write.begun = write.begun.min(call.begun);
            write.acked = earliest(write.acked, acked);
            if let (None, Answer::Stored { seq, .. }) = (write.seq, &call.answer) {
                write.seq = Some(*seq);
            }
            write.calls.push(call);
        }
    }
}

fn earliest(one: Option<Nanos>, other: Option<Nanos>) -> Option<Nanos> {
    one.into_iter().chain(other).min()
}

impl<'a> Log<'a> {
    /// What stands at a seq: as stored, else as anybody saw it, unredacted if possible.
    pub(super) fn entry(&self, seq: u64) -> Option<&'a Entry> {
        let seen = self.shown.get(&seq)?;
        let erased = |entry: &&Entry| matches!(entry.body, Body::Redacted { .. });
        seen.iter()
            .map(|(_, entry)| *entry)
            .find(|entry| !erased(entry))
            .or_else(|| seen.first().map(|(_, entry)| *entry))
    }

    /// How many messages the log has up to the seq; absent if nobody saw it.
    pub(super) fn message_no(&self, seq: u64) -> Option<u64> {
        if seq == 0 { Some(0) } else { self.entry(seq).map(|entry| entry.message_no) }
    }

    /// The seq at which the user's present stay began by the seq; 0 in a direct.
    pub(super) fn joined(&self, user: &str, seq: u64) -> u64 {
        let stays = self.stays.get(user).map_or(&[][..], Vec::as_slice);
        stays.iter().filter(|stay| stay.from <= seq).map(|stay| stay.from).max().unwrap_or(0)
    }

    /// True if the user is a member at the seq, as far as the log says.
    pub(super) fn is_member_at(&self, user: &str, seq: u64) -> bool {
        let stays = self.stays.get(user).map_or(&[][..], Vec::as_slice);
        self.stays.is_empty() || stays.iter().any(|stay| stay.from <= seq && stay.to.is_none_or(|to| seq < to))
    }

    /// True if the user may see the end of the log.
    pub(super) fn is_member_at_the_end(&self, user: &str) -> bool {
        self.stays.is_empty()
            || self.stays.get(user).and_then(|stays| stays.last()).is_some_and(|stay| stay.to.is_none())
    }

    /// True if the entry is the user's to see: a change of a message only where the message is.
    pub(super) fn sees(&self, user: &str, entry: &Entry) -> bool {
        self.sees_seq(user, entry.seq) && self.sees_seq(user, place_of_target(entry))
    }

    /// True if the place lies within a stay of the user, or history is shared. Both ends of a stay belong to it.
    pub(super) fn sees_seq(&self, user: &str, seq: u64) -> bool {
        let stays = self.stays.get(user).map_or(&[][..], Vec::as_slice);
        !self.since_joining || stays.iter().any(|stay| stay.from <= seq && stay.to.is_none_or(|to| seq <= to))
    }

    /// The writers' ids at each place, as far as anybody saw them.
    pub(super) fn request_ids(&self) -> impl Iterator<Item = (u64, &'a str, &'a str)> {
        self.shown.iter().filter_map(|(seq, seen)| {
            let entry = seen.iter().map(|(_, entry)| *entry).find(|entry| !entry.request_id.is_empty())?;
            Some((*seq, entry.actor.as_str(), entry.request_id.as_str()))
        })
    }

    /// Where a write stands, as far as anybody saw its id.
    pub(super) fn place_of(&self, write: &Call) -> Option<u64> {
        self.place_of.get(&(write.user.as_str(), write.request_id.as_str())).copied()
    }

    fn index(&mut self) {
        let mut stays: BTreeMap<&'a str, Vec<Stay>> = BTreeMap::new();
        let seqs: BTreeSet<u64> = self.shown.keys().copied().collect();
        for seq in seqs {
            let Some(entry) = self.entry(seq) else { continue };
            match &entry.body {
                Body::Message { message_id, .. }
                | Body::Edited { message_id, .. }
                | Body::Deleted { message_id, .. }
                | Body::Reacted { message_id, .. }
                | Body::Unreacted { message_id, .. }
                | Body::Pinned { message_id, .. }
                | Body::Unpinned { message_id, .. }
                | Body::Redacted { message_id, .. } => self.places.entry(message_id).or_default().push(seq),
                Body::Created { members, .. } | Body::Added { members } => {
                    self.since_joining |= matches!(entry.body, Body::Created { since_joining: true, .. });
                    for member in members {
                        stays.entry(member).or_default().push(Stay { from: seq, to: None });
                    }
                }
                Body::Removed { member } => {
                    if let Some(stay) = stays.get_mut(member.as_str()).and_then(|stays| stays.last_mut()) {
                        stay.to.get_or_insert(seq);
                    }
                }
                Body::Closed => {
                    for stay in stays.values_mut().filter_map(|stays| stays.last_mut()) {
                        stay.to.get_or_insert(seq);
                    }
                }
                _ => {}
            }
        }
        self.stays = stays;
        let mut place_of = HashMap::new();
        for (seq, actor, request_id) in self.request_ids() {
            place_of.entry((actor, request_id)).or_insert(seq);
        }
        self.place_of = place_of;
    }
}

/// The place of the message that an entry is about; its own if there is none.
pub(super) fn place_of_target(entry: &Entry) -> u64 {
    match &entry.body {
        Body::Edited { message_seq, .. }
        | Body::Deleted { message_seq, .. }
        | Body::Reacted { message_seq, .. }
        | Body::Unreacted { message_seq, .. }
        | Body::Pinned { message_seq, .. }
        | Body::Unpinned { message_seq, .. }
        | Body::Redacted { message_seq, .. } => *message_seq,
        _ => entry.seq,
    }
}

/// True if both stand for the same entry: the same place, writer and kind, and the same content unless one is erased.
pub(super) fn is_same(one: &Entry, other: &Entry) -> bool {
    one.actor == other.actor
        && one.message_no == other.message_no
        && one.version == other.version
        && (one.request_id == other.request_id || one.request_id.is_empty() || other.request_id.is_empty())
        && is_same_body(&one.body, &other.body)
}

fn is_same_body(one: &Body, other: &Body) -> bool {
    match (one, other) {
        (Body::Redacted { kind, message_id: erased, .. }, body)
        | (body, Body::Redacted { kind, message_id: erased, .. }) => match body {
            Body::Message { message_id, .. } => *kind == RedactedKind::Message && message_id == erased,
            Body::Edited { message_id, .. } => *kind == RedactedKind::Edited && message_id == erased,
            Body::Redacted { kind: other_kind, message_id, .. } => kind == other_kind && message_id == erased,
            _ => false,
        },
        (one, other) => one == other,
    }
}
