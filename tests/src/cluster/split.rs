//! The four services as processes of their own.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

use super::{Server, Settings};

/// What a process runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    All,
    Conversation,
    Message,
    Presence,
    Gateway,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Conversation => "conversation",
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Gateway => "gateway",
        }
    }
}

/// Where gRPC of each service is.
#[derive(Clone, Debug)]
pub struct Services {
    /// Conversations and users.
    pub conversation: String,
    /// The log.
    pub message: String,
    /// Presence and typing.
    pub presence: String,
}

impl Services {
    pub(super) fn all_at(address: &str) -> Self {
        Self { conversation: address.into(), message: address.into(), presence: address.into() }
    }
}

/// The four services, each in processes of its own, on one store.
pub struct Split {
    /// Whom clients talk to.
    pub gateway: Server,
    /// Conversations, members, users.
    pub conversation: Server,
    /// The log.
    pub message: Server,
    /// Presence and typing.
    pub presence: Server,
    /// The second ones, if there are two of each; the gateway is the last.
    pub others: Vec<Server>,
}

impl Split {
    /// Starts them, one after the other, and waits until all serve.
    ///
    /// # Errors
    /// If one does not come up in time.
    pub async fn start(settings: &Settings) -> Result<Self> {
        // Each has to know where the others will be.
        let services = Services { conversation: free_address()?, message: free_address()?, presence: free_address()? };
        let settings = settings.clone().apart(&services);
        Ok(Self {
            conversation: Server::start_as(Role::Conversation, &settings, &services.conversation).await?,
            message: Server::start_as(Role::Message, &settings, &services.message).await?,
            presence: Server::start_as(Role::Presence, &settings, &services.presence).await?,
            gateway: Server::start_as(Role::Gateway, &settings, "127.0.0.1:0").await?,
            others: Vec::new(),
        })
    }

    /// The same with two of each but presence, each gateway with a conversation and a message service that the other does
    /// not call: every conversation is written by two processes at once.
    ///
    /// # Errors
    /// If one does not come up in time.
    pub async fn start_crossed(settings: &Settings) -> Result<Self> {
        let mut split = Self::start(settings).await?;
        let first = split.gateway.services();
        let services = Services { conversation: free_address()?, message: free_address()?, presence: first.presence };
        let settings = settings.clone().apart(&services);
        split.others = vec![
            Server::start_as(Role::Conversation, &settings, &services.conversation).await?,
            Server::start_as(Role::Message, &settings, &services.message).await?,
            Server::start_as(Role::Gateway, &settings, "127.0.0.1:0").await?,
        ];
        Ok(split)
    }

    /// The same with two of each, and every process knows both of every kind.
    ///
    /// # Errors
    /// If one does not come up in time.
    pub async fn start_doubled(settings: &Settings) -> Result<Self> {
        let places = || -> Result<Services> {
            Ok(Services { conversation: free_address()?, message: free_address()?, presence: free_address()? })
        };
        let services = [places()?, places()?];
        let both = |of: fn(&Services) -> &String| format!("http://{},http://{}", of(&services[0]), of(&services[1]));
        let settings = services.each_ref().map(|services| {
            let apart = settings.clone().apart(services);
            apart
                .set("SERVICES__CONVERSATION", &both(|services| &services.conversation))
                .set("SERVICES__MESSAGE", &both(|services| &services.message))
                .set("SERVICES__PRESENCE", &both(|services| &services.presence))
        });
        let start = async |role: Role, nth: usize| {
            let address = match role {
                Role::Conversation => &services[nth].conversation,
                Role::Message => &services[nth].message,
                Role::Presence => &services[nth].presence,
                Role::Gateway | Role::All => "127.0.0.1:0",
            };
            Server::start_as(role, &settings[nth], address).await
        };
        Ok(Self {
            conversation: start(Role::Conversation, 0).await?,
            message: start(Role::Message, 0).await?,
            presence: start(Role::Presence, 0).await?,
            others: vec![
                start(Role::Conversation, 1).await?,
                start(Role::Message, 1).await?,
                start(Role::Presence, 1).await?,
                start(Role::Gateway, 1).await?,
            ],
            gateway: start(Role::Gateway, 0).await?,
        })
    }

    /// Whom clients talk to, all of them.
    #[must_use]
    pub fn gateways(&self) -> Vec<&Server> {
        [Some(&self.gateway), self.others.last()].into_iter().flatten().collect()
    }

    /// In the order in which they are to be stopped.
    #[must_use]
    pub fn into_servers(mut self) -> Vec<Server> {
        let mut servers = Vec::new();
        servers.extend(self.others.pop());
        servers.extend([self.gateway, self.presence, self.message, self.conversation]);
        servers.extend(self.others);
        servers
    }
}

/// An address that nobody listens at. Below the ports that systems give to whoever asks for any (32768 on Linux, 49152
/// elsewhere), so that no connection takes it before it is used, and given out once in this process.
pub(super) fn free_address() -> Result<String> {
    const PORTS: RangeInclusive<u16> = 20_000..=31_999;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let place = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start() + u16::try_from(place % u32::try_from(PORTS.len())?)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(format!("{}:{port}", Ipv4Addr::LOCALHOST));
        }
    }
    bail!("no free port")
}
