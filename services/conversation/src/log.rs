//! The log of the message service, as the relay sees it.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use prost::Message as _;
use tonic::Request;
use viberchat_kit::error::{Error, Reason};
use viberchat_kit::id::ConversationId;
use viberchat_kit::rpc::{Channel, with_deadline};
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::message::v1::{AppendSystemEntryRequest, EntryBody};

use crate::store::OutboxEntry;

/// Takes system entries, each once: what it has already, it answers with the same seq again.
pub(crate) trait EntryLog: Send + Sync + 'static {
    /// Appends the entry as the successor of the one with the version before; returns its seq.
    fn append<'a>(&'a self, conversation: ConversationId, entry: &'a OutboxEntry) -> BoxFuture<'a, Result<u64, Error>>;
}

/// The message service behind a channel.
pub(crate) struct MessageLog {
    client: MessageServiceClient<Channel>,
    timeout: Duration,
}

impl MessageLog {
    pub(crate) fn new(channel: Channel, timeout: Duration) -> Self {
        Self { client: MessageServiceClient::new(channel), timeout }
    }
}

impl EntryLog for MessageLog {
    fn append<'a>(&'a self, conversation: ConversationId, entry: &'a OutboxEntry) -> BoxFuture<'a, Result<u64, Error>> {
        async move {
            let body = EntryBody::decode(entry.entry.as_slice()).map_err(Error::internal)?;
            let request = AppendSystemEntryRequest {
                conversation_id: conversation.to_string(),
                version: entry.version,
                actor_user_id: entry.actor.to_string(),
                body: Some(body),
            };
            let mut client = self.client.clone();
            let call = client.append_system_entry(with_deadline(Request::new(request), self.timeout));
            // The server ends the call in time, unless it is the one that does not answer.
            let late = |_| Error::new(Reason::DeadlineExceeded, "the log did not answer in time");
            let answer = tokio::time::timeout(self.timeout, call).await.map_err(late)?;
            Ok(answer.map_err(|status| Error::from_status(&status))?.into_inner().seq)
        }
        .boxed()
    }
}
