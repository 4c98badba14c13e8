//! Writes a history down while clients run. Cheap to clone; all clones write the same history.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::record::{
    Answer, Block, Call, Closed, Delivery, DirectCall, History, Mark, Nanos, Outage, Push, Pushed, Read, Scan, Session,
    SessionId, StatusSet, Stop,
};
use super::{report::Counters, text::texts_in};

/// Names a call within a run.
#[derive(Clone, Copy, Debug)]
pub struct CallId(usize);

/// Writes a history down.
#[derive(Clone)]
pub struct Recorder {
    start: Instant,
    history: Arc<Mutex<History>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { start: Instant::now(), history: Arc::default() }
    }
}

impl Recorder {
    /// The time on the run's clock.
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos::try_from(self.start.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// A call is about to leave. `call.begun` is set here, so that the order of calls is the order of their times.
    #[must_use]
    pub fn begin(&self, mut call: Call) -> CallId {
        let mut history = self.lock();
        call.begun = self.now();
        history.calls.push(call);
        CallId(history.calls.len() - 1)
    }

    /// The call was answered, or its connection was lost.
    pub fn end(&self, id: CallId, answer: Answer) {
        let mut history = self.lock();
        if matches!(answer, Answer::Stored { duplicate: true, .. }) {
            history.counters.duplicates += 1;
        }
        let ended = self.now();
        let call = &mut history.calls[id.0];
        call.ended = Some(ended);
        call.answer = answer;
    }

    /// The group that a call made has this id.
    pub fn name_conversation(&self, id: CallId, conversation: &str) {
        self.lock().calls[id.0].conversation = conversation.to_owned();
    }

    /// A hello is about to leave.
    #[must_use]
    pub fn open_session(&self, user: &str, resume: Option<BTreeMap<String, u64>>) -> SessionId {
        self.lock().counters.resumed += u64::from(resume.is_some());
        self.open(user, true, resume)
    }

    /// A stream by gRPC is about to be opened for a user.
    #[must_use]
    pub fn open_listener(&self, user: &str) -> SessionId {
        self.open(user, false, None)
    }

    fn open(&self, user: &str, follows_all: bool, resume: Option<BTreeMap<String, u64>>) -> SessionId {
        let mut history = self.lock();
        let opened = self.now();
        history.sessions.push(Session {
            user: user.to_owned(),
            opened,
            follows_all,
            resume,
            welcomed: None,
            resume_entries_max: 0,
            pushes: Vec::new(),
            closed: None,
        });
        history.sessions.len() - 1
    }

    /// The welcome came.
    pub fn welcome(&self, session: SessionId, resume_entries_max: u64) {
        let mut history = self.lock();
        let now = self.now();
        let session = &mut history.sessions[session];
        session.welcomed = Some(now);
        session.resume_entries_max = resume_entries_max;
    }

    /// A push came; `raw` is its frame.
    pub fn push(&self, session: SessionId, push: Push, raw: &[u8]) {
        let texts = texts_in(raw);
        let mut history = self.lock();
        let at = self.now();
        history.sessions[session].pushes.push(Pushed { at, texts, push });
    }

    /// The server, or the network, ended the session, unless the client had done so before.
    pub fn close_session(&self, session: SessionId, code: Option<u16>) {
        self.close(session, code, false);
    }

    /// The client is about to end the session, unless it has ended.
    pub fn leave_session(&self, session: SessionId) {
        self.close(session, None, true);
    }

    fn close(&self, session: SessionId, code: Option<u16>, by_client: bool) {
        let mut history = self.lock();
        let at = self.now();
        history.sessions[session].closed.get_or_insert(Closed { at, code, by_client });
    }

    /// Something was read.
    pub fn read(&self, read: Read) {
        self.lock().reads.push(read);
    }

    /// A MarkRead was answered; `mark.begun` was taken before it left.
    pub fn mark(&self, mut mark: Mark) {
        let mut history = self.lock();
        mark.ended = mark.answer.map(|_| self.now());
        history.marks.push(mark);
    }

    /// A MarkDelivered was answered; `begun` was taken before it left.
    pub fn delivery(&self, mut delivery: Delivery) {
        let mut history = self.lock();
        delivery.ended = delivery.delivered_seq.map(|_| self.now());
        history.deliveries.push(delivery);
    }

    /// A block, or its end, was answered; `begun` was taken before it left.
    pub fn block(&self, block: Block, acknowledged: bool) {
        let mut history = self.lock();
        let ended = acknowledged.then(|| self.now());
        history.blocks.push(Block { ended, ..block });
    }

    /// A SetStatus was answered; `begun` was taken before it left.
    pub fn status(&self, set: StatusSet, acknowledged: bool) {
        let mut history = self.lock();
        let ended = acknowledged.then(|| self.now());
        history.statuses.push(StatusSet { ended, ..set });
    }

    /// The store could not be written to.
    pub fn outage(&self, outage: Outage) {
        self.lock().outages.push(outage);
    }

    /// From now on what is promised in time may be late by so much.
    pub fn allow(&self, slack: Duration) {
        self.lock().slack = u64::try_from(slack.as_nanos()).unwrap_or(Nanos::MAX);
    }

    /// The conversation service was away.
    pub fn unasked(&self, outage: Outage) {
        self.lock().unasked.push(outage);
    }

    /// A get-or-create was answered.
    pub fn direct(&self, call: DirectCall) {
        self.lock().directs.push(call);
    }

    /// The server was stopped or killed; `begun` was taken before the signal.
    pub fn stop(&self, begun: Nanos, graceful: bool) {
        let mut history = self.lock();
        let ended = self.now();
        history.stops.push(Stop { begun, ended, graceful });
    }

    /// Adds what the server counted.
    pub fn count(&self, more: Counters) {
        let mut history = self.lock();
        history.counters.conditions_lost += more.conditions_lost;
        history.counters.filled += more.filled;
    }

    /// Adds the store's files.
    pub fn scan(&self, scan: Scan) {
        self.lock().scan = Some(scan);
    }

    /// How many calls were acknowledged so far.
    #[must_use]
    pub fn acks(&self) -> usize {
        self.lock().calls.iter().filter(|call| matches!(call.answer, Answer::Stored { .. })).count()
    }

    /// What was pushed to a session so far.
    #[must_use]
    pub fn pushes(&self, session: SessionId) -> Vec<Push> {
        self.lock().sessions[session].pushes.iter().map(|pushed| pushed.push.clone()).collect()
    }

    /// What was written down so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.lock().clone()
    }

    /// Keeps the history for whoever looks into a failure.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let file = std::io::BufWriter::new(std::fs::File::create(path)?);
        serde_json::to_writer(file, &*self.lock()).map_err(std::io::Error::other)
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        // A client that panicked fails the test; what it wrote down before is still true.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
