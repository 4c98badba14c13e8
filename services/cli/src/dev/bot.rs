//! The demo bot: a backend as others would write one. It follows its directs over gRPC and answers.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};
use viberchat_kit::id::UserId;
use viberchat_kit::lifecycle::Handle;
use viberchat_kit::rpc::{Channel, on_behalf_of, with_deadline};
use viberchat_proto::conversation::v1::conversation_service_client::ConversationServiceClient;
use viberchat_proto::conversation::v1::{
    Membership, MembershipChangeKind, WatchMembershipsRequest, WatchMembershipsResponse, watch_memberships_request,
    watch_memberships_response,
};
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::message::v1::{
    LogEntry, SendMessageRequest, SubscribeAdd, SubscribeRequest, SubscribeResponse, SubscribeStart, entry_body,
    subscribe_request, subscribe_response,
};
use viberchat_proto::types::v1::{ConversationKind, RequestContext};

use super::seed::BOT;

const QUEUE: usize = 64;
const RETRY_AFTER: Duration = Duration::from_secs(1);
const SEND_DEADLINE: Duration = Duration::from_secs(5);

/// Runs the bot until the process stops.
pub(super) fn start(channel: Channel, tasks: &Handle) {
    let stop = tasks.soft();
    tasks.spawn("demo bot", async move {
        let mut bot = Bot { channel, known: HashSet::new() };
        while !stop.is_cancelled() {
            // Cancel safe: an answer that is cut off was sent with a fixed id, and nobody waits for it.
            tokio::select! {
                result = bot.run() => if let Err(error) = result {
                    tracing::debug!(%error, "demo bot starts again");
                },
                () = stop.cancelled() => break,
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    });
}

struct Bot {
    channel: Channel,
    /// Conversations that were followed before: a new one is read from its beginning.
    known: HashSet<String>,
}

struct Streams {
    follow: mpsc::Sender<SubscribeRequest>,
    entries: Streaming<SubscribeResponse>,
    memberships: Streaming<WatchMembershipsResponse>,
    /// Keeps the request side of the stream open.
    _watch: mpsc::Sender<WatchMembershipsRequest>,
}

impl Bot {
    /// Until a stream ends.
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut streams = self.open().await?;
        let mut snapshot_done = false;
        loop {
            // Cancel safe: both branches only take the next item of a stream.
            tokio::select! {
                Some(push) = streams.entries.next() => {
                    if let Some(subscribe_response::Push::Entry(entry)) = push?.push {
                        self.answer(entry).await?;
                    }
                }
                Some(push) = streams.memberships.next() => match push?.push {
                    Some(watch_memberships_response::Push::Snapshot(page)) => {
                        self.follow(&streams.follow, page.memberships, snapshot_done).await?;
                        snapshot_done |= page.last;
                    }
                    Some(watch_memberships_response::Push::Change(change))
                        if change.kind() == MembershipChangeKind::Added =>
                    {
                        self.follow(&streams.follow, change.membership, true).await?;
                    }
                    _ => {}
                },
                else => anyhow::bail!("the streams ended"),
            }
        }
    }

    async fn open(&self) -> anyhow::Result<Streams> {
        let (watch, watch_requests) = mpsc::channel(QUEUE);
        watch
            .send(WatchMembershipsRequest {
                context: Some(RequestContext::default()),
                request: Some(watch_memberships_request::Request::AddUserId(BOT.into())),
            })
            .await?;
        let memberships = ConversationServiceClient::new(self.channel.clone())
            .watch_memberships(ReceiverStream::new(watch_requests))
            .await?
            .into_inner();
        let (follow, follow_requests) = mpsc::channel(QUEUE);
        let entries = MessageServiceClient::new(self.channel.clone())
            .subscribe(ReceiverStream::new(follow_requests))
            .await?
            .into_inner();
        Ok(Streams { follow, entries, memberships, _watch: watch })
    }

    /// Follows directs: those of the snapshot from their heads, those that come later from their beginning.
    async fn follow(
        &mut self,
        requests: &mpsc::Sender<SubscribeRequest>,
        memberships: impl IntoIterator<Item = Membership>,
        from_beginning: bool,
    ) -> anyhow::Result<()> {
        let mut conversations = Vec::new();
        for membership in memberships {
            if membership.kind() == ConversationKind::Direct {
                let is_new = self.known.insert(membership.conversation_id.clone());
                let after_seq = (from_beginning && is_new).then_some(0);
                conversations.push(SubscribeStart { conversation_id: membership.conversation_id, after_seq });
            }
        }
        let request = SubscribeRequest {
            context: Some(RequestContext { on_behalf_of: BOT.into(), ..Default::default() }),
            request: Some(subscribe_request::Request::Add(SubscribeAdd { conversations })),
        };
        Ok(requests.send(request).await?)
    }

    async fn answer(&self, entry: LogEntry) -> anyhow::Result<()> {
        let Some(entry_body::Body::Message(message)) = entry.body.and_then(|body| body.body) else { return Ok(()) };
        if entry.actor_user_id == BOT {
            return Ok(());
        }
        let request = SendMessageRequest {
            conversation_id: entry.conversation_id,
            // The same message gets the same answer once, also after a restart.
            client_message_id: format!("answer-{}", entry.seq),
            text: reply_to(&message.text),
            ..Default::default()
        };
        let request = with_deadline(on_behalf_of(Request::new(request), &UserId::parse(BOT)?), SEND_DEADLINE);
        MessageServiceClient::new(self.channel.clone()).send_message(request).await?;
        Ok(())
    }
}

fn reply_to(text: &str) -> String {
    const QUOTED_CHARS_MAX: usize = 80;
    let text = text.trim();
    match text.chars().rev().collect::<String>() {
        reversed if text.chars().count() <= QUOTED_CHARS_MAX && text.contains(' ') => {
            format!("You said “{text}”. Backwards that is “{reversed}”.")
        }
        _ if text.ends_with('?') => "Good question. I am only a bot, but a durable one.".into(),
        _ => format!("Got it: {} characters, stored and delivered.", text.chars().count()),
    }
}
