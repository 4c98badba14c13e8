use std::sync::Arc;

use scylla::cluster::{ClusterState, NodeRef};
use scylla::policies::load_balancing::{FallbackPlan, LoadBalancingPolicy, RoutingInfo};
use scylla::routing::Shard;

/// Where conditional batches go: to the first replica of the local data center in the order of the ring, so that all who
/// write to one log meet at one coordinator. The driver shuffles replicas, also for a conditional batch, which it does not
/// know as such; then ballots fight.
#[derive(Debug)]
pub(super) struct RingOrder {
    pub(super) data_center: Option<String>,
    /// For what has no replicas that are known.
    pub(super) otherwise: Arc<dyn LoadBalancingPolicy>,
}

impl RingOrder {
    fn replicas<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> Option<impl Iterator<Item = (NodeRef<'a>, Option<Shard>)> + use<'a>> {
        let (token, table) = (request.token?, request.table?);
        let strategy = &cluster.get_keyspace(table.ks_name())?.strategy;
        let replicas =
            cluster.replica_locator().replicas_for_token(token, strategy, self.data_center.as_deref(), table);
        let ordered = replicas.into_replicas_ordered().into_iter();
        Some(ordered.filter(|(node, _)| node.is_connected()).map(|(node, shard)| (node, Some(shard))))
    }
}

impl LoadBalancingPolicy for RingOrder {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let first = self.replicas(request, cluster).and_then(|mut replicas| replicas.next());
        first.or_else(|| self.otherwise.pick(request, cluster))
    }

    fn fallback<'a>(&'a self, request: &'a RoutingInfo<'_>, cluster: &'a ClusterState) -> FallbackPlan<'a> {
        let replicas: Vec<_> = self.replicas(request, cluster).into_iter().flatten().collect();
        if replicas.is_empty() {
            return self.otherwise.fallback(request, cluster);
        }
        Box::new(replicas.into_iter())
    }

    fn name(&self) -> String {
        "RingOrder".to_owned()
    }
}
