//! Two instances of the presence service, and two gateways that know both.

use anyhow::Result;

use super::{Role, Server, Services, Settings, split::free_address};

/// The services apart, two of presence and of the gateway.
pub struct Presences {
    /// Whom clients talk to. Each has the instances of presence in another order.
    pub gateways: [Server; 2],
    /// Presence and typing.
    pub presences: [Server; 2],
    message: Server,
    conversation: Server,
}

impl Presences {
    /// Starts them, one after the other, and waits until all serve.
    ///
    /// # Errors
    /// If one does not come up in time.
    pub async fn start(settings: &Settings) -> Result<Self> {
        let (one, other) = (free_address()?, free_address()?);
        let services = Services { conversation: free_address()?, message: free_address()?, presence: one.clone() };
        let settings = settings.clone().apart(&services);
        let seeing = |first: &str, second: &str| {
            settings.clone().set("SERVICES__PRESENCE", &format!("http://{first},http://{second}"))
        };
        Ok(Self {
            conversation: Server::start_as(Role::Conversation, &settings, &services.conversation).await?,
            message: Server::start_as(Role::Message, &settings, &services.message).await?,
            presences: [
                Server::start_as(Role::Presence, &settings, &one).await?,
                Server::start_as(Role::Presence, &settings, &other).await?,
            ],
            gateways: [
                Server::start_as(Role::Gateway, &seeing(&one, &other), "127.0.0.1:0").await?,
                Server::start_as(Role::Gateway, &seeing(&other, &one), "127.0.0.1:0").await?,
            ],
        })
    }

    /// In the order in which they are to be stopped.
    #[must_use]
    pub fn into_servers(self) -> Vec<Server> {
        let services = [self.message, self.conversation];
        self.gateways.into_iter().chain(self.presences).chain(services).collect()
    }
}
