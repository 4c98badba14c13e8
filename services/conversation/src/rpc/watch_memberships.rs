//! One stream for many users: for each one named a snapshot, or what was missed since a number, then changes.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tonic::{Request, Status, Streaming};
use viberchat_kit::auth::{AuthorizedStream, Streamed, authorized_stream};
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::into_status;
use viberchat_proto::conversation::v1::watch_memberships_request::Request as Asked;
use viberchat_proto::conversation::v1::watch_memberships_response::Push;
use viberchat_proto::conversation::v1::*;

use super::access::WATCH_MEMBERSHIPS_RULE;
use super::{State, caller, field};
use crate::convert::{membership_change_to_proto, membership_to_proto};
use crate::error::user_not_found;
use crate::store::{ChangeId, ConversationStore, MissedChange};
use crate::watch::{Follower, MembershipEvent};

/// Pushes that may wait for the consumer.
const PUSHES_MAX: usize = 16;
/// Memberships in one push of a snapshot.
const PAGE_MAX: usize = 500;
/// Missed changes that a resume says; more, and a snapshot is as short.
const MISSED_MAX: usize = 1_000;
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A consumer that takes nothing for this long is ended.
const STALL_MAX: Duration = Duration::from_secs(30);

/// What the client reads: the pushes, then why the stream ended.
pub(crate) struct Pushes {
    pushes: mpsc::Receiver<WatchMembershipsResponse>,
    /// Written once by the stream's task, before it lets go of its end of `pushes`.
    end: Arc<OnceLock<Error>>,
    ended: bool,
}

impl Stream for Pushes {
    type Item = std::result::Result<WatchMembershipsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match self.pushes.poll_recv(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        self.ended = next.is_none();
        let end = || self.end.get().cloned().map(|error| Err(into_status(error)));
        Poll::Ready(next.map(Ok).or_else(end))
    }
}

pub(super) fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    request: Request<Streaming<WatchMembershipsRequest>>,
) -> Result<Pushes> {
    Ok(open(state, authorized_stream(request, &WATCH_MEMBERSHIPS_RULE)?, HEARTBEAT))
}

fn open<S: ConversationStore>(
    state: &Arc<State<S>>,
    requests: AuthorizedStream<WatchMembershipsRequest>,
    heartbeat: Duration,
) -> Pushes {
    let (sender, pushes) = mpsc::channel(PUSHES_MAX);
    let end = Arc::<OnceLock<Error>>::default();
    let (state, follower) = (state.clone(), state.hub.open());
    let lifecycle = state.lifecycle.clone();
    let stream = WatchStream { state, follower, covered: HashMap::new(), sender, heartbeat };
    let why = end.clone();
    lifecycle.spawn("conversation.watch_stream", async move {
        // `serve` owns the sender and drops it on return, so the reason has to be there first.
        let mut stream = stream;
        if let Err(Ended::Because(error)) = stream.serve(requests).await {
            why.get_or_init(|| error);
        }
    });
    Pushes { pushes, end, ended: false }
}

struct WatchStream<S> {
    state: Arc<State<S>>,
    follower: Follower,
    /// What each followed user has heard of already, by the snapshot or by a resume.
    covered: HashMap<UserId, ChangeId>,
    sender: mpsc::Sender<WatchMembershipsResponse>,
    heartbeat: Duration,
}

/// What is said of a user first.
enum First {
    /// Since the number that was named, up to this one.
    Missed(Vec<MissedChange>, ChangeId),
    /// A snapshot that has everything up to this one.
    Everything(ChangeId),
}

/// Why a stream is over.
enum Ended {
    /// Nobody reads any more.
    Gone,
    Because(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Because(error)
    }
}

impl<S: ConversationStore> WatchStream<S> {
    async fn serve(
        &mut self,
        mut requests: AuthorizedStream<WatchMembershipsRequest>,
    ) -> std::result::Result<(), Ended> {
        let soft = self.state.lifecycle.soft();
        let mut heartbeat = interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sender = self.sender.clone();
        let mut asking = true;
        loop {
            // All branches are cancel safe: nothing is taken from a queue or a stream by a branch that does not win.
            tokio::select! {
                () = sender.closed() => return Err(Ended::Gone),
                () = soft.cancelled() => return Err(Error::new(Reason::Draining, "the service is shutting down").into()),
                event = self.follower.next() => match event {
                    Some(event) => self.push_event(&event).await?,
                    None => return Err(missed().into()),
                },
                request = requests.next(), if asking => match request {
                    Some(Ok(request)) => self.answer(request).await?,
                    Some(Err(end)) => return Err(Error::from(end).into()),
                    // Whoever asks for nothing more may still listen.
                    None => asking = false,
                },
                _ = heartbeat.tick() => self.push_heartbeat().await?,
            }
        }
    }

    async fn answer(&mut self, request: Streamed<WatchMembershipsRequest>) -> std::result::Result<(), Ended> {
        let Streamed { context, correlation_id, request } = request;
        let (user_id, done) = match (context, request.request) {
            (Err(error), asked) => (user_of(asked), Err(error)),
            (Ok(_), Some(Asked::AddUserId(user_id))) => {
                let done = self.add(correlation_id, "add_user_id", &user_id, None).await?;
                (user_id, done)
            }
            (Ok(_), Some(Asked::Resume(WatchMembershipsResume { user_id, membership_version }))) => {
                let since = Some(ChangeId(membership_version));
                let done = self.add(correlation_id, "resume.user_id", &user_id, since).await?;
                (user_id, done)
            }
            (Ok(_), Some(Asked::RemoveUserId(user_id))) => {
                let done = field::user_id("remove_user_id", &user_id).map(|user| self.unfollow(&user));
                (user_id, done)
            }
            (Ok(_), None) => (String::new(), Err(Error::invalid_argument("request", "is absent"))),
        };
        match done {
            Ok(()) => Ok(()),
            Err(error) => {
                let error = Some(error.to_proto());
                self.push(Push::Refused(MembershipRefusal { correlation_id, user_id, error })).await
            }
        }
    }

