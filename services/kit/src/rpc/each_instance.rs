use std::net::SocketAddr;

use tokio::sync::watch;

use super::Channel;

/// One of the instances behind a channel.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `None`: the only one there is.
    pub address: Option<SocketAddr>,
    /// Its calls go there or are not attempted.
    pub channel: Channel,
}

/// The instances behind a channel, as they come and go. A service in this process is one instance, and so are several of
/// which all calls go to the same one.
pub struct EachInstance {
    channel: Channel,
    /// `None`: there is only one.
    addresses: Option<watch::Receiver<Option<Vec<SocketAddr>>>>,
    /// Whether the only one was told of.
    is_told: bool,
}

impl EachInstance {
    pub(super) fn of(channel: &Channel) -> Self {
        let mut addresses = channel.0.addresses();
        // What is known already is news to who asks for the first time.
        addresses.iter_mut().for_each(watch::Receiver::mark_changed);
        Self { channel: channel.clone(), addresses, is_told: false }
    }

    /// All instances, in the order of their addresses. Waits until they are others than were returned last; for ever if that
    /// cannot be. Cancel safe.
    pub async fn changed(&mut self) -> Vec<Instance> {
        let Some(addresses) = &mut self.addresses else {
            if self.is_told {
                return std::future::pending().await;
            }
            self.is_told = true;
            return vec![Instance { address: None, channel: self.channel.clone() }];
        };
        loop {
            if addresses.changed().await.is_err() {
                return std::future::pending().await;
            }
            let Some(known) = addresses.borrow_and_update().clone() else { continue };
            let instance = |address| {
                let channel = self.channel.0.only(address)?;
                Some(Instance { address: Some(address), channel })
            };
            return known.into_iter().filter_map(instance).collect();
        }
    }
}
