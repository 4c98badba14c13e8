//! Tells every instance of the presence service of this gateway's sessions, so that each knows all of them by itself.
//!
//! Map: [`run`] has a link to each instance; `link` is the stream to one.

mod link;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use viberchat_kit::rpc::{EachInstance, Instance};
use viberchat_proto::presence::v1::SessionReport;
use viberchat_proto::presence::v1::presence_service_client::PresenceServiceClient;

use self::link::{Changes, Link};
use super::instances::{self, Place};
use crate::fanout::Registry;

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
pub(crate) async fn run(attached: Attached, instances: EachInstance, end: CancellationToken) {
    let attached = Arc::new(attached);
    let begin = |Instance { address: place, channel }, wanted: instances::Wanted| {
        let changes = Arc::<Changes>::default();
        attached.reports.0.lock().insert(place, changes.clone());
        let link = Link {
            client: PresenceServiceClient::new(channel),
            incarnation_id: (attached.new_id)(),
            changes,
            attached: attached.clone(),
        };
        let (reports, end) = (attached.reports.clone(), end.clone());
        async move {
            link.run(|| wanted.holds(), end).await;
            reports.0.lock().remove(&place);
        }
    };
    instances::each("presence", instances, end.clone(), begin).await;
}
