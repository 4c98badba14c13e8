//! Requests of a stream: whom to follow from now on, and whom no more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use viberchat_kit::auth::{CallContext, Streamed};
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::UserId;
use viberchat_proto::presence::v1::watch_request::Request as Asked;
use viberchat_proto::presence::v1::watch_response::Push;
use viberchat_proto::presence::v1::{PresenceSnapshot, WatchAdd, WatchRefusal, WatchRemove, WatchRequest};

use super::WatchStream;
use super::pairs::Pair;
use crate::app::App;
use crate::convert::presence_to_proto;
use crate::domain::status::Presence;
use crate::error::limit_exceeded;
use crate::presences::Admitted;
use crate::rpc::field;
use crate::visibility::Visible;

/// What was found out about a request.
pub(super) struct Started {
    watcher: UserId,
    users: Vec<UserId>,
    correlation_id: u64,
    /// Whom the watcher may see; they are kept in memory until they are followed.
    outcome: Result<(Visible, Admitted)>,
}

impl WatchStream {
    pub(super) fn ask(&mut self, streamed: Streamed<WatchRequest>) {
        let watcher = streamed.context.as_ref().ok().and_then(|context| context.caller.user());
        if watcher.is_some_and(|watcher| self.starting_for.contains(watcher)) {
            // Behind what the same watcher asked for before.
            self.held = Some(streamed);
            return;
        }
        let Streamed { context, correlation_id, request } = streamed;
        let taken = context.and_then(|context| match request.request {
            Some(Asked::Add(add)) => self.add(&context, correlation_id, &add),
            Some(Asked::Remove(remove)) => self.remove(&context, &remove),
            None => Err(Error::invalid_argument("request", "is absent")),
        });
        if let Err(error) = taken {
            self.refuse(correlation_id, &error);
        }
    }

    fn add(&mut self, context: &CallContext, correlation_id: u64, add: &WatchAdd) -> Result<()> {
        let watcher = context.user()?.clone();
        let users = field::user_ids(&add.user_ids)?;
        self.check_room(&watcher, &users)?;
        self.starting_for.insert(watcher.clone());
        let start = start(Arc::clone(&self.app), watcher, users, correlation_id, field::wait(context));
        self.starting.push(start.boxed());
        Ok(())
    }

    fn check_room(&self, watcher: &UserId, users: &[UserId]) -> Result<()> {
        let new: HashSet<_> = users.iter().filter(|user| !self.pairs.contains(watcher, user)).collect();
        let (pairs_max, users_max) = (self.app.config.watch_pairs_max, self.app.config.watch_users_max);
        if self.pairs.watched_by(watcher) + new.len() > users_max as usize {
            return Err(limit_exceeded("users watched by one", users_max as usize));
        }
        if self.pairs.len() + new.len() > pairs_max as usize {
            return Err(limit_exceeded("watched users on one stream", pairs_max as usize));
        }
        Ok(())
    }

    pub(super) fn started(&mut self, started: Started) {
        let Started { watcher, users, correlation_id, outcome } = started;
        self.starting_for.remove(&watcher);
        // Others may have taken the room in the meantime.
        match outcome.and_then(|found| self.check_room(&watcher, &users).map(|()| found)) {
            Err(error) => self.refuse(correlation_id, &error),
            Ok((visible, _admitted)) => {
                let mut presences = Vec::with_capacity(users.len());
                for user in &users {
                    let shown = match visible.get(user) {
                        Some(asked_at) => self.follow(&watcher, user, *asked_at),
                        None => {
                            // Followed no more: who comes into a conversation with the user asks again.
                            self.forget(&watcher, user);
                            Presence::UNKNOWN
                        }
                    };
                    presences.push(presence_to_proto(user, shown));
                }
                self.out.push_back(Push::Snapshot(PresenceSnapshot { correlation_id, presences }));
            }
        }
        if let Some(held) = self.held.take() {
            self.ask(held);
        }
    }

    fn follow(&mut self, watcher: &UserId, user: &UserId, asked_at: Instant) -> Presence {
        let views = match self.pairs.is_watched(user) {
            // Registered and read in one step: whatever changes later is heard of.
            false => self.app.presences.follow(user, &self.inbox),
            true => self.app.presences.views([user]).pop().unwrap_or_default(),
        };
        let told = super::shown(watcher, user, &views, asked_at, self.app.visibility.fresh());
        let check_at = Instant::now() + Duration::from_millis(self.app.config.visibility_check_ms);
        let is_new = self.pairs.insert(watcher, user, Pair { told, confirmed_at: asked_at }, check_at);
        self.app.metrics.watch_pairs.inc_by(i64::from(is_new));
        told
    }

    fn remove(&mut self, context: &CallContext, remove: &WatchRemove) -> Result<()> {
        let watcher = context.user()?;
        let users = match remove.user_ids.as_slice() {
            [] => self.pairs.of(watcher),
            named => field::user_ids(named)?,
        };
        users.iter().for_each(|user| self.forget(watcher, user));
        Ok(())
    }

    fn refuse(&mut self, correlation_id: u64, error: &Error) {
        self.out.push_back(Push::Refused(WatchRefusal { correlation_id, error: Some(error.to_proto()) }));
    }
}

async fn start(app: Arc<App>, watcher: UserId, users: Vec<UserId>, correlation_id: u64, wait: Duration) -> Started {
    let outcome = async {
        // Anew, whatever is remembered: so whoever hears that somebody was removed can have it checked at once.
        let visible = app.visibility.ask(&watcher, &users, wait).await?;
        let admitted = app.presences.admit(visible.keys().cloned().collect()).await?;
        Ok((visible, admitted))
    };
    let outcome = outcome.await;
    Started { watcher, users, correlation_id, outcome }
}