    /// Follows first, reads what there is then: see [`crate::watch`].
    async fn add(
        &mut self,
        correlation_id: u64,
        field: &str,
        user_id: &str,
        since: Option<ChangeId>,
    ) -> std::result::Result<Result<()>, Ended> {
        let user = match field::user_id(field, user_id) {
            Ok(user) => user,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = self.follower.follow(&user) {
            return Ok(Err(error));
        }
        let said = match self.read_first(&user, since).await {
            Ok(First::Missed(missed, newest)) => self.resume(correlation_id, &user, &missed, newest).await.map(Ok),
            Ok(First::Everything(newest)) => self.snapshot(correlation_id, &user, newest).await,
            Err(error) => Ok(Err(error)),
        };
        if !matches!(said, Ok(Ok(()))) {
            self.unfollow(&user);
        }
        said
    }

    fn unfollow(&mut self, user: &UserId) {
        self.follower.unfollow(user);
        self.covered.remove(user);
    }

    async fn read_first(&self, user: &UserId, since: Option<ChangeId>) -> Result<First> {
        if !caller::takes_part(&self.state, user).await? {
            return Err(user_not_found(user));
        }
        if let Some(since) = since {
            let missed = self.state.store.missed_changes(user, since, MISSED_MAX).await?;
            if let Some((missed, newest)) = missed {
                return Ok(First::Missed(missed, newest));
            }
        }
        // Read before the snapshot, which has everything up to it.
        Ok(First::Everything(self.state.store.newest_change().await?))
    }

    async fn resume(
        &mut self,
        correlation_id: u64,
        user: &UserId,
        missed: &[MissedChange],
        newest: ChangeId,
    ) -> std::result::Result<(), Ended> {
        self.covered.insert(user.clone(), newest);
        self.push(Push::Resumed(MembershipsResumed { correlation_id, user_id: user.to_string() })).await?;
        for MissedChange { id, kind, membership } in missed {
            let change = membership_change_to_proto(user.to_string(), *id, *kind, membership);
            self.push(Push::Change(change)).await?;
        }
        Ok(())
    }

    async fn snapshot(
        &mut self,
        correlation_id: u64,
        user: &UserId,
        newest: ChangeId,
    ) -> std::result::Result<Result<()>, Ended> {
        self.covered.insert(user.clone(), newest);
        let mut after = None;
        loop {
            let memberships = match self.state.store.memberships(user, after, PAGE_MAX).await {
                Ok(memberships) => memberships,
                Err(error) => return Ok(Err(error.into())),
            };
            let last = memberships.len() < PAGE_MAX;
            after = memberships.last().map(|membership| membership.conversation);
            self.push(Push::Snapshot(MembershipSnapshot {
                correlation_id,
                user_id: user.to_string(),
                memberships: memberships.iter().map(membership_to_proto).collect(),
                last,
                membership_version: newest.0,
            }))
            .await?;
            if last {
                return Ok(Ok(()));
            }
        }
    }

    /// What the snapshot or the resume has said is not said again.
    async fn push_event(&self, event: &MembershipEvent) -> std::result::Result<(), Ended> {
        if self.covered.get(&event.user).is_some_and(|covered| event.id <= *covered) {
            return Ok(());
        }
        let user_id = event.user.to_string();
        self.push(Push::Change(membership_change_to_proto(user_id, event.id, event.kind, &event.membership))).await
    }

    /// Says how far everything has been said: what is in the queue by now goes first.
    async fn push_heartbeat(&mut self) -> std::result::Result<(), Ended> {
        let membership_version = self.follower.dispatched().0;
        for event in self.follower.take_waiting() {
            self.push_event(&event).await?;
        }
        // Only a stream that has missed nothing may say so.
        if self.follower.broken().is_cancelled() {
            return Err(missed().into());
        }
        self.push(Push::Heartbeat(MembershipHeartbeat { membership_version })).await
    }

    async fn push(&self, push: Push) -> std::result::Result<(), Ended> {
        let response = WatchMembershipsResponse { push: Some(push) };
        tokio::select! {
            sent = timeout(STALL_MAX, self.sender.send(response)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Ended::Gone),
                Err(_) => Err(slow().into()),
            },
            () = self.follower.broken().cancelled_owned() => Err(missed().into()),
        }
    }
}

fn user_of(asked: Option<Asked>) -> String {
    match asked {
        Some(Asked::AddUserId(user) | Asked::RemoveUserId(user)) => user,
        Some(Asked::Resume(resume)) => resume.user_id,
        None => String::new(),
    }
}

fn slow() -> Error {
    Error::new(Reason::SlowConsumer, "the stream was not read fast enough")
}

fn missed() -> Error {
    Error::new(Reason::SlowConsumer, "the stream has missed changes: open it again")
}

#[cfg(test)]
mod tests;
