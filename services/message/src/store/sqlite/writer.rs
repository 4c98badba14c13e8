use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use viberchat_kit::id::{ConversationId, UserId};

use super::append::{self, AppendError};
use super::checkpoint::{self, Erasures};
use super::position;
use crate::domain::position::Mark;
use crate::metrics::StoreMetrics;
use crate::store::{Append, Appended, PositionSet, Result, StateChange, StoreError};

/// Writes that one transaction takes at most. Bounds how long a commit takes and what a failed one concerns.
const WRITES_MAX: usize = 256;

/// The one thread that writes. Whatever has queued up while the last commit synced goes into the next one, across
/// conversations, without a timer: durable throughput is batch ÷ fsync.
pub(super) struct Writer {
    /// `None` only while being dropped.
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Write(Write),
    /// Do what is due; answer whether another handle has written.
    Maintain(oneshot::Sender<Result<bool>>),
    /// End after what came before; answered after the last checkpoint.
    Close(oneshot::Sender<Result<()>>),
}

impl Job {
    /// Nobody may be left to hear it.
    fn refuse(self) {
        match self {
            Self::Write(Write::Append(_, answer)) => drop(answer.send(Err(stopped()))),
            Self::Write(Write::SetPosition(_, answer)) => drop(answer.send(Err(stopped()))),
            Self::Maintain(answer) => drop(answer.send(Err(stopped()))),
            Self::Close(answer) => drop(answer.send(Err(stopped()))),
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer has stopped".to_owned())
}

enum Write {
    Append(Append, oneshot::Sender<Result<Appended>>),
    SetPosition(SetPosition, oneshot::Sender<Result<PositionSet>>),
}

struct SetPosition {
    conversation_id: ConversationId,
    user: UserId,
    mark: Mark,
}

impl Writer {
    pub(super) fn start(connection: Connection, queue: usize, metrics: StoreMetrics) -> std::io::Result<Self> {
        let (sender, jobs) = mpsc::channel(queue);
        let worker = Worker {
            connection,
            jobs,
            erasures: Erasures::default(),
            data_version: None,
            metrics,
            waiting: Vec::new(),
            closing: None,
        };
        let thread = std::thread::Builder::new().name("message-writer".to_owned()).spawn(move || worker.run())?;
        Ok(Self { queue: Some(sender), thread: Some(thread) })
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended> {
        self.ask(|answer| Job::Write(Write::Append(append, answer))).await
    }

    pub(super) async fn set_position(
        &self,
        conversation_id: ConversationId,
        user: UserId,
        mark: Mark,
    ) -> Result<PositionSet> {
        let asked = SetPosition { conversation_id, user, mark };
        self.ask(|answer| Job::Write(Write::SetPosition(asked, answer))).await
    }

    pub(super) async fn maintain(&self) -> Result<bool> {
        self.ask(Job::Maintain).await
    }

    pub(super) async fn close(&self) -> Result<()> {
        self.ask(Job::Close).await
    }

    /// A full queue holds the caller back.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(job(sender)).await.map_err(|_| stopped())?;
        // The writer answers every job that it took. If it died with one, nobody knows.
        answer.await.unwrap_or_else(|_| Err(StoreError::OutcomeUnknown("the writer died".to_owned())))
    }
}

impl Drop for Writer {
    /// Waits for what is queued, and for the last checkpoint.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer's thread panicked");
        }
    }
}

struct Worker {
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    erasures: Erasures,
    /// As `PRAGMA data_version` last said: it changes when another connection commits.
    data_version: Option<i64>,
    metrics: StoreMetrics,
    /// Reused for every transaction.
    waiting: Vec<Write>,
    /// Asked to end.
    closing: Option<oneshot::Sender<Result<()>>>,
}

