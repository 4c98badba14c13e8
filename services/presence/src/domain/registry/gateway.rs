use std::collections::HashMap;
use std::time::{Duration, Instant};

use viberchat_kit::id::UserId;

use super::super::name::SessionId;
use super::super::status::Activity;
use super::Attachment;

/// What a gateway says of one session.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) session: SessionId,
    pub(crate) user: UserId,
    /// `None`: gone.
    pub(crate) activity: Option<Activity>,
}

/// What became of one session.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) before: Option<(UserId, Activity)>,
    pub(super) after: Option<(UserId, Activity)>,
    /// Was not listed again.
    pub(super) stale: bool,
}

#[derive(Debug)]
struct Session {
    user: UserId,
    activity: Activity,
    /// Which attachment listed it last.
    attachment: Attachment,
}

impl Session {
    fn gone(self, stale: bool) -> Change {
        Change { before: Some((self.user, self.activity)), after: None, stale }
    }
}

/// A gateway and its sessions.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) attachment: Attachment,
    pub(super) heard_at: Instant,
    /// The stream is gone: until then everything counts.
    pub(super) lost_until: Option<Instant>,
    /// Until then what this attachment has not listed yet counts.
    pub(super) stale_until: Option<Instant>,
    sessions: HashMap<SessionId, Session>,
}

impl Gateway {
    pub(super) fn new(attachment: Attachment, now: Instant) -> Self {
        Self { attachment, heard_at: now, lost_until: None, stale_until: None, sessions: HashMap::new() }
    }

    pub(super) fn attach_again(&mut self, attachment: Attachment, now: Instant, grace: Duration) {
        self.stale_until = Some(self.lost_until.take().unwrap_or(now + grace));
        self.attachment = attachment;
        self.heard_at = now;
    }

    /// `None`: it would be a new one, and there is no room.
    pub(super) fn report(&mut self, report: Report, has_room: bool) -> Option<Change> {
        let Report { session, user, activity } = report;
        let attachment = self.attachment;
        let Some(activity) = activity else {
            let gone = self.sessions.remove(&session).map(|session| session.gone(false));
            return Some(gone.unwrap_or(Change { before: None, after: None, stale: false }));
        };
        if !has_room && !self.sessions.contains_key(&session) {
            return None;
        }
        let after = Some((user.clone(), activity));
        let before = self.sessions.insert(session, Session { user, activity, attachment });
        Some(Change { before: before.map(|before| (before.user, before.activity)), after, stale: false })
    }

    /// Whatever this attachment has not listed is gone.
    pub(super) fn complete(&mut self) -> Vec<Change> {
        self.stale_until = None;
        let attachment = self.attachment;
        let stale = self.sessions.extract_if(|_, session| session.attachment != attachment);
        stale.map(|(_, session)| session.gone(true)).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<Change> {
        self.sessions.drain().map(|(_, session)| session.gone(true)).collect()
    }
}
