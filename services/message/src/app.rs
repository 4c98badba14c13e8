//! What all handlers of this service work with.

use std::sync::Arc;

use viberchat_kit::id::{ConversationId, RequestId, UserId};
use viberchat_kit::keys::Secret;
use viberchat_kit::lifecycle;
use viberchat_kit::page::PageSealer;

use crate::activity::Activity;
use crate::authorize::Authorizer;
use crate::bus::Bus;
use crate::config::Config;
use crate::domain::dedup::Fingerprint;
use crate::lane::Lanes;
use crate::metrics::SubscribeMetrics;
use crate::store::Store;

/// The parts of the service, shared by its handlers.
pub(crate) struct App {
    /// As it was configured.
    pub(crate) config: Config,
    /// The log.
    pub(crate) store: Arc<dyn Store>,
    /// The only way into it.
    pub(crate) lanes: Lanes,
    /// Who may do what.
    pub(crate) authorizer: Arc<Authorizer>,
    /// Who hears of it.
    pub(crate) bus: Arc<Bus>,
    /// Tells the conversation service of new messages.
    pub(crate) activity: Arc<Activity>,
    /// Page tokens.
    pub(crate) pages: PageSealer,
    /// Makes fingerprints.
    pub(crate) fingerprint_key: Secret,
    /// For tasks.
    pub(crate) lifecycle: lifecycle::Handle,
    /// What is counted.
    pub(crate) metrics: AppMetrics,
}

/// What the handlers count.
pub(crate) struct AppMetrics {
    /// Of the subscriptions.
    pub(crate) subscribe: SubscribeMetrics,
}

impl App {
    /// The fingerprint of a write's meaningful body. Bound to its id, so that equal texts have different ones: what stays
    /// of a deleted message must not tell that it said the same as another.
    pub(crate) fn fingerprint(
        &self,
        conversation_id: ConversationId,
        user: &UserId,
        request_id: &RequestId,
        body: &[&[u8]],
    ) -> Fingerprint {
        let id: [&[u8]; 3] = [conversation_id.as_bytes(), user.as_str().as_bytes(), request_id.as_str().as_bytes()];
        let parts: Vec<&[u8]> = id.into_iter().chain(body.iter().copied()).collect();
        let mac = self.fingerprint_key.hmac(&parts);
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(&mac[..size_of::<Fingerprint>()]);
        fingerprint
    }
}
