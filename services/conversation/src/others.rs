//! The other instances of this service, by the bus between processes: they are told that something was committed, and look
//! for it in the store.

use viberchat_kit::bus::{Bus, BusError, Listener, Publisher};
use viberchat_kit::id::Entropy;
use viberchat_kit::lifecycle::Handle;

use crate::watch::Wake;

const TOPIC: &str = "members";
/// Whoever hears of a change looks for all of them, so that there is nothing to spread.
const SHARD: u8 = 0;

/// Those who are told.
pub(crate) struct Others(Publisher);

impl Others {
    /// Speaks to them.
    pub(crate) fn new(bus: &Bus, entropy: &dyn Entropy) -> Self {
        Self(bus.publisher(TOPIC, entropy))
    }

    /// Something was committed here.
    pub(crate) fn tell(&self) {
        self.0.publish(SHARD, &[]);
    }
}

/// Hears them from now on.
pub(crate) async fn listen(bus: &Bus) -> Result<Listener, BusError> {
    bus.listen(TOPIC).await
}

/// Starts the task that listens. A hint, and one that did not come, mean the same: there may be something.
pub(crate) fn start(mut others: Listener, wake: Wake, lifecycle: &Handle) {
    let soft = lifecycle.soft();
    lifecycle.spawn("conversation.hear_others", async move {
        // Cancel safe: what is not heard any more is a hint.
        while soft.run_until_cancelled(others.next()).await.is_some() {
            wake.wake_here();
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};
    use viberchat_kit::bus::Config;
    use viberchat_kit::id::SystemEntropy;
    use viberchat_kit::lifecycle::Lifecycle;
    use viberchat_kit::telemetry::Metrics;

    use super::*;
    use crate::testing::PATIENCE;

    async fn bus(url: &str, namespace: &str, lifecycle: &Lifecycle) -> Bus {
        let config = Config { url: url.to_owned(), namespace: namespace.to_owned(), ..Config::default() };
        Bus::connect(&config, lifecycle.handle(), &Metrics::new()).await.expect("a bus")
    }

    #[tokio::test]
    async fn what_is_committed_at_one_instance_wakes_another() {
        let address = tokio::task::spawn_blocking(|| viberchat_engines::Server::Nats.address()).await;
        let Some(url) = address.expect("it is looked for") else { return };
        let namespace = viberchat_engines::namespace("members");
        let lifecycle = Lifecycle::new();
        let (near, far) = (bus(&url, &namespace, &lifecycle).await, bus(&url, &namespace, &lifecycle).await);
        let here = Wake::default();
        start(listen(&near).await.expect("a listener"), here.clone(), &lifecycle.handle());
        let there = Wake::with(Some(Others::new(&far, &SystemEntropy)));
        // Until the subscription has arrived hints are lost; who speaks for the first time is noticed anyhow.
        let known = async {
            loop {
                there.wake();
                tokio::select! {
                    () = here.wait() => return,
                    () = sleep(Duration::from_millis(20)) => {}
                }
            }
        };
        timeout(PATIENCE, known).await.expect("it is heard of in the end");
        for _ in 0..5 {
            there.wake();
            timeout(PATIENCE, here.wait()).await.expect("each commit wakes");
        }
        lifecycle.shutdown(PATIENCE).await;
    }
}
