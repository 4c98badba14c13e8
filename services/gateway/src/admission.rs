//! How many sockets may be on their way to a session. After a restart all clients come back at once: so many hellos are
//! served at a time, the others wait for their turn, and who comes when too many wait is told to come later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use viberchat_kit::error::{Error, Reason};

use crate::config::Config;

/// What a socket that is refused is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Admission {
    /// One permit a socket that has no session yet.
    places: Arc<Semaphore>,
    /// One permit a hello that is served.
    turns: Arc<Semaphore>,
}

impl Admission {
    pub(crate) fn new(config: &Config) -> Self {
        let turns = config.handshakes_max as usize;
        let places = turns.saturating_add(config.handshakes_waiting_max as usize).min(Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), turns: Arc::new(Semaphore::new(turns)) }
    }

    /// A place for a socket, to be kept until its session is settled.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`, with the time to wait.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let error = Error::new(Reason::StoreUnavailable, "too many sockets are being opened");
            error.with_retry_after(RETRY_AFTER)
        })
    }

    /// A turn, if one is free.
    pub(crate) fn try_turn(&self) -> Option<OwnedSemaphorePermit> {
        self.turns.clone().try_acquire_owned().ok()
    }

    /// Waits for a turn; first come, first served.
    pub(crate) async fn turn(turns: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        turns.acquire_owned().await.ok()
    }

    /// What [`Admission::turn`] waits for.
    pub(crate) fn turns(&self) -> Arc<Semaphore> {
        self.turns.clone()
    }
}
