//! What all writes to the log share: who writes, the id, the deadline, the wait for the lane, and the message as it
//! stands afterwards.

use std::sync::Arc;

use tokio::time::Instant;
use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::{ConversationId, RequestId, UserId};

use crate::activity::Newest;
use crate::app::App;
use crate::authorize::{Answer, Need};
use crate::convert;
use crate::domain::dedup::WriteId;
use crate::domain::membership::ConversationKind;
use crate::domain::message::Message;
use crate::domain::rules::{Intent, Proposal};
use crate::error;
use crate::lane::{Link, Request, Stored, Ticket};

/// A user's write, decoded and checked, not authorized yet.
pub(super) struct Write {
    pub(super) conversation_id: ConversationId,
    pub(super) user: UserId,
    pub(super) request_id: RequestId,
    pub(super) known_seq: Option<u64>,
    pub(super) intent: Intent,
}

/// When the caller stops waiting.
pub(super) fn deadline(app: &App, context: &CallContext) -> Instant {
    context.deadline.unwrap_or_else(|| Instant::now() + app.config.timeout_default())
}

/// Whether the user may write at all; decided again at the head.
pub(super) async fn authorize(app: &Arc<App>, write: &Write, deadline: Instant) -> Result<Answer> {
    let answer = app.authorizer.answer(write.conversation_id, &write.user, Need::FRESH, Some(deadline)).await?;
    admit(&answer)?;
    Ok(answer)
}

/// Refuses strangers before they cost the log anything.
pub(super) fn admit(answer: &Answer) -> Result<()> {
    answer.standing.reader().map(drop).map_err(error::refused_at_door)
}

/// Puts a write into its lane.
pub(super) fn submit(app: &App, write: Write, answer: Answer, deadline: Instant, link: Option<Link>) -> Result<Ticket> {
    let Write { conversation_id, user, request_id, known_seq, intent } = write;
    let fingerprint = fingerprint(app, conversation_id, &user, &request_id, &intent);
    let id = WriteId { user: user.clone(), request_id };
    let proposal = Proposal { actor: user, id: Some((id, fingerprint)), intent };
    app.lanes.submit(conversation_id, Request { proposal, known_seq, answer: Some(answer), deadline, link })
}

/// Authorizes a write, appends it, and waits until it is stored.
pub(super) async fn append(app: &Arc<App>, context: &CallContext, write: Write) -> Result<Stored> {
    let deadline = deadline(app, context);
    let answer = authorize(app, &write, deadline).await?;
    submit(app, write, answer, deadline, None)?.wait().await
}

/// Of what the caller means; not of how it came or whether it moves a position.
fn fingerprint(
    app: &App,
    conversation_id: ConversationId,
    user: &UserId,
    request_id: &RequestId,
    intent: &Intent,
) -> [u8; 16] {
    let print = |body: &[&[u8]]| app.fingerprint(conversation_id, user, request_id, body);
    match intent {
        Intent::Send { text, .. } => print(&[b"send", text.as_bytes()]),
        Intent::Edit { message_id, text } => print(&[b"edit", message_id.as_bytes(), text.as_bytes()]),
        Intent::Delete { message_id } => print(&[b"delete", message_id.as_bytes()]),
        Intent::System { .. } => print(&[b"system"]),
    }
}

/// The message at `seq` as it stands now.
pub(super) async fn present_message(app: &App, conversation_id: ConversationId, seq: u64) -> Result<Message> {
    let slice = app.store.messages_at(conversation_id, vec![seq]).await?;
    let found = slice.messages.into_iter().next().ok_or_else(error::message_not_found)?;
    Ok(convert::message(conversation_id, found)?)
}

/// The first message of a direct announces it to the peer before the ack; a repeated one does so again.
pub(super) async fn announce_first(app: &Arc<App>, kind: Option<ConversationKind>, message: &Message) {
    if kind == Some(ConversationKind::Direct) && message.message_no == 1 {
        let Message { conversation_id, seq, create_time: time, .. } = *message;
        app.activity.announce(Newest { conversation_id, seq, time }).await;
    }
}
