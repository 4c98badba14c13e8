//! Reads, with their place in the history.

use std::collections::BTreeMap;

use bytes::Bytes;
use viberchat_proto::{conversation::v1 as conversation, message::v1 as message};

use super::{
    BatchGetHeads, Client, ListConversations, ListMessages, ListPinnedMessages, ListPositions, ReadLog, Refusal,
};
use crate::history::{
    ConversationView, Door, Entry, Found, MessageView, Nanos, Read, entry_of, head_of, message_of, position_of,
    texts_in,
};

/// The most items that a page holds.
pub(crate) const PAGE_ITEMS: u32 = 200;

/// How the pages of a read are put together.
struct Reading<'a> {
    client: &'a Client,
    door: Door,
    conversation: String,
    begun: Nanos,
    last: bool,
    bytes: Vec<Bytes>,
}

impl<'a> Reading<'a> {
    fn begin(client: &'a Client, door: Door, conversation: &str, last: bool) -> Self {
        let begun = client.recorder().now();
        Self { client, door, conversation: conversation.to_owned(), begun, last, bytes: Vec::new() }
    }

    fn end(self, found: Result<Found, Refusal>) -> Result<Found, Refusal> {
        let recorder = self.client.recorder();
        let found_or_why = found.clone().unwrap_or_else(|refusal| Found::Refused(refusal.reason));
        recorder.read(Read {
            user: self.client.user().to_owned(),
            door: self.door,
            begun: self.begun,
            ended: recorder.now(),
            last: self.last,
            texts: self.bytes.iter().flat_map(|bytes| texts_in(bytes)).collect(),
            conversation: self.conversation,
            found: found_or_why,
        });
        found
    }
}

impl Client {
    /// Reads one page of the log. `last` marks the reads at the end of a run.
    ///
    /// # Errors
    /// The refusal.
    pub async fn read_log(
        &self,
        door: Door,
        conversation: &str,
        after: u64,
        limit: u32,
        last: bool,
    ) -> Result<u64, Refusal> {
        let mut reading = Reading::begin(self, door, conversation, last);
        let request =
            message::ReadLogRequest { conversation_id: conversation.to_owned(), after_seq: after, limit, bytes_max: 0 };
        let found = self.call::<ReadLog>(door, request).await.map(|(response, bytes)| {
            reading.bytes.push(bytes);
            let entries = response.entries.iter().map(entry_of).collect();
            Found::Log { after, limit: limit as usize, entries, head: response.head_seq }
        });
        reading.end(found).map(|found| match found {
            Found::Log { entries, head, .. } => entries.last().map_or(head, Entry::last_seq),
            _ => 0,
        })
    }

    /// Reads the whole log, page by page, as the last reader.
    ///
    /// # Errors
    /// The refusal.
    pub async fn read_whole_log(&self, door: Door, conversation: &str) -> Result<u64, Refusal> {
        let mut after = 0;
        loop {
            let reached = self.read_log(door, conversation, after, PAGE_ITEMS, true).await?;
            if reached == after {
                return Ok(after);
            }
            after = reached;
        }
    }

    /// Lists the newest messages.
    ///
    /// # Errors
    /// The refusal.
    pub async fn list_newest(&self, door: Door, conversation: &str, limit: u32) -> Result<Vec<MessageView>, Refusal> {
        let mut reading = Reading::begin(self, door, conversation, false);
        let request = message::ListMessagesRequest {
            conversation_id: conversation.to_owned(),
            page_size: limit,
            ..Default::default()
        };
        let found = self.call::<ListMessages>(door, request).await.map(|(response, bytes)| {
            reading.bytes.push(bytes);
            let messages = response.messages.iter().map(message_of).collect();
            Found::Messages { limit: limit as usize, messages, as_of: response.as_of_seq, whole: false }
        });
        reading.end(found).map(|found| match found {
            Found::Messages { messages, .. } => messages,
            _ => Vec::new(),
        })
    }

    /// Lists all messages from the first on, following the page tokens, as the last reader.
    ///
    /// # Errors
    /// The refusal.
    pub async fn list_all(&self, door: Door, conversation: &str) -> Result<usize, Refusal> {
        let mut reading = Reading::begin(self, door, conversation, true);
        let (mut messages, mut page_token) = (Vec::new(), String::new());
        let found = loop {
            let request = message::ListMessagesRequest {
                conversation_id: conversation.to_owned(),
                page_size: PAGE_ITEMS,
                page_token,
                anchor: Some(message::list_messages_request::Anchor::AfterSeq(0)),
            };
            match self.call::<ListMessages>(door, request).await {
                Ok((response, bytes)) => {
                    reading.bytes.push(bytes);
                    messages.extend(response.messages.iter().map(message_of));
                    page_token = response.next_page_token;
                    if page_token.is_empty() {
                        let as_of = response.as_of_seq;
                        break Ok(Found::Messages { limit: PAGE_ITEMS as usize, messages, as_of, whole: true });
                    }
                }
                Err(refusal) => break Err(refusal),
            }
        };
        reading.end(found).map(|found| match found {
            Found::Messages { messages, .. } => messages.len(),
            _ => 0,
        })
    }

