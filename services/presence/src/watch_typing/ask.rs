//! Requests of a stream, and whether its users are still members.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use viberchat_kit::auth::{CallContext, Scope, Streamed};
use viberchat_kit::error::{Error, Reason as ErrorReason, Result};
use viberchat_kit::fault;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::presence::v1::watch_typing_request::Request as Asked;
use viberchat_proto::presence::v1::watch_typing_response::Push;
use viberchat_proto::presence::v1::{WatchTypingAdd, WatchTypingRemove, WatchTypingRequest};

use super::TypingStream;
use super::follows::{Follower, Reason};
use crate::app::App;
use crate::error::{conversation_not_found, conversation_service_unavailable, limit_exceeded};
use crate::membership::{BATCH_MAX, Place};
use crate::rpc::field;

/// What was found out about a request of a user.
pub(super) struct Started {
    user: UserId,
    conversations: Vec<ConversationId>,
    correlation_id: u64,
    asked_at: Instant,
    /// In the order of the conversations.
    members: Result<Vec<bool>>,
}

/// Which users are still members.
pub(super) struct Checked {
    asked_at: Instant,
    answers: Vec<(Vec<Place>, Result<Vec<bool>>)>,
}

impl TypingStream {
    pub(super) fn ask(&mut self, streamed: Streamed<WatchTypingRequest>) {
        let Streamed { context, correlation_id, request } = streamed;
        let taken = context.and_then(|context| match request.request {
            Some(Asked::Add(add)) => self.add(&context, correlation_id, &add),
            Some(Asked::Remove(remove)) => self.remove(&context, &remove),
            None => Err(Error::invalid_argument("request", "is absent")),
        });
        if let Err(error) = taken {
            self.refuse(correlation_id, None, error);
        }
    }

    fn add(&mut self, context: &CallContext, correlation_id: u64, add: &WatchTypingAdd) -> Result<()> {
        let conversations = field::conversation_ids(&add.conversation_ids)?;
        let follower = follower(context)?;
        self.check_room(&follower, &conversations)?;
        match follower {
            Follower::Relay => {
                let reason = Reason { correlation_id, confirmed_at: Instant::now() };
                conversations.iter().for_each(|conversation| self.follow(*conversation, Follower::Relay, reason));
            }
            Follower::User(user) => {
                let (app, wait) = (Arc::clone(&self.app), field::wait(context));
                self.starting = Some(start(app, user, conversations, correlation_id, wait).boxed());
            }
        }
        Ok(())
    }

    fn check_room(&self, follower: &Follower, conversations: &[ConversationId]) -> Result<()> {
        let distinct: HashSet<_> = conversations.iter().copied().collect();
        let new = distinct.iter().filter(|conversation| !self.follows.contains(**conversation)).count();
        let max = self.app.config.typing_conversations_max as usize;
        if self.follows.len() + new > max {
            return Err(limit_exceeded("conversations on one stream", max));
        }
        if *follower == Follower::Relay {
            return Ok(());
        }
        let new = distinct.iter().filter(|conversation| !self.follows.follows(**conversation, follower)).count();
        let max = self.app.config.typing_follows_max as usize;
        match self.follows.user_follows() + new > max {
            true => Err(limit_exceeded("conversations of users on one stream", max)),
            false => Ok(()),
        }
    }

    pub(super) fn started(&mut self, started: Started) {
        let Started { user, conversations, correlation_id, asked_at, members } = started;
        let members = match members {
            Ok(members) => members,
            Err(error) => return self.refuse(correlation_id, None, error),
        };
        for (conversation, is_member) in conversations.into_iter().zip(members) {
            if is_member {
                let reason = Reason { correlation_id, confirmed_at: asked_at };
                self.follow(conversation, Follower::User(user.clone()), reason);
            } else {
                self.refuse(correlation_id, Some(conversation), conversation_not_found());
            }
        }
    }

    fn follow(&mut self, conversation: ConversationId, follower: Follower, reason: Reason) {
        if self.follows.add(conversation, follower, reason) {
            // Registered first, looked at then: whatever changes in between is heard of.
            self.app.typings.follow(conversation, &self.inbox);
        } else {
            // Pushes name no follower: the new one hears with all what the others know.
            let told = self.follows.told(conversation);
            let again: Vec<_> = told.map(|user| Push::Change(super::change(conversation, user, true))).collect();
            self.out.extend(again);
        }
        self.news.push(conversation);
    }

    fn remove(&mut self, context: &CallContext, remove: &WatchTypingRemove) -> Result<()> {
        let follower = follower(context)?;
        for conversation in field::conversation_ids(&remove.conversation_ids)? {
            if self.follows.remove(conversation, &follower) {
                self.unfollow(conversation);
            }
        }
        Ok(())
    }

    /// Asks again whether the users of this stream are members.
    pub(super) fn begin_check(&mut self) {
        if self.checking.is_none() {
            self.checking = Some(check(Arc::clone(&self.app), self.follows.places()).boxed());
        }
    }

    pub(super) fn checked(&mut self, checked: Checked) {
        let Checked { asked_at, answers } = checked;
        let grace = self.app.membership.grace();
        for (places, members) in answers {
            for (index, (conversation, user)) in places.into_iter().enumerate() {
                let Some(reason) = self.follows.reason(conversation, &user) else { continue };
                let correlation_id = reason.correlation_id;
                let ended = match &members {
                    Ok(members) if members[index] || fault::mutant("removed_member_served") => {
                        reason.confirmed_at = reason.confirmed_at.max(asked_at);
                        continue;
                    }
                    // Has come (back) since it was asked.
                    Ok(_) if reason.confirmed_at > asked_at => continue,
                    Ok(_) => conversation_not_found(),
                    Err(_) if reason.confirmed_at.elapsed() < grace => continue,
                    Err(_) => conversation_service_unavailable(),
                };
                if self.follows.remove(conversation, &Follower::User(user)) {
                    self.unfollow(conversation);
                }
                self.refuse(correlation_id, Some(conversation), ended);
            }
        }
    }
}

fn follower(context: &CallContext) -> Result<Follower> {
    match context.caller.user() {
        Some(user) => Ok(Follower::User(user.clone())),
        None if context.caller.has_scope(Scope::Relay) => Ok(Follower::Relay),
        None => Err(Error::new(ErrorReason::PermissionDenied, "the request needs a user to act for")),
    }
}

async fn start(
    app: Arc<App>,
    user: UserId,
    conversations: Vec<ConversationId>,
    correlation_id: u64,
    wait: Duration,
) -> Started {
    let asked_at = Instant::now();
    let places: Vec<_> = conversations.iter().map(|conversation| (*conversation, user.clone())).collect();
    let members = app.membership.ask(&places, wait).await;
    Started { user, conversations, correlation_id, asked_at, members }
}

async fn check(app: Arc<App>, places: Vec<Place>) -> Checked {
    let asked_at = Instant::now();
    let mut answers = Vec::new();
    for chunk in places.chunks(BATCH_MAX) {
        answers.push((chunk.to_vec(), app.membership.ask(chunk, app.config.call_timeout()).await));
    }
    Checked { asked_at, answers }
}
