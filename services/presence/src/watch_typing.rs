//! Following who types: one stream for any number of conversations, of users and of gateways.
//!
//! Map: [`TypingStream`] is the one loop of a stream; `follows` who follows what on it, and what they were told; `ask` takes
//! requests and asks again whether users are members.
//!
//! Nothing is queued for a slow stream: it hears *where* there is news, and pushes the difference between who types there
//! now and whom it told of. Bounded by the conversations that it follows.

mod ask;
mod follows;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::time::Interval;
use tonic::Status;
use viberchat_kit::auth::AuthorizedStream;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::rpc::into_status;
use viberchat_proto::presence::v1::watch_typing_response::Push;
use viberchat_proto::presence::v1::{
    TypingChange, WatchHeartbeat, WatchRefusal, WatchTypingRequest, WatchTypingResponse,
};

use self::ask::{Checked, Started};
use self::follows::Follows;
use crate::app::App;
use crate::error::draining;
use crate::hub::Inbox;
use crate::watch::{next_request, ticks};

/// Names the conversation of a refusal in its metadata.
const CONVERSATION_ID: &str = "conversation_id";

/// The pushes of a stream.
pub(crate) type Pushes = BoxStream<'static, std::result::Result<WatchTypingResponse, Status>>;

/// One stream of `WatchTyping`.
struct TypingStream {
    app: Arc<App>,
    inbox: Arc<Inbox<ConversationId>>,
    /// `None`: the caller asks for nothing more.
    requests: Option<AuthorizedStream<WatchTypingRequest>>,
    follows: Follows,
    /// Conversations of which there is news; looked at one after the other.
    news: Vec<ConversationId>,
    /// What can be pushed now: bounded by one request, one check or the typists of one conversation.
    out: VecDeque<Push>,
    /// The one request of a user that is being answered; no further one is read before.
    starting: Option<BoxFuture<'static, Started>>,
    checking: Option<BoxFuture<'static, Checked>>,
    heartbeat: Interval,
    checks: Interval,
}

/// The pushes of a stream. Nothing runs unless somebody reads.
pub(crate) fn pushes(app: &Arc<App>, requests: AuthorizedStream<WatchTypingRequest>) -> Pushes {
    let stream = TypingStream::new(Arc::clone(app), requests);
    let pushes = futures::stream::unfold(Some(stream), |state| async {
        let mut stream = state?;
        match stream.next().await {
            Ok(push) => Some((Ok(WatchTypingResponse { push: Some(push) }), Some(stream))),
            Err(error) => Some((Err(into_status(error)), None)),
        }
    });
    pushes.boxed()
}

impl TypingStream {
    fn new(app: Arc<App>, requests: AuthorizedStream<WatchTypingRequest>) -> Self {
        app.metrics.typing_streams.inc();
        let heartbeat = ticks(Duration::from_millis(app.config.heartbeat_interval_ms));
        let checks = ticks(Duration::from_millis(app.config.typing_check_ms));
        Self {
            app,
            inbox: Arc::default(),
            requests: Some(requests),
            follows: Follows::default(),
            news: Vec::new(),
            out: VecDeque::new(),
            starting: None,
            checking: None,
            heartbeat,
            checks,
        }
    }

    /// The next push. An error is the end.
    async fn next(&mut self) -> Result<Push> {
        let soft = self.app.lifecycle.soft();
        loop {
            if let Some(push) = self.at_hand() {
                return Ok(push);
            }
            let (listening, checkable) = (self.starting.is_none(), self.follows.user_follows() > 0);
            // Cancel safe: futures that are under way are kept in `self`, requests and news stay where they are.
            tokio::select! {
                biased;
                () = soft.cancelled() => return Err(draining()),
                // Before requests: whoever asks without end does not put off the question whether they may.
                _ = self.checks.tick(), if checkable => self.begin_check(),
                checked = under_way(&mut self.checking) => {
                    self.checking = None;
                    self.checked(checked);
                }
                started = under_way(&mut self.starting) => {
                    self.starting = None;
                    self.started(started);
                }
                request = next_request(&mut self.requests), if listening => self.ask(request?),
                _ = self.heartbeat.tick() => return Ok(Push::Heartbeat(WatchHeartbeat {})),
                news = self.inbox.take() => self.news.extend(news),
            }
        }
    }

    fn at_hand(&mut self) -> Option<Push> {
        loop {
            if let Some(push) = self.out.pop_front() {
                return Some(push);
            }
            let conversation = self.news.pop()?;
            let typists = self.app.typings.typists(conversation);
            for (user, typing) in self.follows.differences(conversation, typists) {
                self.out.push_back(Push::Change(change(conversation, &user, typing)));
            }
        }
    }

    fn refuse(&mut self, correlation_id: u64, conversation: Option<ConversationId>, error: Error) {
        let error = match conversation {
            Some(conversation) => error.with_metadata(CONVERSATION_ID, conversation.to_string()),
            None => error,
        };
        self.out.push_back(Push::Refused(WatchRefusal { correlation_id, error: Some(error.to_proto()) }));
    }

    fn unfollow(&mut self, conversation: ConversationId) {
        self.app.typings.unfollow(conversation, &self.inbox);
    }
}

impl Drop for TypingStream {
    fn drop(&mut self) {
        for conversation in self.follows.conversations() {
            self.app.typings.unfollow(conversation, &self.inbox);
        }
        self.app.metrics.typing_streams.dec();
    }
}

fn change(conversation: ConversationId, user: &UserId, typing: bool) -> TypingChange {
    TypingChange { conversation_id: conversation.to_string(), user_id: user.to_string(), typing }
}

/// Waits for what is under way; for ever if nothing is.
async fn under_way<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
