//! What operators may ask of a running gateway.

use std::sync::Arc;

use viberchat_kit::id::UserId;
use viberchat_proto::gateway::v1::Session;

use crate::close::Close;
use crate::drain;
use crate::gateway::Gateway;

/// The sessions of this process. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    gateway: Arc<Gateway>,
}

impl Operations {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// The sessions of a user, or of all, by session id.
    pub fn sessions(&self, user: Option<&UserId>) -> Vec<Session> {
        let mut sessions = self.gateway.registry.sessions(user);
        sessions.sort_unstable_by(|one, other| one.session_id.cmp(&other.session_id));
        sessions
    }

    /// Closes the sessions of a user (4503), and says how many there were.
    pub fn disconnect(&self, user: &UserId) -> usize {
        self.gateway.registry.close_user(user, Close::Kicked)
    }

    /// Tells all sessions to go elsewhere and closes them over the window, as at a stop, and takes no new ones. Returns at
    /// once, with the number of sockets.
    pub fn drain(&self) -> usize {
        drain::begin(&self.gateway)
    }
}
