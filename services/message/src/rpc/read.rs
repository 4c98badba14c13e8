//! What all reads share.

use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::message::v1::Message;

use crate::app::App;
use crate::authorize::Need;
use crate::convert::{self, Viewer};
use crate::domain::membership::Standing;
use crate::domain::visibility::View;
use crate::error;
use crate::store::{MessageRecord, ReadLimit};

/// Bytes of one page.
const PAGE_BYTES_MAX: usize = 512 * 1024;

/// A page of so many items.
pub(super) fn page_limit(items: usize) -> ReadLimit {
    ReadLimit { items, bytes: PAGE_BYTES_MAX }
}

impl ReadLimit {
    /// Of at most so many bytes; 0: no matter.
    pub(super) fn within(self, bytes_max: u32) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let bytes = if bytes_max == 0 { self.bytes } else { self.bytes.min(bytes_max) };
        Self { bytes, ..self }
    }
}

/// The user who reads, if they are a member now. A former one reads nothing.
pub(super) async fn reader(
    app: &Arc<App>,
    context: &CallContext,
    conversation_id: ConversationId,
) -> Result<(UserId, Arc<Standing>)> {
    let user = context.user()?.clone();
    let answer = app.authorizer.answer(conversation_id, &user, Need::FRESH, context.deadline).await?;
    answer.standing.reader().map_err(error::refused_at_door)?;
    Ok((user, answer.standing))
}

/// What a user sees of their own and others' writes.
pub(super) fn viewer(user: &UserId) -> Viewer {
    Viewer::User(user.clone())
}

/// Those of these messages that the user sees.
pub(super) fn shown_messages(
    conversation_id: ConversationId,
    user: &UserId,
    view: &View,
    records: Vec<MessageRecord>,
) -> Result<Vec<Message>> {
    let viewer = viewer(user);
    let shown = records.into_iter().filter(|message| view.shows(message.record.head.seq));
    shown.map(|record| Ok(convert::message_to_proto(convert::message(conversation_id, record)?, &viewer))).collect()
}
