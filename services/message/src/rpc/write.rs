//! What all writes to the log share: who writes, the id, the deadline, the wait for the lane, and the message as it
//! stands afterwards.

use std::sync::Arc;

use tokio::time::Instant;
use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::{ConversationId, MessageId, RequestId, UserId};

use crate::activity::Newest;
use crate::app::App;
use crate::authorize::{Answer, Need};
use crate::convert;
use crate::domain::content::Metadata;
use crate::domain::dedup::WriteId;
use crate::domain::membership::{ConversationKind, Standing};
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

/// What the conversation service says about the users of a write.
pub(super) struct Admission {
    pub(super) answer: Answer,
    /// Of those whom it mentions, in their order. Whether they are members is decided at the head: an id that is stored
    /// already stays a duplicate, whoever has left since.
    pub(super) mentioned: Vec<Arc<Standing>>,
}

/// Whether the user may write at all; decided again at the head.
pub(super) async fn authorize(app: &Arc<App>, write: &Write, deadline: Instant) -> Result<Admission> {
    let answer = app.authorizer.answer(write.conversation_id, &write.user, Need::WRITE, Some(deadline)).await?;
    admit(&answer)?;
    let mentioned = mentioned(app, write.conversation_id, write.intent.mentions(), Some(deadline)).await?;
    Ok(Admission { answer, mentioned })
}

/// What the conversation service says about those whom a message mentions.
pub(super) async fn mentioned(
    app: &App,
    conversation_id: ConversationId,
    mentions: &[UserId],
    deadline: Option<Instant>,
) -> Result<Vec<Arc<Standing>>> {
    if mentions.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = mentions.iter().map(|user| (conversation_id, user.clone())).collect();
    let answers = app.authorizer.answers(&keys, Need::FRESH, deadline).await?;
    Ok(answers.into_iter().map(|answer| answer.standing).collect())
}

/// Refuses strangers before they cost the log anything.
pub(super) fn admit(answer: &Answer) -> Result<()> {
    answer.standing.reader().map(drop).map_err(error::refused_at_door)
}

/// Puts a write into its lane.
pub(super) fn submit(
    app: &App,
    write: Write,
    admission: Admission,
    deadline: Instant,
    link: Option<Link>,
) -> Result<Ticket> {
    let Admission { answer, mentioned } = admission;
    let Write { conversation_id, user, request_id, known_seq, intent } = write;
    let fingerprint = fingerprint(app, conversation_id, &user, &request_id, &intent);
    let id = WriteId { user: user.clone(), request_id };
    let proposal = Proposal { actor: user, id: Some((id, fingerprint)), intent, mentioned };
    app.lanes.submit(conversation_id, Request { proposal, known_seq, answer: Some(answer), deadline, link })
}

/// Authorizes a write, appends it, and waits until it is stored.
pub(super) async fn append(app: &Arc<App>, context: &CallContext, write: Write) -> Result<Stored> {
    let deadline = deadline(app, context);
    let admission = authorize(app, &write, deadline).await?;
    submit(app, write, admission, deadline, None)?.wait().await
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
        Intent::Send { text, reply_to, mentions, metadata, .. } => {
            let mut body: Vec<&[u8]> = vec![b"send", text.as_bytes()];
            push_more(&mut body, reply_to.as_ref(), mentions, Some(metadata));
            print(&body)
        }
        Intent::Edit { message_id, text, mentions } => {
            let mut body: Vec<&[u8]> = vec![b"edit", message_id.as_bytes(), text.as_bytes()];
            push_more(&mut body, None, mentions, None);
            print(&body)
        }
        Intent::Delete { message_id } => print(&[b"delete", message_id.as_bytes()]),
        Intent::React { message_id, emoji } => print(&[b"react", message_id.as_bytes(), emoji.as_bytes()]),
        Intent::Unreact { message_id, emoji } => print(&[b"unreact", message_id.as_bytes(), emoji.as_bytes()]),
        Intent::Pin { message_id } => print(&[b"pin", message_id.as_bytes()]),
        Intent::Unpin { message_id } => print(&[b"unpin", message_id.as_bytes()]),
        Intent::System { .. } => print(&[b"system"]),
    }
}

/// What a message carries beside its text. Each part comes after its name, and absent ones leave nothing: what an earlier
/// release stored without them has the same fingerprint.
fn push_more<'a>(
    body: &mut Vec<&'a [u8]>,
    reply_to: Option<&'a MessageId>,
    mentions: &'a [UserId],
    metadata: Option<&'a Metadata>,
) {
    if let Some(message_id) = reply_to {
        body.extend([b"reply".as_slice(), message_id.as_bytes()]);
    }
    for user in mentions {
        body.extend([b"mention".as_slice(), user.as_str().as_bytes()]);
    }
    for (name, value) in metadata.into_iter().flatten() {
        body.extend([b"metadata".as_slice(), name.as_bytes(), value.as_bytes()]);
    }
}

/// The message at `seq` as it stands now, for its reader.
pub(super) async fn present_message(
    app: &App,
    conversation_id: ConversationId,
    user: &UserId,
    seq: u64,
) -> Result<Message> {
    let slice = app.store.messages_at(conversation_id, Some(user.clone()), vec![seq]).await?;
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
