use std::sync::Arc;

use futures::StreamExt as _;
use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::message::v1::{BatchGetHeadsRequest, BatchGetHeadsResponse, Head};

use super::read;
use crate::app::App;
use crate::authorize::Need;
use crate::convert;
use crate::domain::position::unread_count;
use crate::store::Overview;

const CONVERSATIONS_MAX: usize = 200;
/// Questions to the conversation service at once.
const QUESTIONS_AT_ONCE: usize = 32;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: BatchGetHeadsRequest,
) -> Result<BatchGetHeadsResponse> {
    let user = context.user()?.clone();
    if request.conversation_ids.len() > CONVERSATIONS_MAX {
        return Err(Error::invalid_argument("conversation_ids", format!("names more than {CONVERSATIONS_MAX}")));
    }
    let wanted = request.conversation_ids.iter().map(|text| convert::conversation_id(text));
    let readable = readable(app, context, &user, wanted.collect::<Result<Vec<_>>>()?).await?;
    if readable.is_empty() {
        return Ok(BatchGetHeadsResponse { heads: Vec::new() });
    }
    let overviews = app.store.overviews(user.clone(), readable.clone()).await?;
    let heads = readable.into_iter().zip(overviews).map(|(id, overview)| head(id, &user, overview));
    Ok(BatchGetHeadsResponse { heads: heads.filter_map(Result::transpose).collect::<Result<_>>()? })
}

/// Those of which the user is a member.
async fn readable(
    app: &Arc<App>,
    context: &CallContext,
    user: &UserId,
    mut wanted: Vec<ConversationId>,
) -> Result<Vec<ConversationId>> {
    wanted.sort_unstable();
    wanted.dedup();
    let questions = wanted.into_iter().map(|conversation_id| async move {
        let answer = app.authorizer.answer(conversation_id, user, Need::FRESH, context.deadline).await?;
        Ok::<_, Error>(answer.standing.reader().is_ok().then_some(conversation_id))
    });
    let answers: Vec<_> = futures::stream::iter(questions).buffered(QUESTIONS_AT_ONCE).collect().await;
    // Leaving one out would say that the user is no member of it.
    answers.into_iter().filter_map(Result::transpose).collect()
}

/// `None`: the user was removed since the answer that let the call in.
fn head(conversation_id: ConversationId, user: &UserId, overview: Overview) -> Result<Option<Head>> {
    let Overview { head, last_message, position } = overview;
    let Some(position) = position else { return Ok(None) };
    let last_message = last_message.map(|record| convert::message(conversation_id, record)).transpose()?;
    Ok(Some(Head {
        conversation_id: conversation_id.to_string(),
        head_seq: head.seq,
        message_no: head.message_no,
        last_message: last_message.map(|message| convert::message_to_proto(message, &read::viewer(user))),
        read_seq: position.read_seq,
        unread_count: unread_count(head.message_no, position.read_message_no),
        as_of_seq: head.seq,
        head_time: head.time.map(viberchat_kit::clock::Timestamp::to_proto),
    }))
}
