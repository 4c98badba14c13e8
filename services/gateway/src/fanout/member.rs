//! A session where others can reach it: the fan-out, the answers of services, the wheel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};

use crate::frames::Encoding;
use crate::session::Session;

/// A session, its lock and its socket's task.
pub(crate) struct Member {
    session: Mutex<Session>,
    encoding: Encoding,
    /// Set by whoever changes the session, cleared by the task when it looks: one wake a turn is enough.
    is_woken: AtomicBool,
    /// Set by the wheel, taken by the task.
    is_due: AtomicBool,
    waker: AtomicWaker,
}

impl Member {
    pub(crate) fn new(session: Session) -> Arc<Self> {
        Arc::new(Self {
            encoding: session.encoding(),
            session: Mutex::new(session),
            is_woken: AtomicBool::new(false),
            is_due: AtomicBool::new(true),
            waker: AtomicWaker::new(),
        })
    }

    /// Locks the session. Never held across an await, and no other lock is taken under it.
    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock()
    }

    /// How frames of the session are written.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Lets the task look at what has changed. Takes the session to say that the change is made first.
    pub(crate) fn wake(&self, _changed: &mut Session) {
        self.wake_up();
    }

    /// The wheel says that the session's time has come.
    pub(crate) fn set_due(&self) {
        self.is_due.store(true, Ordering::Release);
        self.wake_up();
    }

    /// Called by the task at the begin of its turn.
    pub(crate) fn begin_turn(&self, waker: &Waker) {
        self.waker.register(waker);
        self.is_woken.swap(false, Ordering::AcqRel);
    }

    /// Whether the session's time has come.
    pub(crate) fn take_due(&self) -> bool {
        self.is_due.swap(false, Ordering::AcqRel)
    }

    fn wake_up(&self) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}
