//! Reads rows again that another instance may have written.
//!
//! Every status that is set anywhere is followed by a reading here that begins after it was stored: by the hint about it, or
//! because a hint was missed. A status that is set here is followed by one too, as another instance may have set one at the
//! same moment and only the store knows which was the last. However sure everything seems, all rows are read again every
//! minute: an instance may end between the store and the hint.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use viberchat_kit::id::UserId;

use crate::app::App;
use crate::hub::Inbox;
use crate::others::Others;
use crate::presences::LOAD_MAX;
use crate::store::StoreError;

/// How often all rows are read again.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The same while the bus is away.
const AWAY_INTERVAL: Duration = Duration::from_secs(2);
/// How often it is looked whether that is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// After the store has failed.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Users whose rows are to be read again. Bounded by those who are kept.
#[derive(Default)]
pub(crate) struct Rereads {
    /// Of whom it was said. They do not wait for the others.
    said: Inbox<UserId>,
    /// Of whom something may have been said.
    missed: Inbox<UserId>,
}

impl Rereads {
    /// The user has set a status, somewhere.
    pub(crate) fn mark(&self, user: UserId) {
        self.said.mark(user);
    }

    /// Waits for users of whom it was said, and takes all there are. Cancel safe.
    pub(crate) async fn take_said(&self) -> Vec<UserId> {
        self.said.take().await.into_iter().collect()
    }

    /// These may have set one.
    pub(crate) fn mark_missed(&self, users: Vec<UserId>) {
        self.missed.mark_all(users);
    }
}

/// Reads again, one page after the other, until the service ends.
pub(crate) async fn run(app: Arc<App>, others: Arc<Others>) {
    let soft = app.lifecycle.soft();
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut swept_at, mut missed) = (Instant::now(), Vec::new());
    loop {
        // In no order, so that neither those nor these wait for ever. Cancel safe: what is taken is in hand before anything
        // else is waited for.
        let page = tokio::select! {
            () = soft.cancelled() => return,
            said = app.rereads.take_said() => said,
            _ = looks.tick() => {
                let interval = if others.are_heard() { SWEEP_INTERVAL } else { AWAY_INTERVAL };
                if missed.is_empty() && swept_at.elapsed() >= interval {
                    swept_at = Instant::now();
                    missed = app.presences.kept(|_| true);
                }
                continue;
            }
            users = app.rereads.missed.take(), if missed.is_empty() => {
                missed.extend(users);
                continue;
            }
            () = std::future::ready(()), if !missed.is_empty() => missed.split_off(missed.len().saturating_sub(LOAD_MAX)),
        };
        // Cancel safe: what was not read is not needed after the end.
        if soft.run_until_cancelled(read_all(&app, page)).await.is_none() {
            return;
        }
    }
}

/// Reads until the store answers. What is said meanwhile waits, each user once.
async fn read_all(app: &App, users: Vec<UserId>) {
    for page in users.chunks(LOAD_MAX) {
        while let Err(error) = read_again(app, page).await {
            tracing::warn!(%error, "rows could not be read again; they are tried again");
            sleep(RETRY_AFTER).await;
        }
    }
}

/// Reads the rows of at most [`LOAD_MAX`] users. Who hides types no more.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn read_again(app: &App, users: &[UserId]) -> Result<(), StoreError> {
    let hidden: HashSet<_> = app.presences.reread(users).await?.into_iter().collect();
    hidden.iter().for_each(|user| app.typings.stop_everywhere(user));
    Ok(())
}
