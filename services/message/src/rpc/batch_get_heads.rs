use std::sync::Arc;
use std::time::Duration;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_proto::message::v1::{BatchGetHeadsRequest, BatchGetHeadsResponse, Head};

use super::read;
use crate::app::App;
use crate::authorize::Need;
use crate::convert;
use crate::domain::membership::Standing;
use crate::domain::position::unread_count;
use crate::error;
use crate::store::Overview;

const CONVERSATIONS_MAX: usize = 200;
/// How often members are asked about again because the log knows of a later change.
const ROUNDS_MAX: usize = 4;

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
    let mut wanted = wanted.collect::<Result<Vec<_>>>()?;
    wanted.sort_unstable();
    wanted.dedup();
    let mut heads = Vec::with_capacity(wanted.len());
    let mut need = Need::FRESH;
    for _ in 0..ROUNDS_MAX {
        let readable = readable(app, context, &user, wanted, need).await?;
        wanted = Vec::new();
        for (conversation_id, standing, overview) in overviews(app, &user, readable).await? {
            // The log was changed after the answer was given: in it the user may be gone, and their position with them.
            if overview.head.conversation_version > standing.version || !standing.has_joined_by(overview.head.seq) {
                wanted.push(conversation_id);
            } else {
                heads.push(head(conversation_id, &user, &standing, overview)?);
            }
        }
        if wanted.is_empty() {
            return Ok(BatchGetHeadsResponse { heads });
        }
        need = Need::younger_than(Duration::ZERO);
    }
    // Leaving them out would say that the user is no member of them.
    Err(error::membership_unavailable())
}

/// Those of which the user is a member.
async fn readable(
    app: &Arc<App>,
    context: &CallContext,
    user: &UserId,
    wanted: Vec<ConversationId>,
    need: Need,
) -> Result<Vec<(ConversationId, Arc<Standing>)>> {
    let keys: Vec<_> = wanted.iter().map(|conversation_id| (*conversation_id, user.clone())).collect();
    let answers = app.authorizer.answers(&keys, need, context.deadline).await?;
    let members = wanted.into_iter().zip(answers).filter(|(_, answer)| answer.standing.reader().is_ok());
    Ok(members.map(|(conversation_id, answer)| (conversation_id, answer.standing)).collect())
}

async fn overviews(
    app: &App,
    user: &UserId,
    readable: Vec<(ConversationId, Arc<Standing>)>,
) -> Result<Vec<(ConversationId, Arc<Standing>, Overview)>> {
    if readable.is_empty() {
        return Ok(Vec::new());
    }
    // What the user has deleted for themselves is not unread.
    let asked = readable.iter().map(|(id, standing)| (*id, standing.view.cleared_seq())).collect();
    let overviews = app.store.overviews(user.clone(), asked).await?;
    Ok(readable.into_iter().zip(overviews).map(|((id, standing), overview)| (id, standing, overview)).collect())
}

fn head(conversation_id: ConversationId, user: &UserId, standing: &Standing, overview: Overview) -> Result<Head> {
    let Overview { head, last_message, position, passed_message_no } = overview;
    let last_message = last_message.filter(|_| standing.view.shows(head.last_message_seq));
    let last_message = last_message.map(|record| convert::message(conversation_id, record)).transpose()?;
    Ok(Head {
        conversation_id: conversation_id.to_string(),
        head_seq: head.seq,
        message_no: head.message_no,
        last_message: last_message.map(|message| convert::message_to_proto(message, &read::viewer(user))),
        read_seq: position.read_seq,
        unread_count: unread_count(head.message_no, passed_message_no),
        as_of_seq: head.seq,
        head_time: head.time.map(viberchat_kit::clock::Timestamp::to_proto),
    })
}
