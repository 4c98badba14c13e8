//! Notices what other processes wrote to the same store, and what a lost hint left out.
//!
//! Another process on the same store, without a bus between the two, is seen by the store only: when it says that somebody
//! else wrote, the heads of all followed conversations are read and told to those who follow. Where others are heard on
//! the bus, that is done less often: for those whom the bus does not reach.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use viberchat_kit::id::ConversationId;

use crate::app::App;
use crate::store::Result;

/// Conversations whose heads are read at once.
const HEADS_AT_ONCE: usize = 200;
/// However sure everything seems, every conversation is looked at this often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The same where others wrote, and are heard on the bus.
const HEARD_INTERVAL: Duration = Duration::from_secs(5);

/// Looks again and again, until the process ends.
pub(crate) async fn run(app: Arc<App>) {
    let soft = app.lifecycle.soft();
    let mut ticks = tokio::time::interval(Duration::from_millis(app.config.foreign_writes_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Last { looked: Instant::now(), is_written: false };
    loop {
        // Cancel safe: a tick that is not waited for comes again.
        tokio::select! {
            () = soft.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = look(&app, &mut last).await {
            tracing::warn!(%error, "heads could not be audited");
        }
    }
}

struct Last {
    looked: Instant,
    /// Others have written since.
    is_written: bool,
}

async fn look(app: &App, last: &mut Last) -> Result<()> {
    last.is_written |= app.store.written_elsewhere().await?;
    let pause = if app.bus.hears_others() { HEARD_INTERVAL } else { Duration::ZERO };
    let since = last.looked.elapsed();
    let is_due = since >= SWEEP_INTERVAL || (last.is_written && since >= pause);
    if !is_due || !app.bus.is_followed() {
        return Ok(());
    }
    let looked = Instant::now();
    read_heads(app, &app.bus.followed()).await?;
    *last = Last { looked, is_written: false };
    Ok(())
}

/// Reads the heads of these conversations and tells those who follow.
pub(crate) async fn read_heads(app: &App, conversations: &[ConversationId]) -> Result<()> {
    for chunk in conversations.chunks(HEADS_AT_ONCE) {
        let heads = app.store.heads(chunk.to_vec()).await?;
        for (conversation_id, head) in chunk.iter().zip(heads) {
            app.bus.publish_head(*conversation_id, head.seq);
        }
    }
    Ok(())
}
