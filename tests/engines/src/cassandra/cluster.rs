use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use super::{Installed, Node, PATIENCE};
use crate::supervised::{Folder, LOOK_INTERVAL, Supervised, accepts};
use crate::{say, skip};

/// Of the cluster's nodes, evenly on the ring.
const TOKENS: [i64; 3] = [i64::MIN / 3 * 2, 0, i64::MAX / 3 * 2];

/// A node's log says so of each other one that it sees come.
const SEEN: &str = "is now UP";

/// Three nodes of Cassandra on addresses of loopback, of which a test may end some and bring them back. All end with the
/// process that started them.
pub struct CassandraCluster {
    installed: Installed,
    members: Vec<Member>,
}

struct Member {
    node: Node,
    state: State,
}

enum State {
    Runs(Supervised),
    Ended(Folder),
    /// It did not start again.
    Lost,
}

impl CassandraCluster {
    /// Starts it and waits until all nodes see each other. `None`, and a line that says so, if Cassandra is not installed or
    /// the system has one address of loopback only. Blocks, for a minute on a busy machine.
    ///
    /// # Errors
    /// If a node does not start.
    ///
    /// # Panics
    /// If Cassandra is missing where engines are required.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(installed) = Installed::find() else {
            skip("no Cassandra");
            return Ok(None);
        };
        let hosts = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
        let Some(native) = free_port_of(&hosts) else {
            say("SKIPPED: three nodes of Cassandra, no address 127.0.0.2 and 127.0.0.3 here");
            return Ok(None);
        };
        let storage = free_port_of(&hosts).context("no port is free on all addresses")?;
        let mut cluster = Self { installed, members: Vec::new() };
        for (host, token) in hosts.into_iter().zip(TOKENS) {
            let node = Node { host, native, storage, token: Some(token), seeds: hosts.to_vec(), is_brief: true };
            let folder = Folder::new("cassandra", None)?;
            let mut member = Member { node, state: State::Lost };
            member.start(&cluster.installed, folder)?;
            cluster.members.push(member);
        }
        for member in &cluster.members {
            member.wait_until_it_sees(TOKENS.len() - 1)?;
        }
        say(&format!("Cassandra: three nodes, {}, at {}", cluster.installed.version, cluster.addresses().join(" ")));
        Ok(Some(cluster))
    }

    /// Host and port of each node.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.members.iter().map(|Member { node, .. }| format!("{}:{}", node.host, node.native)).collect()
    }

    /// Ends a node at once. Its data stay for [`Self::restart`].
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        let member = &mut self.members[place];
        let State::Runs(process) = std::mem::replace(&mut member.state, State::Lost) else { bail!("it does not run") };
        member.state = State::Ended(process.end()?);
        Ok(())
    }

    /// Starts a node that was ended, on its data, and waits until it sees the others that run. Blocks as [`Self::start`] does.
    ///
    /// # Errors
    /// If it does not start, or was not ended.
    pub fn restart(&mut self, place: usize) -> anyhow::Result<()> {
        let others = self.members.iter().filter(|member| matches!(member.state, State::Runs(_))).count();
        let member = &mut self.members[place];
        let State::Ended(folder) = std::mem::replace(&mut member.state, State::Lost) else { bail!("it was not ended") };
        member.start(&self.installed, folder)?;
        member.wait_until_it_sees(others)
    }
}

impl Member {
    fn start(&mut self, installed: &Installed, folder: Folder) -> anyhow::Result<()> {
        let command = self.node.command(installed, folder.path())?;
        let Node { host, native, .. } = self.node;
        self.state = State::Runs(folder.supervise(&command, "KILL", PATIENCE, || accepts(host, native))?);
        Ok(())
    }

    fn wait_until_it_sees(&self, others: usize) -> anyhow::Result<()> {
        let State::Runs(process) = &self.state else { bail!("it does not run") };
        let deadline = Instant::now() + PATIENCE;
        while process.log().matches(SEEN).count() < others {
            ensure!(Instant::now() < deadline, "{} sees too few others:\n{}", self.node.host, process.log());
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }
}

/// A port that is free on all of these addresses.
fn free_port_of(hosts: &[Ipv4Addr]) -> Option<u16> {
    const TRIES: usize = 20;
    (0..TRIES).find_map(|_| {
        let port = TcpListener::bind((*hosts.first()?, 0)).ok()?.local_addr().ok()?.port();
        hosts.iter().all(|host| TcpListener::bind((*host, port)).is_ok()).then_some(port)
    })
}
