//! Requests of a stream: what to follow from now on, and what no more.

use futures::FutureExt as _;
use tokio::time::Instant;
use viberchat_kit::auth::{CallContext, Scope, Streamed};
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::ConversationId;
use viberchat_proto::message::v1::subscribe_request::Request as Asked;
use viberchat_proto::message::v1::subscribe_response::Push;
use viberchat_proto::message::v1::{SubscribeAdd, SubscribeRemove, SubscribeRequest, Subscribed, Unsubscribed};

use super::Subscription;
use super::follow::Follow;
use super::start::{self, Start, Started};
use crate::convert::{self, Viewer};

/// Conversations of one request.
const CONVERSATIONS_MAX: usize = 500;

impl Subscription {
    pub(super) fn ask(&mut self, streamed: Streamed<SubscribeRequest>) {
        let Streamed { context, correlation_id, request } = streamed;
        match request.request {
            Some(Asked::Add(add)) => self.add(context, correlation_id, add),
            Some(Asked::Remove(remove)) => self.remove(context, correlation_id, remove),
            None => {}
        }
    }

    fn add(&mut self, context: Result<CallContext>, correlation_id: u64, add: SubscribeAdd) {
        let conversations = add.conversations;
        let admitted = context.and_then(|context| self.viewer(&context, conversations.len()).map(|v| (v, context)));
        let (viewer, context) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => {
                let refused = conversations.into_iter().take(CONVERSATIONS_MAX);
                return refused.for_each(|start| self.refuse(correlation_id, start.conversation_id, &error));
            }
        };
        let mut starts = Vec::with_capacity(conversations.len());
        for wanted in conversations {
            match convert::conversation_id(&wanted.conversation_id) {
                Ok(conversation_id) => starts.push(self.register(conversation_id, wanted.after_seq, &viewer)),
                Err(error) => self.refuse(correlation_id, wanted.conversation_id, &error),
            }
        }
        let deadline = context.deadline.unwrap_or_else(|| Instant::now() + self.app.config.timeout_default());
        self.starting.push(start::find_out(self.app.clone(), viewer, starts, correlation_id, deadline).boxed());
    }

    fn viewer(&self, context: &CallContext, wanted: usize) -> Result<Viewer> {
        if wanted > CONVERSATIONS_MAX {
            let rule = format!("names more than {CONVERSATIONS_MAX} conversations");
            return Err(Error::invalid_argument("add.conversations", rule));
        }
        match context.caller.user() {
            Some(_) if self.user_follows + wanted > self.app.config.user_subscriptions_max => {
                Err(Error::new(Reason::LimitExceeded, "the stream follows too many conversations for users"))
            }
            Some(user) => Ok(Viewer::User(user.clone())),
            None if context.caller.has_scope(Scope::Relay) => Ok(Viewer::Relay),
            None => Err(Error::new(Reason::PermissionDenied, "the request needs a user to act for")),
        }
    }

    /// Listens to the bus from here on: what is appended after the head is read will be heard of.
    fn register(&mut self, conversation_id: ConversationId, after_seq: Option<u64>, viewer: &Viewer) -> Start {
        self.forget(conversation_id);
        self.generation += 1;
        let generation = self.generation;
        self.user_follows += usize::from(*viewer != Viewer::Relay);
        self.follows.insert(conversation_id, Follow::new(viewer.clone(), generation));
        self.app.bus.follow(conversation_id, &self.inbox);
        Start { conversation_id, after_seq, generation }
    }

    pub(super) fn started(&mut self, started: Started) {
        let Started { start: Start { conversation_id, after_seq, generation }, correlation_id, outcome } = started;
        let Some(follow) = self.follows.get_mut(&conversation_id).filter(|f| f.generation == generation) else {
            return;
        };
        match outcome {
            Ok((head, standing)) => {
                let after_seq = after_seq.unwrap_or(head.seq);
                follow.standing = standing;
                self.note(conversation_id, |follow| follow.start(after_seq, head.seq));
                self.out.push_back(Push::Subscribed(Subscribed {
                    correlation_id,
                    conversation_id: conversation_id.to_string(),
                    after_seq,
                    head_seq: head.seq,
                }));
            }
            Err(error) => {
                self.forget(conversation_id);
                self.refuse(correlation_id, conversation_id.to_string(), &error);
            }
        }
    }

    fn remove(&mut self, context: Result<CallContext>, correlation_id: u64, remove: SubscribeRemove) {
        let conversations = remove.conversation_ids.into_iter().take(CONVERSATIONS_MAX);
        if let Err(error) = context {
            return conversations.for_each(|text| self.refuse(correlation_id, text, &error));
        }
        for text in conversations {
            if let Ok(conversation_id) = convert::conversation_id(&text) {
                self.forget(conversation_id);
            }
            self.out.push_back(Push::Unsubscribed(Unsubscribed { correlation_id, conversation_id: text, error: None }));
        }
    }

    fn refuse(&mut self, correlation_id: u64, conversation_id: String, error: &Error) {
        let error = Some(error.to_proto());
        self.out.push_back(Push::Unsubscribed(Unsubscribed { correlation_id, conversation_id, error }));
    }
}
