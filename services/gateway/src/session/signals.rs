//! Frames that make work elsewhere and whose effect does not last: typing, status, focus, presence, a newer token. Each
//! session may say so many of them a second.

use std::time::Duration;

use tokio::time::Instant;
use viberchat_kit::error::{Error, Outcome, Reason};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::gateway::v1::Focus;

use super::{SMALL_REPLY_BYTES, Session, Step, not_attempted};
use crate::frames::{self, Request};

/// Conversations of one `focus`.
const FOCUS_MAX: usize = 20;

/// Users of one `watch_presence`.
const WATCH_USERS_MAX: usize = 200;

/// Whether the frame is one of them.
pub(super) fn is_limited(request: &Request) -> bool {
    matches!(
        request,
        Request::SetTyping(_)
            | Request::SetStatus(_)
            | Request::Focus(_)
            | Request::WatchPresence(_)
            | Request::UnwatchPresence(_)
            | Request::RefreshToken(_)
    )
}

impl Session {
    /// Takes one of them.
    pub(super) fn signal(&mut self, now: Instant, id: u32, request: Request, bytes: usize) -> Step {
        if let Err(error) = self.check_rate(now) {
            self.reply(&frames::error(id, &error));
            return Step::Done;
        }
        match request {
            Request::Focus(focus) => match parse_focus(&focus) {
                Ok(conversations) => {
                    self.reply(&frames::reply(id, None));
                    return Step::Focus(conversations);
                }
                Err(error) => self.reply(&frames::error(id, &error)),
            },
            Request::WatchPresence(watch) => match check_users(&watch.user_ids) {
                // A presence takes about as much as two ids.
                Ok(()) => {
                    let under_way = self.begin(id, u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(3));
                    return Step::Watch { under_way, user_ids: watch.user_ids };
                }
                Err(error) => self.reply(&frames::error(id, &error)),
            },
            Request::UnwatchPresence(unwatch) => {
                self.reply(&frames::reply(id, None));
                return Step::Unwatch(unwatch.user_ids);
            }
            Request::RefreshToken(refresh) => return Step::RefreshToken { id, token: refresh.token },
            request => return Step::Call { under_way: self.begin(id, SMALL_REPLY_BYTES), request },
        }
        Step::Done
    }

    /// Counts a frame: the generic cell rate algorithm, as in `rate`.
    ///
    /// # Errors
    /// `RATE_LIMITED`, with the time to wait.
    fn check_rate(&mut self, now: Instant) -> Result<(), Error> {
        let (per_second_max, burst_max) = (self.config.signals_per_second_max, self.config.signals_burst_max);
        let Some(interval) = Duration::from_secs(1).checked_div(per_second_max) else { return Ok(()) };
        let tolerance = interval * burst_max.saturating_sub(1);
        let paid_until = self.soft().paid_until.get_or_insert(now);
        *paid_until = (*paid_until).max(now);
        let ahead = *paid_until - now;
        if ahead > tolerance {
            let error = Error::new(Reason::RateLimited, "too many such frames in too short a time");
            return Err(error.with_retry_after(ahead - tolerance).with_outcome(Outcome::NotAttempted));
        }
        *paid_until += interval;
        Ok(())
    }
}

fn parse_focus(focus: &Focus) -> Result<Vec<ConversationId>, Error> {
    if focus.conversation_ids.len() > FOCUS_MAX {
        return Err(not_attempted("focus.conversation_ids", "are more than 20"));
    }
    let mut conversations = Vec::with_capacity(focus.conversation_ids.len());
    for id in &focus.conversation_ids {
        let id = ConversationId::parse(id)
            .map_err(|invalid| not_attempted("focus.conversation_ids", &invalid.to_string()))?;
        if !conversations.contains(&id) {
            conversations.push(id);
        }
    }
    Ok(conversations)
}

fn check_users(user_ids: &[String]) -> Result<(), Error> {
    if user_ids.is_empty() || user_ids.len() > WATCH_USERS_MAX {
        return Err(not_attempted("watch_presence.user_ids", "are none, or more than 200"));
    }
    for id in user_ids {
        UserId::parse(id).map_err(|invalid| not_attempted("watch_presence.user_ids", &invalid.to_string()))?;
    }
    Ok(())
}
