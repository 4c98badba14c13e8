//! Keeps a link to each instance of a service, as they come and go.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use viberchat_kit::rpc::{EachInstance, Instance};

/// Instances of a service that have a link.
const INSTANCES_MAX: usize = 64;

/// Where an instance is; `None`: it is the only one.
pub(super) type Place = Option<SocketAddr>;

/// Whether an instance is still looked for.
pub(super) struct Wanted {
    places: Arc<Mutex<HashSet<Place>>>,
    place: Place,
}

impl Wanted {
    pub(super) fn holds(&self) -> bool {
        self.places.lock().contains(&self.place)
    }
}

/// Begins a link with `begin` to each instance of `service`, and again to one that comes back. Links end by themselves: soon
/// after `end`, or when they find that they are wanted no more.
pub(super) async fn each<B, L>(service: &'static str, mut instances: EachInstance, end: CancellationToken, begin: B)
where
    B: Fn(Instance, Wanted) -> L,
    L: Future<Output = ()> + Send + 'static,
{
    let mut links = Links::new(service, begin);
    loop {
        // Cancel safe: both only wait; links are kept in `links`.
        tokio::select! {
            () = end.cancelled() => break,
            known = instances.changed() => links.follow(known),
            Some(place) = links.running.next() => links.ended(place),
        }
    }
    while links.running.next().await.is_some() {}
}

struct Links<B> {
    service: &'static str,
    begin: B,
    /// The instances of now. Those with a link are more for a while.
    wanted: HashMap<Place, Instance>,
    /// The keys of `wanted`, for the links.
    places: Arc<Mutex<HashSet<Place>>>,
    linked: HashSet<Place>,
    running: FuturesUnordered<BoxFuture<'static, Place>>,
}

impl<B, L> Links<B>
where
    B: Fn(Instance, Wanted) -> L,
    L: Future<Output = ()> + Send + 'static,
{
    fn new(service: &'static str, begin: B) -> Self {
        Self {
            service,
            begin,
            wanted: HashMap::new(),
            places: Arc::default(),
            linked: HashSet::new(),
            running: FuturesUnordered::new(),
        }
    }

    fn follow(&mut self, known: Vec<Instance>) {
        let (service, count) = (self.service, known.len());
        if count > INSTANCES_MAX {
            tracing::error!(service, count, max = INSTANCES_MAX, "there are more instances than can be linked to");
        }
        self.wanted = known.into_iter().take(INSTANCES_MAX).map(|one| (one.address, one)).collect();
        *self.places.lock() = self.wanted.keys().copied().collect();
        let new: Vec<_> = self.wanted.values().filter(|one| !self.linked.contains(&one.address)).cloned().collect();
        new.into_iter().for_each(|instance| self.link(instance));
    }

    fn link(&mut self, instance: Instance) {
        let place = instance.address;
        self.linked.insert(place);
        let link = (self.begin)(instance, Wanted { places: self.places.clone(), place });
        self.running.push(link.map(move |()| place).boxed());
    }

    fn ended(&mut self, place: Place) {
        self.linked.remove(&place);
        // It may have come back at the last moment.
        if let Some(instance) = self.wanted.get(&place).cloned() {
            self.link(instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use viberchat_kit::rpc::Channel;

    use super::*;

    fn at(port: u16) -> Place {
        Some(SocketAddr::from(([10, 0, 0, 1], port)))
    }

    /// Instances that nobody can reach.
    fn known(ports: &[u16]) -> Vec<Instance> {
        ports.iter().map(|port| Instance { address: at(*port), channel: Channel::late().0 }).collect()
    }

    /// Links that end when they are not wanted.
    async fn link(_: Instance, wanted: Wanted) {
        while wanted.holds() {
            tokio::task::yield_now().await;
        }
    }

    async fn next_end<B>(links: &mut Links<B>) -> Place {
        let ended = tokio::time::timeout(Duration::from_secs(10), links.running.next()).await;
        ended.expect("a link ends").expect("there are links")
    }

    #[tokio::test]
    async fn links_follow_the_instances_and_one_that_is_gone_is_not_tried_again() {
        let mut links = Links::new("message", link);
        links.follow(known(&[1, 2]));
        links.follow(known(&[1, 2]));
        assert_eq!((links.running.len(), &links.linked), (2, &[at(1), at(2)].into()));
        links.follow(known(&[1]));
        assert_eq!(links.running.len(), 2, "not before it ends");
        let ended = next_end(&mut links).await;
        assert_eq!(ended, at(2));
        links.ended(ended);
        assert_eq!((links.running.len(), &links.linked), (1, &[at(1)].into()));

        links.follow(known(&[1, 2]));
        assert_eq!(links.running.len(), 2, "it is back");
        links.follow(known(&[1]));
        let ended = next_end(&mut links).await;
        links.follow(known(&[1, 2]));
        links.ended(ended);
        assert_eq!(
            (links.running.len(), &links.linked),
            (2, &[at(1), at(2)].into()),
            "it came back at the last moment"
        );
    }

    #[tokio::test]
    async fn instances_that_are_too_many_are_not_linked_to() {
        let mut links = Links::new("message", link);
        links.follow(known(&(1..=100).collect::<Vec<_>>()));
        assert_eq!(links.running.len(), INSTANCES_MAX);
    }
}
