//! What of a session is not in the log: focus, typing, the presence of others.
//! Nothing is allocated for a session that uses none of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::error::{Error, Outcome, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_proto::presence::v1::{Presence, Status};

use super::{Phase, Session};
use crate::frames::{self, Shared};

/// Presences of one frame.
const FRAME_PRESENCES_MAX: usize = 64;

/// A slow reader is told at most this often what it did not get.
const SHED_INTERVAL: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Default)]
pub(super) struct Soft {
    /// What is on the screen, whether it is the user's or not.
    focus: Vec<ConversationId>,
    /// Users whose presence is followed, and whether it is known.
    watched: HashMap<Box<str>, bool>,
    /// The latest of each user that waits for the socket: at most one for each of `watched`.
    presences: Vec<Arc<Presence>>,
    /// Typing that was left out since the last notice.
    typing_shed: u32,
    shed_told_at: Option<Instant>,
    /// When the frames so far are paid for: the generic cell rate algorithm, see `signals`.
    pub(super) paid_until: Option<Instant>,
}

impl Session {
    pub(super) fn soft(&mut self) -> &mut Soft {
        self.soft.get_or_insert_default()
    }

    /// Replaces what is on the screen, and returns what was.
    pub(crate) fn set_focus(&mut self, wanted: &[ConversationId]) -> Vec<ConversationId> {
        if self.soft.is_none() && wanted.is_empty() {
            return Vec::new();
        }
        std::mem::replace(&mut self.soft().focus, wanted.to_vec())
    }

    /// What is on the screen.
    pub(crate) fn focus(&self) -> &[ConversationId] {
        self.soft.as_ref().map_or(&[], |soft| &soft.focus)
    }

    /// Follows these users too, and returns those that are new.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`; nothing changes then.
    pub(crate) fn watch(&mut self, ids: &[String], watched_max: usize) -> Result<Vec<String>, Error> {
        let watched = &mut self.soft().watched;
        let mut added: Vec<_> = ids.iter().filter(|id| !watched.contains_key(id.as_str())).cloned().collect();
        added.sort_unstable();
        added.dedup();
        if watched.len() + added.len() > watched_max {
            let error = Error::new(Reason::LimitExceeded, "the session follows too many users");
            return Err(error.with_outcome(Outcome::NotAttempted));
        }
        watched.extend(added.iter().map(|id| (id.as_str().into(), false)));
        Ok(added)
    }

    /// Follows these users no longer, and returns those whom it did.
    pub(crate) fn unwatch(&mut self, ids: &[String]) -> Vec<String> {
        let Some(soft) = &mut self.soft else { return Vec::new() };
        let ended: Vec<_> = ids.iter().filter(|id| soft.watched.remove(id.as_str()).is_some()).cloned().collect();
        soft.presences.retain(|presence| soft.watched.contains_key(presence.user_id.as_str()));
        ended
    }

    /// Whether the user's presence is followed.
    pub(crate) fn watches(&self, id: &str) -> bool {
        self.soft.as_ref().is_some_and(|soft| soft.watched.contains_key(id))
    }

    /// Users whose presence is followed.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &str> {
        self.soft.iter().flat_map(|soft| soft.watched.keys().map(AsRef::as_ref))
    }

    /// Users whose presence is followed and not known: no conversation was shared when it was asked, or the service has
    /// just begun.
    pub(crate) fn watched_unknown(&self) -> impl Iterator<Item = &str> {
        let all = self.soft.iter().flat_map(|soft| soft.watched.iter());
        all.filter(|(_, known)| !**known).map(|(id, _)| id.as_ref())
    }

    /// The client is told these as an answer.
    pub(crate) fn note_presences(&mut self, presences: &[Presence]) {
        let Some(soft) = &mut self.soft else { return };
        for presence in presences {
            if let Some(known) = soft.watched.get_mut(presence.user_id.as_str()) {
                *known = presence.status() != Status::Unspecified;
            }
        }
    }

    /// A user's presence changed. Takes the place of an earlier one that waits.
    pub(crate) fn presence(&mut self, presence: &Arc<Presence>) {
        let Some(soft) = &mut self.soft else { return };
        let Some(known) = soft.watched.get_mut(presence.user_id.as_str()) else { return };
        let was_known = std::mem::replace(known, presence.status() != Status::Unspecified);
        if !was_known && !*known {
            // Still nothing.
            return;
        }
        match soft.presences.iter_mut().find(|old| old.user_id == presence.user_id) {
            Some(old) => *old = presence.clone(),
            None => soft.presences.push(presence.clone()),
        }
    }

    /// Somebody types. It is the first to go when the reader is slow; says whether it was queued.
    pub(crate) fn typing(&mut self, frame: &Shared) -> bool {
        if !matches!(self.phase, Phase::Live) {
            return true;
        }
        if self.outbox.has_room_for_typing() && !self.is_stalled() {
            self.outbox.force_push(frame.bytes(self.encoding).clone());
            return true;
        }
        let soft = self.soft();
        soft.typing_shed = soft.typing_shed.saturating_add(1);
        false
    }

    /// Queues the presences that wait, as far as there is room, and says what was left out.
    pub(super) fn queue_soft(&mut self, now: Instant) {
        while self.outbox.has_room_for_filling()
            && let Some(soft) = self.soft.as_mut().filter(|soft| !soft.presences.is_empty())
        {
            let rest = soft.presences.split_off(soft.presences.len().min(FRAME_PRESENCES_MAX));
            let presences = std::mem::replace(&mut soft.presences, rest);
            let presences = presences.iter().map(|presence| Presence::clone(presence)).collect();
            self.queue_push(&frames::presences(presences));
        }
        if self.outbox.has_room_for_filling()
            && let Some(soft) = self.soft.as_mut().filter(|soft| soft.typing_shed > 0)
            && soft.shed_told_at.is_none_or(|at| now.saturating_duration_since(at) >= SHED_INTERVAL)
        {
            soft.shed_told_at = Some(now);
            let count = std::mem::take(&mut soft.typing_shed);
            self.queue_push(&frames::shed(count));
        }
    }
}