    /// Lists the pinned messages, all pages.
    ///
    /// # Errors
    /// The refusal.
    pub async fn list_pinned(&self, door: Door, conversation: &str, last: bool) -> Result<Vec<MessageView>, Refusal> {
        let mut reading = Reading::begin(self, door, conversation, last);
        let (mut messages, mut page_token) = (Vec::new(), String::new());
        let found = loop {
            let conversation_id = conversation.to_owned();
            let request = message::ListPinnedMessagesRequest { conversation_id, page_size: PAGE_ITEMS, page_token };
            match self.call::<ListPinnedMessages>(door, request).await {
                Ok((response, bytes)) => {
                    reading.bytes.push(bytes);
                    messages.extend(response.messages.iter().map(message_of));
                    page_token = response.next_page_token;
                    if page_token.is_empty() {
                        break Ok(Found::Pinned { messages, as_of: response.as_of_seq });
                    }
                }
                Err(refusal) => break Err(refusal),
            }
        };
        reading.end(found).map(|found| match found {
            Found::Pinned { messages, .. } => messages,
            _ => Vec::new(),
        })
    }

    /// Asks for heads.
    ///
    /// # Errors
    /// The refusal.
    pub async fn heads(
        &self,
        door: Door,
        conversations: &[String],
        last: bool,
    ) -> Result<BTreeMap<String, u64>, Refusal> {
        let mut reading = Reading::begin(self, door, "", last);
        let mut heads = Vec::new();
        let mut refused = None;
        for page in conversations.chunks(PAGE_ITEMS as usize) {
            let request = message::BatchGetHeadsRequest { conversation_ids: page.to_vec() };
            match self.call::<BatchGetHeads>(door, request).await {
                Ok((response, bytes)) => {
                    reading.bytes.push(bytes);
                    heads.extend(response.heads.iter().map(head_of));
                }
                Err(refusal) => refused = Some(refusal),
            }
        }
        let found = refused.map_or(Ok(Found::Heads(heads)), Err);
        reading.end(found).map(|found| match found {
            Found::Heads(heads) => heads.into_iter().map(|head| (head.conversation, head.head)).collect(),
            _ => BTreeMap::new(),
        })
    }

    /// Asks for the read positions of a conversation.
    ///
    /// # Errors
    /// The refusal.
    pub async fn positions(&self, door: Door, conversation: &str, last: bool) -> Result<(), Refusal> {
        let mut reading = Reading::begin(self, door, conversation, last);
        let request = message::ListPositionsRequest {
            conversation_id: conversation.to_owned(),
            page_size: PAGE_ITEMS,
            page_token: String::new(),
        };
        let found = self.call::<ListPositions>(door, request).await.map(|(response, bytes)| {
            reading.bytes.push(bytes);
            let positions = response.positions.iter().map(position_of).collect();
            Found::Positions { positions, as_of: response.as_of_seq }
        });
        reading.end(found).map(|_| ())
    }

    /// Lists the user's conversations, all pages.
    ///
    /// # Errors
    /// The refusal.
    pub async fn conversations(&self, door: Door, last: bool) -> Result<Vec<ConversationView>, Refusal> {
        let mut reading = Reading::begin(self, door, "", last);
        let (mut listed, mut page_token) = (Vec::new(), String::new());
        let found = loop {
            let request =
                conversation::ListConversationsRequest { page_size: PAGE_ITEMS, page_token, ..Default::default() };
            match self.call::<ListConversations>(door, request).await {
                Ok((response, bytes)) => {
                    reading.bytes.push(bytes);
                    listed.extend(response.conversations.into_iter().map(|found| ConversationView {
                        conversation: found.conversation_id,
                        peer: found.peer_user_id,
                    }));
                    page_token = response.next_page_token;
                    if page_token.is_empty() {
                        break Ok(Found::Conversations(listed));
                    }
                }
                Err(refusal) => break Err(refusal),
            }
        };
        reading.end(found).map(|found| match found {
            Found::Conversations(listed) => listed,
            _ => Vec::new(),
        })
    }
}
