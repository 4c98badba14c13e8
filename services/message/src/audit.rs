//! Notices what other processes wrote to the same store, and what a lost hint left out.
//!
//! Another process on the same file, without a bus between the two, is seen by the store only: when it says that somebody
//! else wrote, the heads of all followed conversations are read and told to those who follow.

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

/// Looks again and again, until the process ends.
pub(crate) async fn run(app: Arc<App>) {
    let soft = app.lifecycle.soft();
    let mut ticks = tokio::time::interval(Duration::from_millis(app.config.foreign_writes_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = Instant::now();
    loop {
        // Cancel safe: a tick that is not waited for comes again.
        tokio::select! {
            () = soft.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let sweep = swept.elapsed() >= SWEEP_INTERVAL;
        match look(&app, sweep).await {
            Ok(()) if sweep => swept = Instant::now(),
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "heads could not be audited"),
        }
    }
}

async fn look(app: &App, sweep: bool) -> Result<()> {
    let written = app.store.written_elsewhere().await?;
    if !(written || sweep) || !app.bus.is_followed() {
        return Ok(());
    }
    read_heads(app, &app.bus.followed()).await
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
