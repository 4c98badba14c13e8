use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::page::{PageSealer, PageSize};
use viberchat_proto::message::v1::list_messages_request::Anchor;
use viberchat_proto::message::v1::{ListMessagesRequest, ListMessagesResponse};

use super::read;
use crate::app::App;
use crate::convert;
use crate::domain::visibility::View;
use crate::store::{MessageRange, MessageSlice};

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: ListMessagesRequest,
) -> Result<ListMessagesResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, standing) = read::reader(app, context, conversation_id).await?;
    let items = PageSize::clamp(request.page_size).get();
    if let Some(Anchor::AroundSeq(seq)) = request.anchor {
        return around(app, conversation_id, &user, &standing.view, seq, items).await;
    }
    let pager = Pager {
        pages: app.pages.for_method("ListMessages"),
        user: &user,
        filters: (conversation_id, direction(request.anchor.as_ref()), anchor_seq(request.anchor.as_ref())),
    };
    let range = pager.range(&request)?;
    let slice = page(app, conversation_id, &user, &standing.view, range, items).await?;
    let further = slice.searched_to.and_then(|seq| shown_part(&standing.view, range.from(seq)));
    Ok(ListMessagesResponse {
        next_page_token: pager.next(further.map(MessageRange::place))?,
        as_of_seq: slice.head.seq,
        messages: read::shown_messages(conversation_id, &user, &standing.view, slice.messages)?,
    })
}

/// A page without the long run of hidden messages that it may begin with.
async fn page(
    app: &App,
    conversation_id: ConversationId,
    user: &UserId,
    view: &View,
    range: MessageRange,
    items: usize,
) -> Result<MessageSlice> {
    // Nothing is shown there: the head is asked for, no message.
    let range = shown_part(view, range).unwrap_or(MessageRange::Before(0));
    Ok(app.store.messages(conversation_id, user.clone(), range, read::page_limit(items)).await?)
}

/// The range from the first place on that the user sees. `None`: there is none.
fn shown_part(view: &View, range: MessageRange) -> Option<MessageRange> {
    match range {
        MessageRange::Before(seq) => view.hidden_from(seq).map(MessageRange::Before),
        MessageRange::After(seq) => {
            let through = view.hidden_through(seq);
            (through < u64::MAX).then_some(MessageRange::After(through))
        }
    }
}

impl MessageRange {
    /// The same direction, from another place.
    fn from(self, seq: u64) -> Self {
        match self {
            Self::Before(_) => Self::Before(seq),
            Self::After(_) => Self::After(seq),
        }
    }

    fn place(self) -> u64 {
        match self {
            Self::Before(seq) | Self::After(seq) => seq,
        }
    }
}

/// Half before, half from the place on.
async fn around(
    app: &App,
    conversation_id: ConversationId,
    user: &UserId,
    view: &View,
    seq: u64,
    items: usize,
) -> Result<ListMessagesResponse> {
    // The earlier half first: as of the second read's head, both are complete.
    let before = page(app, conversation_id, user, view, MessageRange::Before(seq), (items / 2).max(1)).await?;
    let rest = items.saturating_sub(before.messages.len()).max(1);
    let after = page(app, conversation_id, user, view, MessageRange::After(seq.saturating_sub(1)), rest).await?;
    let as_of_seq = before.head.seq;
    let mut all = read::shown_messages(conversation_id, user, view, before.messages)?;
    all.extend(read::shown_messages(conversation_id, user, view, after.messages)?);
    Ok(ListMessagesResponse { messages: all, next_page_token: String::new(), as_of_seq })
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
