//! Tells every instance of the presence service of this gateway's sessions, so that each knows all of them by itself.
//!
//! Map: [`run`] has a link for each instance, as they come and go; `link` is the stream to one.

mod link;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use viberchat_kit::rpc::{EachInstance, Instance};
use viberchat_proto::presence::v1::SessionReport;
use viberchat_proto::presence::v1::presence_service_client::PresenceServiceClient;

use self::link::{Changes, Link};
use crate::fanout::Registry;

/// Instances that are told of sessions. Each has a list of what changed.
const INSTANCES_MAX: usize = 64;

/// Where an instance is; `None`: it is the only one.
type Place = Option<SocketAddr>;

/// What became of sessions, for all instances.
#[derive(Default)]
pub(crate) struct Reports(Mutex<HashMap<Place, Arc<Changes>>>);

impl Reports {
    /// A session came, went, or is used or not.
    pub(crate) fn report(&self, report: &SessionReport) {
        self.0.lock().values().for_each(|changes| changes.report(report.clone()));
    }
}

/// What all links share.
pub(crate) struct Attached {
    pub(crate) registry: Arc<Registry>,
    pub(crate) reports: Arc<Reports>,
    /// How long an instance may take to answer.
    pub(crate) timeout: Duration,
    pub(crate) new_id: Box<dyn Fn() -> String + Send + Sync>,
}

/// Keeps a stream open to each instance, until `end`; then says good-bye to all.
pub(crate) async fn run(attached: Attached, mut instances: EachInstance, end: CancellationToken) {
    let mut links = Links {
        attached: Arc::new(attached),
        wanted: HashMap::new(),
        shared: Arc::default(),
        running: FuturesUnordered::new(),
        end: end.clone(),
    };
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

struct Links {
    attached: Arc<Attached>,
    /// The instances of now. Those with a link are more for a while: the link to one that is gone ends with its stream.
    wanted: HashMap<Place, Instance>,
    /// The keys of `wanted`, for the links.
    shared: Arc<Mutex<HashSet<Place>>>,
    running: FuturesUnordered<BoxFuture<'static, Place>>,
    end: CancellationToken,
}

impl Links {
    fn follow(&mut self, known: Vec<Instance>) {
        if known.len() > INSTANCES_MAX {
            tracing::error!(
                count = known.len(),
                max = INSTANCES_MAX,
                "there are more instances of presence than can be told"
            );
        }
        self.wanted = known.into_iter().take(INSTANCES_MAX).map(|one| (one.address, one)).collect();
        *self.shared.lock() = self.wanted.keys().copied().collect();
        let linked = self.attached.reports.0.lock().keys().copied().collect::<HashSet<_>>();
        let new: Vec<_> = self.wanted.values().filter(|one| !linked.contains(&one.address)).cloned().collect();
        new.into_iter().for_each(|instance| self.begin(instance));
    }

    fn begin(&mut self, Instance { address: place, channel }: Instance) {
        let changes = Arc::<Changes>::default();
        self.attached.reports.0.lock().insert(place, changes.clone());
        let link = Link {
            client: PresenceServiceClient::new(channel),
            incarnation_id: (self.attached.new_id)(),
            changes,
            attached: self.attached.clone(),
        };
        let (wanted, end) = (self.shared.clone(), self.end.clone());
        let running = async move {
            link.run(|| wanted.lock().contains(&place), end).await;
            place
        };
        self.running.push(running.boxed());
    }

    fn ended(&mut self, place: Place) {
        self.attached.reports.0.lock().remove(&place);
        // It may have come back at the last moment.
        if let Some(instance) = self.wanted.get(&place).cloned() {
            self.begin(instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use viberchat_kit::rpc::Channel;

    use super::*;

    fn at(port: u16) -> Place {
        Some(SocketAddr::from(([10, 0, 0, 1], port)))
    }

    /// Instances that nobody can reach.
    fn known(ports: &[u16]) -> Vec<Instance> {
        ports.iter().map(|port| Instance { address: at(*port), channel: Channel::late().0 }).collect()
    }

    fn links() -> Links {
        let attached = Attached {
            registry: Arc::default(),
            reports: Arc::default(),
            timeout: Duration::from_secs(1),
            new_id: Box::new(String::new),
        };
        Links {
            attached: Arc::new(attached),
            wanted: HashMap::new(),
            shared: Arc::default(),
            running: FuturesUnordered::new(),
            end: CancellationToken::new(),
        }
    }

    fn linked(links: &Links) -> (usize, HashSet<Place>) {
        (links.running.len(), links.attached.reports.0.lock().keys().copied().collect())
    }

    async fn next_end(links: &mut Links) -> Place {
        let ended = tokio::time::timeout(Duration::from_secs(10), links.running.next()).await;
        ended.expect("a link ends").expect("there are links")
    }

    #[tokio::test]
    async fn links_follow_the_instances_and_one_that_is_gone_is_not_tried_again() {
        let mut links = links();
        links.follow(known(&[1, 2]));
        links.follow(known(&[1, 2]));
        assert_eq!(linked(&links), (2, [at(1), at(2)].into()));
        links.follow(known(&[1]));
        assert_eq!(linked(&links).0, 2, "not before its stream ends");
        let ended = next_end(&mut links).await;
        assert_eq!(ended, at(2));
        links.ended(ended);
        assert_eq!(linked(&links), (1, [at(1)].into()));

        links.follow(known(&[1, 2]));
        assert_eq!(linked(&links), (2, [at(1), at(2)].into()), "it is back");
        links.follow(known(&[1]));
        let ended = next_end(&mut links).await;
        links.follow(known(&[1, 2]));
        links.ended(ended);
        assert_eq!(linked(&links), (2, [at(1), at(2)].into()), "it came back at the last moment");
    }

    #[tokio::test]
    async fn instances_that_are_too_many_are_not_told() {
        let mut links = links();
        links.follow(known(&(1..=100).collect::<Vec<_>>()));
        assert_eq!(linked(&links).0, INSTANCES_MAX);
    }
}
