//! Several instances of the message service on one log.

use anyhow::Result;

use super::{
    Server, Services, Settings,
    split::{Role, free_address},
};

/// A conversation service and message services that know of each other by the store and the bus only. There is no gateway:
/// clients call the gRPC of whichever they choose.
pub struct Peers {
    /// Conversations, members, users.
    pub conversation: Server,
    /// The log, any of them.
    pub messages: Vec<Server>,
}

impl Peers {
    /// Starts them, one after the other, and waits until all serve.
    ///
    /// # Errors
    /// If one does not come up in time.
    pub async fn start(settings: &Settings, messages: usize) -> Result<Self> {
        let conversation = free_address()?;
        let mut all = Vec::new();
        for _ in 0..messages {
            // Nobody calls presence: nothing is there.
            let (message, presence) = (free_address()?, free_address()?);
            all.push(Services { conversation: conversation.clone(), message, presence });
        }
        let of_first = settings.clone().apart(&all[0]);
        let mut peers = Self {
            conversation: Server::start_as(Role::Conversation, &of_first, &conversation).await?,
            messages: Vec::new(),
        };
        for services in &all {
            let settings = settings.clone().apart(services);
            peers.messages.push(Server::start_as(Role::Message, &settings, &services.message).await?);
        }
        Ok(peers)
    }
}
