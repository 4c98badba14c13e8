//! Who asks: what is wanted while a few questions are under way goes together into the next one, without a timer. Many
//! readers whose answers are old cost one question then, and not one each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use viberchat_kit::error::Result;

use super::{Authorizer, Key, Known, PAIRS_MAX, QUESTION_TIMEOUT};
use crate::error;

/// Questions under way at once, so that a slow one does not hold all others up.
const QUESTIONS_MAX: usize = 4;

/// An answer that many may wait for.
pub(super) type Answering = Shared<BoxFuture<'static, Result<Known>>>;

type Waiter = oneshot::Sender<Result<Known>>;

/// What is asked, and who is to ask it.
#[derive(Default)]
pub(super) struct Asking(Mutex<State>);

#[derive(Default)]
struct State {
    /// Asked, or waiting for their turn. At most one for each caller.
    answering: HashMap<Key, Answering>,
    waiting: VecDeque<(Key, Waiter)>,
    tasks: usize,
}

impl Authorizer {
    /// Joins the question about the key that is waiting or under way, or asks one. It runs in a task of its own: whoever
    /// waits may go.
    pub(super) fn ask(self: &Arc<Self>, key: &Key) -> Answering {
        let mut state = self.asking.0.lock();
        if let Some(answering) = state.answering.get(key) {
            return answering.clone();
        }
        let (waiter, answer) = oneshot::channel();
        let answer = answer.map(|answered| answered.unwrap_or_else(|_| Err(error::membership_unavailable())));
        let answer = answer.boxed().shared();
        state.answering.insert(key.clone(), answer.clone());
        state.waiting.push_back((key.clone(), waiter));
        let has_room = state.tasks < QUESTIONS_MAX;
        state.tasks += usize::from(has_room);
        drop(state);
        if has_room {
            let turn = Turn(Some(self.clone()));
            self.lifecycle.spawn("message-authorize", turn.run());
        }
        answer
    }
}

/// A task's right to ask. However the task ends, nobody waits in vain.
struct Turn(Option<Arc<Authorizer>>);

impl Turn {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            batch.ask().await;
        }
    }

    /// What waits now; without it, the task's turn is over.
    fn next(&mut self) -> Option<Batch> {
        let authorizer = self.0.as_ref()?;
        let mut state = authorizer.asking.0.lock();
        if state.waiting.is_empty() {
            state.tasks -= 1;
            drop(state);
            self.0 = None;
            return None;
        }
        let count = state.waiting.len().min(PAIRS_MAX);
        let asked = state.waiting.drain(..count).collect();
        drop(state);
        Some(Batch { authorizer: authorizer.clone(), asked })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(authorizer) = self.0.take() else { return };
        let mut state = authorizer.asking.0.lock();
        state.tasks -= 1;
        if state.tasks > 0 {
            return;
        }
        // The process stops. Those who wait are told by their dropped waiters.
        let waiting = std::mem::take(&mut state.waiting);
        for (key, _) in &waiting {
            state.answering.remove(key);
        }
        drop(state);
    }
}

/// Keys of one question.
struct Batch {
    authorizer: Arc<Authorizer>,
    asked: Vec<(Key, Waiter)>,
}

impl Batch {
    async fn ask(mut self) {
        let keys: Vec<&Key> = self.asked.iter().map(|(key, _)| key).collect();
        let until = Instant::now() + QUESTION_TIMEOUT;
        let known = self.authorizer.question(&keys, until).await;
        // What is known is remembered by now: whoever does not find the question any more finds that.
        let asked = std::mem::take(&mut self.asked);
        self.authorizer.asking.end(&asked);
        for (index, (_, waiter)) in asked.into_iter().enumerate() {
            // Nobody may be left to hear it.
            let _ = waiter.send(known.as_ref().map(|known| known[index].clone()).map_err(Clone::clone));
        }
    }
}

impl Drop for Batch {
    /// Also when the task is cut off.
    fn drop(&mut self) {
        self.authorizer.asking.end(&self.asked);
    }
}

impl Asking {
    fn end(&self, asked: &[(Key, Waiter)]) {
        let mut state = self.0.lock();
        for (key, _) in asked {
            state.answering.remove(key);
        }
    }
}
