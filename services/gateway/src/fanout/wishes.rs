//! What a long stream is asked to follow, in order.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;

/// A change of what is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish<T> {
    /// Begin.
    Add(Vec<T>),
    /// End.
    Remove(Vec<T>),
}

enum One<T> {
    Add(T),
    Remove(T),
}

/// Wishes that no stream has been told yet. There are at most as many as changes since the last look of the stream, and
/// a stream that begins anew empties the queue.
pub(crate) struct Wishes<T> {
    queue: Mutex<VecDeque<One<T>>>,
    waker: AtomicWaker,
}

impl<T> Default for Wishes<T> {
    fn default() -> Self {
        Self { queue: Mutex::default(), waker: AtomicWaker::new() }
    }
}

impl<T> Wishes<T> {
    pub(crate) fn add(&self, what: T) {
        self.queue.lock().push_back(One::Add(what));
        self.waker.wake();
    }

    pub(crate) fn remove(&self, what: T) {
        self.queue.lock().push_back(One::Remove(what));
        self.waker.wake();
    }

    /// A new stream knows nothing: it is told what `all` returns, and what comes after that.
    pub(crate) fn begin_anew(&self, all: impl FnOnce() -> Vec<T>) {
        // Emptied first: what is added meanwhile is told twice rather than never.
        self.queue.lock().clear();
        let all = all();
        self.queue.lock().extend(all.into_iter().map(One::Add));
        self.waker.wake();
    }

    /// The oldest wishes of one kind, at most `max`. For one stream at a time.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, max: usize) -> Poll<Wish<T>> {
        self.waker.register(cx.waker());
        let mut queue = self.queue.lock();
        match queue.pop_front() {
            None => {
                *queue = VecDeque::new();
                Poll::Pending
            }
            Some(One::Add(first)) => {
                let mut taken = vec![first];
                while taken.len() < max
                    && let Some(One::Add(next)) = queue.pop_front_if(|next| matches!(next, One::Add(_)))
                {
                    taken.push(next);
                }
                Poll::Ready(Wish::Add(taken))
            }
            Some(One::Remove(first)) => {
                let mut taken = vec![first];
                while taken.len() < max
                    && let Some(One::Remove(next)) = queue.pop_front_if(|next| matches!(next, One::Remove(_)))
                {
                    taken.push(next);
                }
                Poll::Ready(Wish::Remove(taken))
            }
        }
    }
}