impl Worker {
    fn run(mut self) {
        while self.closing.is_none()
            && let Some(job) = self.jobs.blocking_recv()
        {
            let mut maintain = Vec::new();
            self.take(job, &mut maintain);
            while self.waiting.len() < WRITES_MAX
                && self.closing.is_none()
                && let Ok(job) = self.jobs.try_recv()
            {
                self.take(job, &mut maintain);
            }
            let mut writes = std::mem::take(&mut self.waiting);
            if !writes.is_empty() {
                self.commit(&mut writes);
            }
            self.waiting = writes;
            for answer in maintain {
                // Nobody may be left to hear it.
                let _ = answer.send(self.maintain());
            }
        }
        // What comes now is refused, also what has come since.
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            job.refuse();
        }
        if let Err(error) = checkpoint::truncate(&self.connection) {
            tracing::warn!(%error, "the last checkpoint failed");
        }
        if let Some(answer) = self.closing {
            // Nobody may be left to hear it.
            let _ = answer.send(Ok(()));
        }
    }

    fn take(&mut self, job: Job, maintain: &mut Vec<oneshot::Sender<Result<bool>>>) {
        match job {
            Job::Write(write) => self.waiting.push(write),
            Job::Maintain(answer) => maintain.push(answer),
            Job::Close(answer) => self.closing = Some(answer),
        }
    }

    /// Commits all writes in one transaction; if one of them cannot be done, each in its own.
    fn commit(&mut self, writes: &mut Vec<Write>) {
        let begun = Instant::now();
        match self.transact(writes) {
            Ok(answers) => {
                self.metrics.commit(writes.len(), begun.elapsed());
                for (write, answer) in writes.drain(..).zip(answers) {
                    write.answer(answer);
                }
            }
            // A write that cannot be done must not take the others with it. A failed commit is nobody's own, and is not
            // repeated: it may have happened.
            Err(error) if writes.len() > 1 && !error.in_commit => {
                for write in writes.drain(..) {
                    self.commit(&mut vec![write]);
                }
            }
            Err(error) => {
                for write in writes.drain(..) {
                    write.fail(&error);
                }
            }
        }
    }

    fn transact(&mut self, writes: &[Write]) -> std::result::Result<Vec<Answer>, TransactError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| TransactError::before_commit(&error))?;
        let mut answers = Vec::with_capacity(writes.len());
        let (mut written, mut erased) = (false, false);
        for write in writes {
            let answer = write.run(&transaction)?;
            written |= answer.has_written();
            erased |= answer.has_written() && write.erases();
            answers.push(answer);
        }
        if !written {
            // Nothing to sync: conditions failed, positions stood where they should.
            return match transaction.rollback() {
                Ok(()) => Ok(answers),
                Err(error) => Err(TransactError::before_commit(&error)),
            };
        }
        transaction.commit().map_err(|error| TransactError::in_commit(&error))?;
        if erased {
            self.erasures.note(Instant::now());
        }
        Ok(answers)
    }

    fn maintain(&mut self) -> Result<bool> {
        self.erasures.settle(&self.connection, Instant::now(), self.jobs.is_empty());
        let version = self
            .connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let before = self.data_version.replace(version);
        // The first answer is about everything that was there before.
        Ok(before != Some(version))
    }
}

/// What a write gave, if its transaction commits.
enum Answer {
    Appended(Appended),
    Position(PositionSet),
}

impl Answer {
    fn has_written(&self) -> bool {
        match self {
            Self::Appended(appended) => *appended == Appended::Stored,
            Self::Position(set) => matches!(set, PositionSet::Set { moved: true, .. }),
        }
    }
}

impl Write {
    fn run(&self, connection: &Connection) -> std::result::Result<Answer, TransactError> {
        match self {
            Self::Append(append, _) => append::run(connection, append).map(Answer::Appended).map_err(Into::into),
            Self::SetPosition(SetPosition { conversation_id, user, mark }, _) => {
                position::set(connection, *conversation_id, user, *mark)
                    .map(Answer::Position)
                    .map_err(|error| TransactError::before_commit(&error))
            }
        }
    }

    fn erases(&self) -> bool {
        match self {
            Self::Append(append, _) => append.changes.iter().any(|change| matches!(change, StateChange::Delete { .. })),
            Self::SetPosition(..) => false,
        }
    }

    /// Whoever asked may have gone.
    fn answer(self, answer: Answer) {
        match (self, answer) {
            (Self::Append(_, waiter), Answer::Appended(appended)) => drop(waiter.send(Ok(appended))),
            (Self::SetPosition(_, waiter), Answer::Position(set)) => drop(waiter.send(Ok(set))),
            (Self::Append(..), Answer::Position(_)) | (Self::SetPosition(..), Answer::Appended(_)) => {
                unreachable!("answers are given in the order of the writes")
            }
        }
    }

    fn fail(self, error: &TransactError) {
        match (self, &error.cause) {
            (Self::Append(_, waiter), Cause::IdTaken) => drop(waiter.send(Ok(Appended::IdTaken))),
            (Self::Append(_, waiter), Cause::Store(_)) => drop(waiter.send(Err(error.to_store_error()))),
            (Self::SetPosition(_, waiter), _) => drop(waiter.send(Err(error.to_store_error()))),
        }
    }
}

/// Why a transaction did not end well.
#[derive(Debug)]
struct TransactError {
    cause: Cause,
    /// It was the commit that failed, not one of the writes.
    in_commit: bool,
}

#[derive(Debug)]
enum Cause {
    IdTaken,
    Store(StoreError),
}

impl TransactError {
    /// Before the commit nothing is written: the transaction is rolled back, by SQLite itself if need be.
    fn before_commit(error: &rusqlite::Error) -> Self {
        let cause = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        };
        Self { cause: Cause::Store(cause), in_commit: false }
    }

    /// A commit that failed may have reached the file, and be found there after a crash.
    fn in_commit(error: &rusqlite::Error) -> Self {
        let cause = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => StoreError::Unavailable(error.to_string()),
            _ => StoreError::OutcomeUnknown(error.to_string()),
        };
        Self { cause: Cause::Store(cause), in_commit: true }
    }

    fn to_store_error(&self) -> StoreError {
        match &self.cause {
            Cause::IdTaken => StoreError::Unavailable("an id is taken".to_owned()),
            Cause::Store(error) => error.clone(),
        }
    }
}

impl From<AppendError> for TransactError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::IdTaken => Self { cause: Cause::IdTaken, in_commit: false },
            AppendError::Sqlite(error) => Self::before_commit(&error),
        }
    }
}
