//! A session with logs around it, and everything that it said.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;
use tokio::time::Instant;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{EntryBody, Head, LogEntry, MessageSent, ReadLogResponse};

use crate::config::Config;
use crate::fanout::{Slot, Topic};
use crate::frames::{self, Encoding};
use crate::session::{Job, JobDone, Phase, Session};

/// Entries of a log at the begin.
pub(super) const START: u64 = 5;

/// Small, so that it overflows.
const PUSH_BYTES_MAX: u32 = 8 * 1024;

/// Frames that come on demand may lie above the limit by a page of announcements and the like.
const SLACK_BYTES: usize = 8 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// An entry comes through the stream.
    Append(usize),
    /// A run of entries comes through the stream.
    AppendMany(usize, u8),
    /// An entry is in the log, and the stream does not bring it.
    AppendUnheard(usize),
    /// The stream began anew and tells the head.
    HeadMoved(usize),
    /// The socket takes this many frames.
    Take(u8),
    /// The owner looks for work.
    Advance,
    /// The read under way ends well.
    Answer,
    /// The read under way fails.
    Fail,
    /// The user is removed.
    Remove(usize),
    /// The user is added again.
    Add(usize),
    /// Something else of the conversation changes.
    Change(usize),
    /// Time passes.
    Pass(u16),
}

pub(super) fn op(conversations: usize) -> impl Strategy<Value = Op> {
    let one = 0..conversations;
    prop_oneof![
        8 => one.clone().prop_map(Op::Append),
        3 => (one.clone(), 2u8..60).prop_map(|(which, count)| Op::AppendMany(which, count)),
        2 => one.clone().prop_map(Op::AppendUnheard),
        2 => one.clone().prop_map(Op::HeadMoved),
        8 => (1u8..30).prop_map(Op::Take),
        8 => Just(Op::Advance),
        6 => Just(Op::Answer),
        1 => Just(Op::Fail),
        1 => one.clone().prop_map(Op::Remove),
        1 => one.clone().prop_map(Op::Add),
        1 => one.prop_map(Op::Change),
        2 => (1u16..4000).prop_map(Op::Pass),
    ]
}

pub(super) struct Model {
    pub(super) session: Session,
    pub(super) now: Instant,
    topics: Vec<Arc<Topic>>,
    /// Lengths of the logs.
    heads: Vec<u64>,
    is_member: Vec<bool>,
    cursors: Option<Vec<Option<u64>>>,
    stranger: Option<ConversationId>,
    job: Option<Job>,
    said: Vec<Value>,
}

/// What was said, by conversation.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) entries: Vec<Vec<u64>>,
    pub(super) verdicts: Vec<String>,
    pub(super) added: Vec<usize>,
    pub(super) ready: usize,
    pub(super) strangers_reset: usize,
}

impl Model {
    /// Logs of these lengths; with cursors a resume that names those that have one.
    pub(super) fn new(heads: &[u64], cursors: Option<Vec<Option<u64>>>) -> Self {
        let now = Instant::now();
        let config = Config { outbox_push_bytes_max: PUSH_BYTES_MAX, pump_entries_max: 7, ..Config::default() };
        let topics: Vec<_> = (0..heads.len())
            .map(|number| {
                let mut bytes = [0; 16];
                bytes[15] = u8::try_from(number).expect("a few") + 1;
                Arc::new(Topic::new(ConversationId::from_bytes(bytes), false))
            })
            .collect();
        for (topic, head) in topics.iter().zip(heads) {
            topic.advance_head(*head);
        }
        let mut model = Self {
            session: Session::new(Arc::new(config), Encoding::Json, now),
            now,
            is_member: vec![true; heads.len()],
            heads: heads.to_vec(),
            topics,
            cursors,
            stranger: None,
            job: None,
            said: Vec::new(),
        };
        let is_stranger_test = model.cursors.as_ref().is_some_and(|cursors| cursors.iter().all(Option::is_none));
        if !(is_stranger_test && heads.len() == 1) {
            model.begin();
        }
        model
    }

    /// The resume also names a conversation that is not the user's.
    pub(super) fn name_stranger(&mut self) {
        self.stranger = Some(ConversationId::from_bytes([9; 16]));
    }

