//! Who has the session: for operators, and for the presence service.

use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::UserId;
use viberchat_proto::gateway::v1 as proto;
use viberchat_proto::presence::v1::{SessionReport, SessionState};

use super::Session;
use crate::frames::Request;

/// Without a frame of its user for this long, a session is idle.
const IDLE_AFTER: Duration = Duration::from_secs(300);

/// What the client said of itself, and what it was told.
pub(crate) struct Identity {
    pub(crate) session_id: Box<str>,
    pub(crate) device_id: Box<str>,
    pub(crate) client: Box<str>,
    pub(crate) connected_at: Timestamp,
}

/// Whether somebody uses the session.
pub(super) struct Activity {
    used_at: Instant,
    is_idle: bool,
    /// It changed, and nobody has been told.
    is_untold: bool,
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Self { used_at: now, is_idle: false, is_untold: false }
    }

    /// The client said something. What it says by itself does not count.
    pub(super) fn note(&mut self, now: Instant, request: &Request) {
        if !matches!(request, Request::Heartbeat(_) | Request::RefreshToken(_)) {
            self.used_at = now;
            self.is_untold |= std::mem::take(&mut self.is_idle);
        }
    }

    /// Called when the session's time has come; each heartbeat is often enough.
    pub(super) fn look(&mut self, now: Instant) {
        if !self.is_idle && now.saturating_duration_since(self.used_at) >= IDLE_AFTER {
            self.is_idle = true;
            self.is_untold = true;
        }
    }
}

impl Session {
    /// Whether the session became idle, or is used again, since the last call.
    pub(crate) fn take_activity_change(&mut self) -> bool {
        std::mem::take(&mut self.activity.is_untold)
    }

    /// As the presence service is told of it.
    /// `None`: it has not been welcomed.
    pub(crate) fn report(&self, user: &UserId) -> Option<SessionReport> {
        let session_id = self.identity.as_ref()?.session_id.to_string();
        let state = if self.activity.is_idle { SessionState::Idle } else { SessionState::Active };
        Some(SessionReport { session_id, user_id: user.as_str().to_owned(), state: state.into() })
    }

    /// As operators see it.
    /// `None`: it has not been welcomed.
    pub(crate) fn describe(&self, user: &UserId) -> Option<proto::Session> {
        let identity = self.identity.as_ref()?;
        let (conversation_count, behind_count) = self.conversations.counts();
        Some(proto::Session {
            session_id: identity.session_id.to_string(),
            device_id: identity.device_id.to_string(),
            client: identity.client.to_string(),
            connect_time: Some(identity.connected_at.to_proto()),
            user_id: user.as_str().to_owned(),
            token_expire_time: self.token_ends.map(|(_, at)| at.to_proto()),
            subprotocol: self.encoding.subprotocol().to_owned(),
            conversation_count,
            behind_count,
            queued_bytes: u32::try_from(self.outbox.bytes()).unwrap_or(u32::MAX),
        })
    }
}
