//! The split shape: each service in a process of its own, on engines that are there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use scylla::client::session_builder::SessionBuilder;
use viberchat_kit::id::{Entropy as _, SystemEntropy};

use crate::role::Role;

/// Below the ports that systems give to whoever asks for any (32768 on Linux, 49152 elsewhere), so that no connection takes
/// one before it is used.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Real engines, in namespaces of their own, which stay there.
#[derive(Clone, Debug)]
pub(crate) struct Engines {
    pub(crate) postgres: String,
    /// Host and port of one node.
    pub(crate) cassandra: String,
    pub(crate) nats: String,
    /// What namespaces begin with.
    prefix: String,
}

impl Engines {
    pub(crate) fn new(postgres: String, cassandra: String, nats: String) -> Self {
        let mut bytes = [0; 4];
        SystemEntropy.fill(&mut bytes);
        Self { postgres, cassandra, nats, prefix: format!("bench_{:08x}", u32::from_be_bytes(bytes)) }
    }

    /// Of one workload.
    pub(crate) fn namespace(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    /// What decides what an ack on Cassandra is worth.
    pub(super) async fn commitlog_sync(&self) -> anyhow::Result<String> {
        let session = SessionBuilder::new().known_node(&self.cassandra).build().await?;
        let statement = "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'";
        let answer = session.query_unpaged(statement, ()).await?.into_rows_result()?;
        let setting = answer.maybe_first_row::<(Option<String>,)>()?.and_then(|(value,)| value);
        Ok(setting.unwrap_or_else(|| "not known".to_owned()))
    }

    /// As configuration. One node has one copy.
    pub(super) fn settings(&self, name: &str) -> String {
        let Self { postgres, cassandra, nats, .. } = self;
        let namespace = self.namespace(name);
        let sql = |service: &str| {
            format!(
                "[{service}]\nstore = \"postgres\"\n[{service}.postgres]\nurl = {postgres:?}\nnamespace = {namespace:?}\n\
                 migrate_on_start = true\n"
            )
        };
        format!(
            "{}{}[message]\nstore = \"cassandra\"\n[message.cassandra]\ncontact_points = [{cassandra:?}]\n\
             namespace = {namespace:?}\nreplication_factor = 1\nmigrate_on_start = true\nconnect_timeout_ms = 30000\n\
             [bus]\nurl = {nats:?}\nnamespace = {namespace:?}\n",
            sql("conversation"),
            sql("presence"),
        )
    }
}

/// Where each service is.
pub(super) struct Split {
    conversation: SocketAddr,
    message: SocketAddr,
    presence: SocketAddr,
}

impl Split {
    /// Each has to know where the others will be.
    pub(super) fn plan() -> anyhow::Result<Self> {
        let mut free = free_addresses();
        let mut next = || free.next().ok_or_else(|| anyhow::anyhow!("no port is free"));
        Ok(Self { conversation: next()?, message: next()?, presence: next()? })
    }

    pub(super) fn address(&self, role: Role) -> Option<SocketAddr> {
        match role {
            Role::Conversation => Some(self.conversation),
            Role::Message => Some(self.message),
            Role::Presence => Some(self.presence),
            Role::Gateway | Role::All => None,
        }
    }

    /// In the order in which they start.
    pub(super) fn processes(&self) -> impl Iterator<Item = (Role, Option<SocketAddr>)> {
        let roles = [Role::Conversation, Role::Message, Role::Presence, Role::Gateway];
        roles.into_iter().map(|role| (role, self.address(role)))
    }

    pub(super) fn settings(&self) -> String {
        let Self { conversation, message, presence } = self;
        format!(
            "[services]\nconversation = \"http://{conversation}\"\nmessage = \"http://{message}\"\npresence = \"http://{presence}\"\n"
        )
    }
}

fn free_addresses() -> impl Iterator<Item = SocketAddr> {
    let mut bytes = [0; 2];
    SystemEntropy.fill(&mut bytes);
    let start = usize::from(u16::from_be_bytes(bytes)) % PORTS.len();
    let ports = PORTS.cycle().skip(start).take(PORTS.len());
    ports
        .map(|port| (Ipv4Addr::LOCALHOST, port).into())
        .filter(|address: &SocketAddr| TcpListener::bind(address).is_ok())
}
