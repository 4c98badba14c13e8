use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::page::{PageSealer, PageSize};
use viberchat_proto::message::v1::list_messages_request::Anchor;
use viberchat_proto::message::v1::{ListMessagesRequest, ListMessagesResponse, Message};

use super::read;
use crate::app::App;
use crate::convert;
use crate::store::{MessageRange, MessageSlice};

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: ListMessagesRequest,
) -> Result<ListMessagesResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, _) = read::reader(app, context, conversation_id).await?;
    let items = PageSize::clamp(request.page_size).get();
    if let Some(Anchor::AroundSeq(seq)) = request.anchor {
        return around(app, conversation_id, &user, seq, items).await;
    }
    let pager = Pager {
        pages: app.pages.for_method("ListMessages"),
        user: &user,
        filters: (conversation_id, direction(request.anchor.as_ref()), anchor_seq(request.anchor.as_ref())),
    };
    let range = pager.range(&request)?;
    let slice = app.store.messages(conversation_id, range, read::page_limit(items)).await?;
    Ok(ListMessagesResponse {
        next_page_token: pager.next(slice.searched_to)?,
        as_of_seq: slice.head.seq,
        messages: messages(conversation_id, &user, slice)?,
    })
}

/// Half before, half from the place on.
async fn around(
    app: &App,
    conversation_id: ConversationId,
    user: &UserId,
    seq: u64,
    items: usize,
) -> Result<ListMessagesResponse> {
    let half = read::page_limit((items / 2).max(1));
    // The earlier half first: as of the second read's head, both are complete.
    let before = app.store.messages(conversation_id, MessageRange::Before(seq), half).await?;
    let rest = read::page_limit(items.saturating_sub(before.messages.len()).max(1));
    let from = MessageRange::After(seq.saturating_sub(1));
    let after = app.store.messages(conversation_id, from, rest).await?;
    let as_of_seq = before.head.seq;
    let mut all = messages(conversation_id, user, before)?;
    all.extend(messages(conversation_id, user, after)?);
    Ok(ListMessagesResponse { messages: all, next_page_token: String::new(), as_of_seq })
}

fn messages(conversation_id: ConversationId, user: &UserId, slice: MessageSlice) -> Result<Vec<Message>> {
    let viewer = read::viewer(user);
    let records = slice.messages.into_iter();
    records.map(|record| Ok(convert::message_to_proto(convert::message(conversation_id, record)?, &viewer))).collect()
}

/// Makes and opens the tokens of one list.
struct Pager<'a> {
    pages: PageSealer,
    user: &'a UserId,
    filters: (ConversationId, &'static str, u64),
}

impl Pager<'_> {
    /// Where the wanted page lies.
    fn range(&self, request: &ListMessagesRequest) -> Result<MessageRange> {
        let from = match request.page_token.as_str() {
            "" => None,
            token => Some(self.pages.open::<u64>(self.user.as_str(), &self.filters, token)?),
        };
        Ok(match request.anchor {
            None => MessageRange::Before(from.unwrap_or(u64::MAX)),
            Some(Anchor::BeforeSeq(seq)) => MessageRange::Before(from.unwrap_or(seq)),
            Some(Anchor::AfterSeq(seq)) => MessageRange::After(from.unwrap_or(seq)),
            Some(Anchor::AroundSeq(_)) => return Err(Error::internal("a page around a place has no direction")),
        })
    }

    /// The token of the page after the one that was searched up to here.
    fn next(&self, searched_to: Option<u64>) -> Result<String> {
        match searched_to {
            Some(seq) => self.pages.seal(self.user.as_str(), &self.filters, &seq),
            None => Ok(String::new()),
        }
    }
}

fn direction(anchor: Option<&Anchor>) -> &'static str {
    match anchor {
        None => "newest",
        Some(Anchor::BeforeSeq(_)) => "before",
        Some(Anchor::AfterSeq(_)) => "after",
        Some(Anchor::AroundSeq(_)) => "around",
    }
}

fn anchor_seq(anchor: Option<&Anchor>) -> u64 {
    match anchor {
        None => 0,
        Some(Anchor::BeforeSeq(seq) | Anchor::AfterSeq(seq) | Anchor::AroundSeq(seq)) => *seq,
    }
}
