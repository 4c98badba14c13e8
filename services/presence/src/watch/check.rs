//! Whether those who watch may still see whom they watch.
//!
//! Each watcher is asked about at every check interval, soon again after a failure, and whenever the pair is asked for again. Who shares no conversation any more is told
//! once that nothing is known, and the pair ends. Without an answer a pair shows nothing once its last one has become too
//! old, and goes on when there is one.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use viberchat_kit::error::Result;
use viberchat_kit::id::UserId;
use viberchat_proto::presence::v1::PresenceChange;
use viberchat_proto::presence::v1::watch_response::Push;

use super::WatchStream;
use crate::app::App;
use crate::config::Config;
use crate::convert::presence_to_proto;
use crate::domain::status::Presence;
use crate::visibility::Visible;

/// Watchers who are asked about at once.
const CHECKS_AT_ONCE: usize = 16;
/// How often it is looked who is due, as a part of the check interval.
const TICKS_PER_CHECK: u64 = 10;

/// An answer about one watcher.
pub(super) struct Checked {
    watcher: UserId,
    users: Vec<UserId>,
    asked_at: Instant,
    visible: Result<Visible>,
}

/// How often it is looked who is due.
pub(super) fn tick(config: &Config) -> Duration {
    Duration::from_millis((config.visibility_check_ms / TICKS_PER_CHECK).max(1))
}

impl WatchStream {
    pub(super) fn begin_checks(&mut self) {
        let fresh = self.app.visibility.fresh();
        self.news.extend(self.pairs.outdated(|confirmed_at| confirmed_at.elapsed() >= fresh));
        let now = Instant::now();
        let again_at = now + Duration::from_millis(self.app.config.visibility_check_ms);
        // Nobody is twice in the queue, however long answers take.
        if self.due.is_empty() {
            self.due.extend(self.pairs.due(now, again_at));
        }
        self.fill_checks();
    }

    fn fill_checks(&mut self) {
        while self.checking.len() < CHECKS_AT_ONCE
            && let Some(watcher) = self.due.pop_front()
        {
            let users = self.pairs.of(&watcher);
            self.checking.push(check(Arc::clone(&self.app), watcher, users).boxed());
        }
    }

    pub(super) fn checked(&mut self, checked: Checked) {
        let Checked { watcher, users, asked_at, visible } = checked;
        match visible {
            Err(_) => self.pairs.check_at(&watcher, Instant::now() + tick(&self.app.config)),
            Ok(visible) => {
                for user in users {
                    match visible.contains_key(&user) {
                        true => {
                            self.pairs.confirm(&watcher, &user, asked_at);
                            // It may have shown nothing for want of an answer.
                            self.news.push(user);
                        }
                        false => self.part(&watcher, &user, asked_at),
                    }
                }
            }
        }
        self.fill_checks();
    }

    /// They share no conversation any more.
    fn part(&mut self, watcher: &UserId, user: &UserId, asked_at: Instant) {
        let Some(told) = self.pairs.unconfirmed(watcher, user, asked_at) else { return };
        self.forget(watcher, user);
        if told != Presence::UNKNOWN {
            let presence = Some(presence_to_proto(user, Presence::UNKNOWN));
            self.out.push_back(Push::Change(PresenceChange { watcher_user_id: watcher.to_string(), presence }));
        }
    }
}

async fn check(app: Arc<App>, watcher: UserId, users: Vec<UserId>) -> Checked {
    let asked_at = Instant::now();
    let visible = app.visibility.ask(&watcher, &users, app.config.call_timeout()).await;
    Checked { watcher, users, asked_at, visible }
}
