//! What handlers and streams share.

use std::sync::Arc;

use viberchat_kit::lifecycle;

use crate::attach::Attachments;
use crate::config::Config;
use crate::membership::Membership;
use crate::metrics::ServiceMetrics;
use crate::others::Others;
use crate::presences::Presences;
use crate::reread::Rereads;
use crate::saver::Saver;
use crate::typings::Typings;
use crate::visibility::Visibility;

pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) presences: Arc<Presences>,
    pub(crate) typings: Arc<Typings>,
    /// `None`: this is the only instance.
    pub(crate) others: Option<Arc<Others>>,
    pub(crate) rereads: Arc<Rereads>,
    pub(crate) saver: Saver,
    pub(crate) visibility: Visibility,
    pub(crate) membership: Membership,
    pub(crate) attachments: Attachments,
    pub(crate) lifecycle: lifecycle::Handle,
    pub(crate) metrics: ServiceMetrics,
}
