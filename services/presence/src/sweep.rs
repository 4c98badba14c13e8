//! Ends what is over by time: sessions of lost gateways, typing that was not repeated, the time after the start in which
//! nobody is offline.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;

/// Part of the 10 s in which a crash has to show.
const INTERVAL: Duration = Duration::from_millis(100);

pub(crate) fn start(app: &Arc<App>) {
    let (swept, soft) = (Arc::clone(app), app.lifecycle.soft());
    let settled_at = Instant::now() + Duration::from_millis(app.config.start_grace_ms);
    app.lifecycle.spawn("presence.sweep", async move {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                _ = ticks.tick() => {}
            }
            swept.presences.expire();
            swept.typings.expire();
            if Instant::now() >= settled_at {
                swept.presences.settle();
            }
        }
    });
}
