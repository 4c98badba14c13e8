//! What all writes to a message share: edits, deletions, reactions and pins.

use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::MessageId;
use viberchat_proto::message::v1::Message;

use super::write::Write;
use super::{read, write};
use crate::app::App;
use crate::convert;
use crate::domain::rules::Intent;
use crate::error;

/// The ids that each of these requests carries.
pub(super) struct Named<'a> {
    pub(super) conversation_id: &'a str,
    pub(super) message_id: &'a str,
    pub(super) request_id: &'a str,
    pub(super) known_seq: Option<u64>,
}

/// How it ended: the message as it stands, the entry's seq (0: there was nothing to change), and whether an earlier try had
/// stored it.
pub(super) type Written = (Option<Message>, u64, bool);

/// Appends what `intent` makes of the message, and reads the message as it stands then.
pub(super) async fn append(
    app: &Arc<App>,
    context: &CallContext,
    named: Named<'_>,
    intent: impl FnOnce(MessageId) -> Result<Intent>,
) -> Result<Written> {
    let user = context.user()?.clone();
    let conversation_id = convert::conversation_id(named.conversation_id)?;
    let message_id = convert::message_id(named.message_id)?;
    let request_id = convert::request_id("request_id", named.request_id)?;
    let (known_seq, intent) = (named.known_seq, intent(message_id)?);
    let write = Write { conversation_id, user: user.clone(), request_id, known_seq, intent };
    let stored = write::append(app, context, write).await?;
    let message_seq = message_id.seq().ok_or_else(error::message_not_found)?;
    let message = write::present_message(app, conversation_id, &user, message_seq).await?;
    let message = convert::message_to_proto(message, &read::viewer(&user));
    Ok((Some(message), stored.seq(), stored.is_duplicate()))
}