    /// Hello, the resume, and the user's conversations.
    pub(super) fn begin(&mut self) {
        let ends = (self.now + Duration::from_secs(1_000_000), Timestamp::from_millis(0));
        let resume = self.cursors.is_some();
        self.session.welcome(
            self.now,
            &frames::reply(1, None),
            super::identity(),
            resume,
            ends,
            Duration::from_millis(500),
        );
        if let Some(cursors) = &self.cursors {
            let Phase::Resume { cursors: known, .. } = &mut self.session.phase else { panic!("a resume begins") };
            for (topic, cursor) in self.topics.iter().zip(cursors) {
                if let Some(cursor) = cursor {
                    known.insert(topic.conversation(), *cursor);
                }
            }
            known.extend(self.stranger.map(|stranger| (stranger, 4)));
            self.session.resume_end(2);
        }
        let slots: Vec<_> = self.topics.iter().enumerate().map(|(slot, topic)| (slot_of(slot), topic)).collect();
        self.session.attach(slots.into_iter());
        self.take(usize::MAX);
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Append(which) => self.append(which, 1),
            Op::AppendMany(which, count) => self.append(which, count.into()),
            Op::AppendUnheard(which) => {
                self.heads[which] += 1;
                self.topics[which].advance_head(self.heads[which]);
            }
            Op::HeadMoved(which) => self.session.head_moved(slot_of(which), &self.topics[which]),
            Op::Take(count) => self.take(count.into()),
            Op::Advance => self.advance(),
            Op::Answer => self.answer(),
            Op::Fail => {
                if let Some(job) = self.job.take() {
                    let error = Error::new(Reason::StoreUnavailable, "not now");
                    let done = match job {
                        Job::Log { .. } => JobDone::Log(Err(error)),
                        Job::Heads(_) => JobDone::Heads(Err(error)),
                    };
                    self.session.job_done(self.now, done);
                }
            }
            Op::Remove(which) => {
                if std::mem::take(&mut self.is_member[which]) {
                    self.session.conversation_removed(slot_of(which));
                }
            }
            Op::Add(which) => {
                if !std::mem::replace(&mut self.is_member[which], true) {
                    self.session.conversation_added(slot_of(which), &self.topics[which]);
                }
            }
            Op::Change(which) => self.session.conversation_changed(slot_of(which), &self.topics[which]),
            Op::Pass(millis) => self.pass(Duration::from_millis(millis.into())),
        }
        let bytes = self.session.outbox.bytes();
        assert!(bytes <= PUSH_BYTES_MAX as usize + SLACK_BYTES, "{bytes} bytes wait");
    }

    fn append(&mut self, which: usize, count: u64) {
        let first = self.heads[which] + 1;
        self.heads[which] += count;
        self.topics[which].advance_head(self.heads[which]);
        for seq in first..=self.heads[which] {
            let frame = Encoding::Json.encode(&frames::entry(self.entry(which, seq)));
            self.session.entry(slot_of(which), &self.topics[which], seq, &frame);
        }
    }

    /// A few of them are long.
    fn entry(&self, which: usize, seq: u64) -> LogEntry {
        let text = "x".repeat(if seq.is_multiple_of(11) { 3000 } else { 20 });
        LogEntry {
            conversation_id: self.topics[which].conversation().to_string(),
            seq,
            body: Some(EntryBody { body: Some(Body::Message(MessageSent { text, ..MessageSent::default() })) }),
            ..LogEntry::default()
        }
    }

    fn take(&mut self, count: usize) {
        for _ in 0..count {
            self.session.frames_taken();
            let Some(frame) = self.session.pop_frame() else { break };
            self.said.push(decode(&frame));
        }
    }

    pub(super) fn drain(&mut self) {
        self.settle();
        self.said.clear();
    }

    fn advance(&mut self) {
        if let Some(job) = self.session.advance(self.now) {
            assert!(self.job.is_none(), "one read at a time");
            self.job = Some(job);
        }
    }

    fn answer(&mut self) {
        let Some(job) = self.job.take() else { return };
        let done = match job {
            Job::Log { conversation, after_seq, limit, .. } => JobDone::Log(self.read(conversation, after_seq, limit)),
            Job::Heads(ids) => JobDone::Heads(Ok(ids
                .into_iter()
                .filter_map(|id| {
                    let which = self.which(id)?;
                    let head_seq = self.heads[which];
                    let head = Head { conversation_id: id.to_string(), head_seq, unread_count: 2, ..Head::default() };
                    self.is_member[which].then_some(head)
                })
                .collect())),
        };
        self.session.job_done(self.now, done);
    }

    fn read(&self, conversation: ConversationId, after_seq: u64, limit: u32) -> Result<ReadLogResponse, Error> {
        let which = self.which(conversation).filter(|which| self.is_member[*which]);
        let which = which.ok_or_else(|| Error::new(Reason::ConversationNotFound, "no such conversation"))?;
        let last = self.heads[which].min(after_seq.saturating_add(limit.into()));
        let entries = (after_seq + 1..=last).map(|seq| self.entry(which, seq)).collect();
        Ok(ReadLogResponse { entries, head_seq: self.heads[which] })
    }

    fn which(&self, conversation: ConversationId) -> Option<usize> {
        self.topics.iter().position(|topic| topic.conversation() == conversation)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.session.heard(self.now);
        self.session.tick(self.now);
    }

    /// Nothing new comes, and the socket takes everything.
    pub(super) fn settle(&mut self) {
        for _ in 0..2000 {
            self.advance();
            let idle = self.job.is_none() && self.session.is_drained();
            self.answer();
            self.take(usize::MAX);
            if idle {
                self.pass(Duration::from_secs(20));
                self.advance();
                if self.job.is_none() {
                    return self.take(usize::MAX);
                }
            }
        }
        panic!("it never comes to rest");
    }

    pub(super) fn story(&self) -> Story {
        let count = self.topics.len();
        let mut story =
            Story { entries: vec![Vec::new(); count], verdicts: vec![String::new(); count], ..<_>::default() };
        for push in &self.said {
            let id = |value: &Value| ConversationId::parse(value["conversationId"].as_str()?).ok();
            if let Some(entry) = push.get("entry") {
                story.entries[self.which(id(entry).expect("an id")).expect("known")].push(number(&entry["seq"]));
            } else if let Some(resumed) = push.get("resumed") {
                match self.which(id(resumed).expect("an id")) {
                    None => story.strangers_reset += 1,
                    Some(which) => story.verdicts[which].push_str(&verdict(resumed)),
                }
            } else if let Some(event) = push.get("conversation")
                && event.get("added").is_some()
            {
                story.added.push(self.which(id(event).expect("an id")).expect("known"));
            } else if push.get("ready").is_some() {
                story.ready += 1;
            }
        }
        story
    }

    /// Everything that was said, in order, against what the logs hold.
    pub(super) fn check(&self) {
        let mut next: Vec<_> = (0..self.topics.len())
            .map(|which| match &self.cursors {
                None => Next::Seq(START + 1),
                Some(cursors) => cursors[which].map_or(Next::Nothing, |cursor| Next::Seq(cursor + 1)),
            })
            .collect();
        for push in &self.said {
            self.check_one(push, &mut next);
        }
        for (which, next) in next.into_iter().enumerate() {
            let is_over = match next {
                Next::Nothing => !self.is_member[which],
                Next::Seq(seq) => self.is_member[which] && seq == self.heads[which] + 1,
                // Nothing came since, so the head is where the client found it.
                Next::Anything => self.is_member[which],
            };
            assert!(is_over, "conversation {which} was not brought to its end {}: {:?}", self.heads[which], self.said);
        }
        assert_eq!(self.story().ready, 1);
    }

    fn check_one(&self, push: &Value, next: &mut [Next]) {
        let Some(about) = ["entry", "resumed", "conversation"].iter().find_map(|kind| push.get(kind)) else { return };
        let id = ConversationId::parse(about["conversationId"].as_str().expect("an id")).expect("a good id");
        let next = &mut next[self.which(id).expect("known")];
        if push.get("entry").is_some() {
            let seq = number(&about["seq"]);
            assert!(*next == Next::Anything || *next == Next::Seq(seq), "{push} in {:?}", self.said);
            *next = Next::Seq(seq + 1);
        } else if about.get("complete").is_some() {
            assert_eq!(*next, Next::Seq(number(&about["complete"]["headSeq"]) + 1), "{push}");
        } else if about.get("gap").is_some() {
            *next = Next::Seq(number(&about["gap"]["fromSeq"]));
        } else if about.get("reset").is_some() {
            *next = if about["reset"].get("removed").is_some() { Next::Nothing } else { Next::Anything };
        } else if about.get("added").is_some() {
            *next = Next::Seq(number(&about["added"]["headSeq"]) + 1);
        } else if about.get("removed").is_some() {
            *next = Next::Nothing;
        }
    }
}

/// What the next entry of a conversation has to be.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Seq(u64),
    /// After a reset: the client asks, and joins what it finds with what comes.
    Anything,
}

fn slot_of(which: usize) -> Slot {
    Slot::try_from(which).expect("a few")
}

fn decode(frame: &Bytes) -> Value {
    let frame: Value = serde_json::from_slice(frame).expect("frames are JSON");
    frame.get("push").cloned().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_str().map_or(0, |text| text.parse().expect("a number"))
}

fn verdict(resumed: &Value) -> String {
    if let Some(complete) = resumed.get("complete") {
        format!("complete {}", number(&complete["headSeq"]))
    } else if let Some(gap) = resumed.get("gap") {
        format!("gap {}", number(&gap["fromSeq"]))
    } else {
        "reset".to_owned()
    }
}
