use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{BEACON_INTERVAL, Bus, PublisherId, QUEUE_MAX, SHARDS, envelope};

/// Speaks on a topic. Clones are the same publisher.
#[derive(Clone)]
pub struct Publisher {
    id: PublisherId,
    pub(super) numbered: Arc<Mutex<Numbered>>,
}

/// Numbers are given and queued in one step, so that they leave in their order.
pub(super) struct Numbered {
    /// Written by whoever publishes; read by the task, for its beacons.
    pub(super) last: Box<[u64; SHARDS]>,
    queue: mpsc::Sender<(u8, Bytes)>,
}

impl Publisher {
    /// Says it to all other instances, perhaps. Never waits: what finds no room is dropped, and listeners notice.
    pub fn publish(&self, shard: u8, payload: &[u8]) {
        let mut numbered = self.numbered.lock();
        let last = &mut numbered.last[usize::from(shard)];
        *last += 1;
        let hint = envelope::hint(self.id, *last, payload);
        drop(numbered.queue.try_send((shard, hint)));
    }
}

/// Starts the task that sends. It ends with the process's tasks, or with the last clone.
pub(super) fn spawn(bus: Bus, topic: &'static str, id: PublisherId) -> Publisher {
    let (queue, hints) = mpsc::channel(QUEUE_MAX);
    let numbered = Arc::new(Mutex::new(Numbered { last: Box::new([0; SHARDS]), queue }));
    let lifecycle = bus.lifecycle.clone();
    let sender = Sender { bus, topic, id, numbered: Arc::downgrade(&numbered) };
    lifecycle.spawn("bus.publisher", sender.run(hints));
    Publisher { id, numbered }
}

struct Sender {
    bus: Bus,
    topic: &'static str,
    id: PublisherId,
    numbered: std::sync::Weak<Mutex<Numbered>>,
}

impl Sender {
    async fn run(self, mut hints: mpsc::Receiver<(u8, Bytes)>) {
        let soft = self.bus.lifecycle.soft();
        let mut beacons = tokio::time::interval(BEACON_INTERVAL);
        beacons.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel safe: a hint that is taken is sent below; a tick comes again.
            tokio::select! {
                biased;
                () = soft.cancelled() => return,
                _ = beacons.tick() => {
                    let Some(numbered) = self.numbered.upgrade() else { return };
                    // What is queued has its number, too: it goes first.
                    while let Ok(hint) = hints.try_recv() {
                        self.send(hint).await;
                    }
                    let beacon = envelope::beacon(self.id, &numbered.lock().last);
                    self.send_to(envelope::BEACON, beacon).await;
                }
                hint = hints.recv() => match hint {
                    Some(hint) => self.send(hint).await,
                    None => return,
                },
            }
        }
    }

    async fn send(&self, (shard, hint): (u8, Bytes)) {
        self.send_to(shard, hint).await;
        self.bus.metrics.published.inc();
    }

    async fn send_to(&self, end: impl std::fmt::Display, bytes: Bytes) {
        // Waits while the client cannot send; the queue fills meanwhile, and then hints are dropped.
        if let Err(error) = self.bus.client.publish(self.bus.subject(self.topic, end), bytes).await {
            tracing::debug!(%error, "a hint was not published");
        }
    }
}
