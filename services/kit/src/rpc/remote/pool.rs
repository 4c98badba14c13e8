//! Keeps the connections to the instances of a service: looks their addresses up, connects, and connects again.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, connect};
use super::table::{CONNECTIONS, Pick, Slot, Table, Wanted};
use crate::id::Entropy as _;
use crate::id::SystemEntropy;
use crate::lifecycle::Handle;
use crate::rpc::target::{HostPort, Target};

/// How often names are looked up.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(5);
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts to connect: doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A connection that ends sooner did not work.
const WORKED_MIN: Duration = Duration::from_secs(1);
/// After this time, half of it at least, new calls take a new connection: behind one address there may be instances that
/// were not there before.
const AGE_MAX: Duration = Duration::from_secs(600);
/// How long a call waits for a first connection.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The instances of a service.
pub(super) struct Pool {
    pub(super) table: Mutex<Table<Connection>>,
    /// Told when the table changes; calls wait for it.
    changed: watch::Sender<()>,
    /// Where the instances are, as they were looked up last. `None`: not yet.
    pub(super) addresses: watch::Sender<Option<Vec<SocketAddr>>>,
    tasks: Handle,
}

impl Pool {
    /// Begins to connect. Everything ends with `end`.
    pub(super) fn start(target: &Target, tasks: &Handle, end: CancellationToken) -> Arc<Self> {
        let pool = Arc::new(Self {
            table: Mutex::default(),
            changed: watch::Sender::default(),
            addresses: watch::Sender::default(),
            tasks: tasks.clone(),
        });
        tasks.spawn("rpc.instances", follow(pool.clone(), target.clone(), end));
        pool
    }

    /// The instance for a call. `None`: none can be reached.
    pub(super) async fn pick(&self, wanted: Wanted, tried: &[SocketAddr]) -> Option<(SocketAddr, Connection)> {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                let picked = self.table.lock().pick(wanted, tried, Instant::now());
                match picked {
                    Pick::To(address, connection) => return Some((address, connection)),
                    Pick::Nobody => return None,
                    // A connection that has closed is noticed by its task at once.
                    Pick::Wait => changed.changed().await.ok()?,
                }
            }
        };
        timeout(WAIT_MAX, waiting).await.ok().flatten()
    }

    /// After the table: whoever hears of an instance can call it.
    fn tell(&self, addresses: Vec<SocketAddr>) {
        let addresses = Some(addresses);
        self.addresses.send_if_modified(|known| {
            let is_new = *known != addresses;
            *known = addresses;
            is_new
        });
    }

    fn set_slot(&self, address: SocketAddr, slot: usize, value: Slot<Connection>) {
        self.table.lock().set_slot(address, slot, value);
        self.changed.send_replace(());
    }
}

/// Follows the addresses of the target, and keeps connections to all of them.
async fn follow(pool: Arc<Pool>, target: Target, end: CancellationToken) {
    let mut kept: HashMap<SocketAddr, CancellationToken> = HashMap::new();
    let has_names = target.hosts().iter().any(|host| host.address().is_none());
    loop {
        // Cancel safe: what was looked up half-way is not needed after the end.
        let Some(addresses) = end.run_until_cancelled(look_up(&target)).await else { break };
        if let Some(addresses) = addresses {
            let changes = pool.table.lock().set_addresses(&addresses);
            pool.changed.send_replace(());
            pool.tell(addresses);
            for address in changes.removed {
                tracing::info!(%address, %target, "an instance has gone");
                if let Some(gone) = kept.remove(&address) {
                    gone.cancel();
                }
            }
            for address in changes.added {
                let gone = end.child_token();
                for slot in 0..CONNECTIONS {
                    pool.tasks.spawn("rpc.connection", keep(pool.clone(), address, slot, gone.clone()));
                }
                kept.insert(address, gone);
            }
        }
        let again = async {
            match has_names {
                true => sleep(LOOK_UP_INTERVAL).await,
                false => std::future::pending().await,
            }
        };
        if end.run_until_cancelled(again).await.is_none() {
            break;
        }
    }
    // Without a sender a connection ends when its last answer has been given.
    pool.table.lock().set_addresses(&[]);
}

/// All addresses of the target. `None`: a name could not be looked up, so nobody knows who has gone.
async fn look_up(target: &Target) -> Option<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for host in target.hosts() {
        match host.address() {
            Some(address) => addresses.push(address),
            None => match timeout(LOOK_UP_TIMEOUT, tokio::net::lookup_host((host.host.as_str(), host.port))).await {
                Ok(Ok(found)) => addresses.extend(found),
                Ok(Err(error)) => {
                    tracing::warn!(host = host.host, %error, "a name cannot be looked up");
                    return None;
                }
                Err(_) => {
                    tracing::warn!(host = host.host, "a name is not looked up in time");
                    return None;
                }
            },
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    Some(addresses)
}

impl HostPort {
    /// `None`: it is a name.
    fn address(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

/// Keeps one connection open, until the instance has `gone`.
async fn keep(pool: Arc<Pool>, address: SocketAddr, slot: usize, gone: CancellationToken) {
    let mut pause = PAUSE_MIN;
    // Cancel safe: a connection that is dropped half-way is closed.
    let forever = async {
        loop {
            match connect(address, &pool.tasks).await {
                Ok((connection, carrying)) => {
                    let begun = Instant::now();
                    let carried = pool.tasks.spawn("rpc.connection", carrying);
                    pool.set_slot(address, slot, Slot::Up(connection));
                    // At its age it is not taken any more, and ends when its streams have.
                    let ended = timeout(AGE_MAX.mul_f64(0.5 + fraction() / 2.0), carried).await;
                    if begun.elapsed() >= WORKED_MIN {
                        pause = PAUSE_MIN;
                    }
                    match ended {
                        Err(_) => continue,
                        Ok(_) if begun.elapsed() >= WORKED_MIN => {
                            pool.set_slot(address, slot, Slot::Connecting);
                            continue;
                        }
                        Ok(_) => {}
                    }
                }
                Err(error) => tracing::debug!(%address, %error, "an instance cannot be reached"),
            }
            pool.set_slot(address, slot, Slot::Down);
            sleep(pause.mul_f64(0.5 + fraction() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    };
    let _gone: Option<()> = gone.run_until_cancelled(forever).await;
}

/// 0 to 1, so that processes do not do the same thing at the same time.
pub(super) fn fraction() -> f64 {
    let mut bytes = [0; 4];
    SystemEntropy.fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}
