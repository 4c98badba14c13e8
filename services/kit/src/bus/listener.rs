use async_nats::Subscriber;
use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::arrivals::Arrivals;
use super::envelope::{self, Envelope};
use super::metrics::BusMetrics;
use super::numbers::{Numbers, ShardSet};
use super::{BEACON_INTERVAL, SILENT_AFTER};

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody said this. May be late, and may come twice.
    Hint(Bytes),
    /// In these shards something was said that did not come: the store knows.
    Missed(ShardSet),
}

/// Hears what the other instances say on a topic.
pub struct Listener {
    arrivals: Arrivals,
    numbers: Numbers,
    /// Was missed before the hint that goes first.
    missed: ShardSet,
    silence: Interval,
    metrics: BusMetrics,
}

impl Listener {
    pub(super) fn new(subscriber: Subscriber, metrics: BusMetrics) -> Self {
        let mut silence = tokio::time::interval(BEACON_INTERVAL);
        silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            arrivals: Arrivals::of(subscriber),
            numbers: Numbers::default(),
            missed: ShardSet::default(),
            silence,
            metrics,
        }
    }

    /// The next. Cancel safe. Waits for ever once the connection was closed by us.
    pub async fn next(&mut self) -> Heard {
        loop {
            if !self.missed.is_empty() {
                self.metrics.missed.inc();
                return Heard::Missed(std::mem::take(&mut self.missed));
            }
            // Cancel safe: both are.
            tokio::select! {
                message = self.arrivals.next() => match message {
                    Some(message) => {
                        if let Some(payload) = self.take(&message) {
                            return Heard::Hint(payload);
                        }
                    }
                    None => return std::future::pending().await,
                },
                _ = self.silence.tick() => {
                    let spoken = self.numbers.forget_silent(SILENT_AFTER, Instant::now().into_std());
                    self.missed.extend(spoken);
                    self.metrics.publishers.set(self.numbers.len() as i64);
                }
            }
        }
    }

    fn take(&mut self, message: &async_nats::Message) -> Option<Bytes> {
        let now = Instant::now().into_std();
        match envelope::decode(message.subject.as_str(), &message.payload)? {
            Envelope::Hint { publisher, shard, number, payload } => {
                if !self.numbers.hint(publisher, shard, number, now) {
                    self.missed.insert(shard);
                }
                self.metrics.heard.inc();
                Some(payload)
            }
            Envelope::Beacon { publisher, numbers } => {
                self.missed.extend(self.numbers.beacon(publisher, &numbers, now));
                None
            }
        }
    }
}
