//! The instances of a service, their connections, and which one a call takes. Pure: time and randomness are parameters,
//! connections anything that says whether it is open.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::breaker::Breaker;
use crate::rpc::affinity::Affinity;

/// Each HTTP/2 connection has one lock; a second one carries almost twice the calls.
pub(super) const CONNECTIONS: usize = 2;

/// A connection, or whatever stands for one.
pub(super) trait Open: Clone {
    /// Whether it takes calls.
    fn is_open(&self) -> bool;
}

/// One of the connections to an instance.
pub(super) enum Slot<C> {
    /// The first attempt since it was last open is under way.
    Connecting,
    Up(C),
    /// The last attempt failed.
    Down,
}

/// Where a call goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pick<C> {
    To(SocketAddr, C),
    /// Soon it will be known.
    Wait,
    Nobody,
}

/// See the module.
pub(super) struct Table<C> {
    /// In the order of their addresses. `None`: not looked up yet.
    instances: Option<Vec<Instance<C>>>,
    turn: usize,
}

struct Instance<C> {
    address: SocketAddr,
    /// What it is called in rendezvous.
    name: String,
    slots: [Slot<C>; CONNECTIONS],
    turn: usize,
    breaker: Breaker,
}

/// Which instances will do for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    /// The one that its key goes to, or another one.
    Near(Affinity),
    /// This one, or none.
    Only(SocketAddr),
}

impl Wanted {
    fn includes(self, address: SocketAddr) -> bool {
        match self {
            Self::Any | Self::Near(_) => true,
            Self::Only(wanted) => wanted == address,
        }
    }
}

/// What changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: Vec<SocketAddr>,
    pub(super) removed: Vec<SocketAddr>,
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self { instances: None, turn: 0 }
    }
}

impl<C: Open> Table<C> {
    /// The instances are these.
    pub(super) fn set_addresses(&mut self, addresses: &[SocketAddr]) -> Changes {
        let instances = self.instances.get_or_insert_default();
        let mut changes = Changes::default();
        instances.retain(|instance| {
            let stays = addresses.contains(&instance.address);
            if !stays {
                changes.removed.push(instance.address);
            }
            stays
        });
        for address in addresses {
            if !instances.iter().any(|instance| instance.address == *address) {
                changes.added.push(*address);
                instances.push(Instance::new(*address));
            }
        }
        instances.sort_unstable_by_key(|instance| instance.address);
        changes
    }

    /// A connection came or went. Nothing, if the instance has gone meanwhile.
    pub(super) fn set_slot(&mut self, address: SocketAddr, slot: usize, value: Slot<C>) {
        if let Some(instance) = self.find(address) {
            instance.slots[slot] = value;
        }
    }

    /// The instance for a call, apart from those that were `tried`: by its key, or one after the other.
    pub(super) fn pick(&mut self, wanted: Wanted, tried: &[SocketAddr], now: Instant) -> Pick<C> {
        let Some(instances) = &mut self.instances else { return Pick::Wait };
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn;
        let mut candidates: Vec<_> = instances
            .iter_mut()
            .filter(|instance| wanted.includes(instance.address) && !tried.contains(&instance.address))
            .filter(|instance| instance.breaker.admits(now))
            .collect();
        let is_near = candidates.iter().any(|instance| instance.is_connecting());
        candidates.retain(|instance| instance.open().next().is_some());
        let place = match wanted {
            Wanted::Near(key) => {
                (0..candidates.len()).max_by_key(|place| key.score(candidates[*place].name.as_bytes()))
            }
            Wanted::Any | Wanted::Only(_) => turn.checked_rem(candidates.len()),
        };
        match place {
            Some(place) => {
                let instance = candidates.swap_remove(place);
                let count = instance.open().count();
                instance.turn = instance.turn.wrapping_add(1);
                let nth = instance.turn % count;
                let connection = instance.open().nth(nth).expect("nth is less than their count").clone();
                instance.breaker.begin();
                Pick::To(instance.address, connection)
            }
            None if is_near => Pick::Wait,
            None => Pick::Nobody,
        }
    }

    /// A call was answered.
    pub(super) fn succeeded(&mut self, address: SocketAddr) {
        if let Some(instance) = self.find(address) {
            instance.breaker.succeeded();
        }
    }

    /// A call was lost, or not answered in time. `true`: the instance is left out from now on.
    pub(super) fn failed(&mut self, address: SocketAddr, now: Instant, jitter: f64) -> bool {
        self.find(address).is_some_and(|instance| instance.breaker.failed(now, jitter))
    }

    /// Nobody waits for a call any more.
    pub(super) fn abandoned(&mut self, address: SocketAddr, now: Instant) {
        if let Some(instance) = self.find(address) {
            instance.breaker.abandoned(now);
        }
    }

    fn find(&mut self, address: SocketAddr) -> Option<&mut Instance<C>> {
        self.instances.as_mut()?.iter_mut().find(|instance| instance.address == address)
    }
}

impl<C: Open> Instance<C> {
    fn new(address: SocketAddr) -> Self {
        let slots = std::array::from_fn(|_| Slot::Connecting);
        Self { address, name: address.to_string(), slots, turn: 0, breaker: Breaker::default() }
    }

    fn open(&self) -> impl Iterator<Item = &C> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Up(connection) if connection.is_open() => Some(connection),
            _ => None,
        })
    }

    /// A connection that has just closed is about to be one that connects.
    fn is_connecting(&self) -> bool {
        self.slots.iter().any(|slot| match slot {
            Slot::Connecting => true,
            Slot::Up(connection) => !connection.is_open(),
            Slot::Down => false,
        })
    }
}

#[cfg(test)]
mod tests;
