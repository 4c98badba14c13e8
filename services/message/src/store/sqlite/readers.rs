//! Threads that read, one connection each.
//!
//! A thread takes whatever waits for it and answers all of it from one snapshot, which begins after the last of it was
//! asked: so whoever asks after an ack sees it, and many who ask at once cost one snapshot and one hand-over. All pages of
//! a conversation are read by the same thread, which keeps the last ones: see [`super::pages`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};
use viberchat_kit::id::ConversationId;

use super::pages::Pages;
use super::{OpenError, connection};
use crate::metrics::StoreMetrics;
use crate::store::{Result, StoreError};

/// How long a read takes at most, its wait included.
const READ_MAX: Duration = Duration::from_secs(5);

/// Questions that may wait for one thread; whoever comes then waits for a place.
const QUEUE: usize = 1024;

/// Questions that are answered from one snapshot at most: checkpoints wait for it.
const SNAPSHOT_QUESTIONS_MAX: usize = 64;

/// What a question may use.
pub(super) struct Reading<'a> {
    /// In a transaction.
    pub(super) connection: &'a Connection,
    /// Of this thread.
    pub(super) pages: &'a mut Pages,
}

/// A question with its waiter. Given no snapshot, it says so.
type Question = Box<dyn FnOnce(std::result::Result<&mut Reading<'_>, &StoreError>) -> Asked + Send>;

/// How a question left its snapshot.
enum Asked {
    Answered,
    /// The connection is not to be used again.
    Failed,
}

/// The threads.
pub(super) struct Readers {
    threads: Vec<Thread>,
}

struct Thread {
    /// `None` only while being dropped.
    queue: Option<mpsc::Sender<Question>>,
    /// Asked and not answered.
    waiting: Arc<AtomicUsize>,
    handle: Option<JoinHandle<()>>,
}

impl Readers {
    /// Starts so many threads.
    pub(super) fn open(path: &Path, threads: usize, metrics: &StoreMetrics) -> std::result::Result<Self, OpenError> {
        let failed = |source| OpenError::Sqlite { path: path.display().to_string(), source };
        let open = |_| {
            let connection = connection::open_reader(path).map_err(failed)?;
            Ok(Thread::start(connection, path, Pages::new(metrics.clone()))?)
        };
        Ok(Self { threads: (0..threads).map(open).collect::<std::result::Result<_, OpenError>>()? })
    }

    /// Asks one or several questions of one snapshot. Cancel safe.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let least_busy = self.threads.iter().min_by_key(|thread| thread.waiting.load(Ordering::Relaxed));
        let thread = least_busy.expect("there is a reader, the configuration says");
        thread.ask(|reading| question(reading.connection)).await
    }

    /// The same, of the thread that knows pages of this conversation.
    pub(super) async fn read_page<T: Send + 'static>(
        &self,
        conversation_id: ConversationId,
        question: impl FnOnce(&mut Reading<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        // Ids are random.
        let place = conversation_id.as_bytes().iter().fold(0_usize, |sum, byte| sum * 31 % 0xffff + usize::from(*byte));
        self.threads[place % self.threads.len()].ask(question).await
    }
}

impl Thread {
    fn start(connection: Connection, path: &Path, pages: Pages) -> std::io::Result<Self> {
        let (sender, questions) = mpsc::channel(QUEUE);
        let worker = Worker { questions, connection: Some(connection), path: path.to_owned(), pages };
        let handle = std::thread::Builder::new().name("message-reader".to_owned()).spawn(move || worker.run())?;
        Ok(Self { queue: Some(sender), waiting: Arc::default(), handle: Some(handle) })
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reading<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        let waits = Waiting::new(&self.waiting);
        let asked: Question = Box::new(move |reading| {
            let _waits = waits;
            if sender.is_closed() {
                return Asked::Answered;
            }
            let answer = match reading {
                Ok(reading) => question(reading).map_err(|error| classify(&error)),
                Err(error) => Err(error.clone()),
            };
            let asked = if answer.is_ok() { Asked::Answered } else { Asked::Failed };
            // Nobody may be left to hear it.
            let _ = sender.send(answer);
            asked
        });
        let stopped = || StoreError::Unavailable("the readers have stopped".to_owned());
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        let answered = async {
            queue.send(asked).await.map_err(|_| stopped())?;
            answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a reader died".to_owned())))
        };
        let busy = |_| Err(StoreError::Unavailable("all readers are busy".to_owned()));
        tokio::time::timeout(READ_MAX, answered).await.unwrap_or_else(busy)
    }
}

impl Drop for Readers {
    /// Waits for what is being read.
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.queue = None;
        }
        for thread in &mut self.threads {
            if thread.handle.take().is_some_and(|handle| handle.join().is_err()) {
                tracing::error!("a reader's thread panicked");
            }
        }
    }
}

/// One more waits, until this is gone.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn new(waiting: &Arc<AtomicUsize>) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Worker {
    questions: mpsc::Receiver<Question>,
    /// `None`: the last one failed.
    connection: Option<Connection>,
    path: PathBuf,
    pages: Pages,
}

impl Worker {
    fn run(mut self) {
        let mut asked = Vec::new();
        while self.questions.blocking_recv_many(&mut asked, SNAPSHOT_QUESTIONS_MAX) > 0 {
            let mut left = asked.drain(..);
            while left.len() > 0 {
                if let Err(error) = self.answer(&mut left) {
                    let error = classify(&error);
                    for question in left.by_ref() {
                        question(Err(&error));
                    }
                }
            }
        }
    }

    /// Answers all that is left from one snapshot, up to a question that fails. It does not begin before all were asked.
    fn answer(&mut self, left: &mut impl Iterator<Item = Question>) -> rusqlite::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection::open_reader(&self.path)?,
        };
        let transaction = connection.transaction()?;
        for question in left {
            let mut reading = Reading { connection: &transaction, pages: &mut self.pages };
            // A question that panics takes neither the thread nor the others with it.
            match catch_unwind(AssertUnwindSafe(|| question(Ok(&mut reading)))) {
                Ok(Asked::Answered) => {}
                Ok(Asked::Failed) => return Ok(()),
                Err(_) => {
                    tracing::error!("a read panicked");
                    self.pages.clear();
                    return Ok(());
                }
            }
        }
        transaction.commit()?;
        self.connection = Some(connection);
        Ok(())
    }
}

fn classify(error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
            StoreError::Corrupt(error.to_string())
        }
        _ => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        },
    }
}
