use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{MarkReadRequest, MarkReadResponse};

use super::read;
use crate::app::App;
use crate::convert;
use crate::domain::position::{Mark, unread_count};
use crate::domain::rules::Refusal;
use crate::error;
use crate::store::PositionSet;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: MarkReadRequest,
) -> Result<MarkReadResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, standing) = read::reader(app, context, conversation_id).await?;
    match app.store.set_position(conversation_id, user.clone(), Mark::Read(request.seq)).await? {
        PositionSet::PastHead { head } => Err(error::past_head("seq", head)),
        // Removed since the answer that let the call in.
        PositionSet::NoMember => Err(error::refused_at_door(Refusal::NotMember)),
        PositionSet::Set { position, moved, head } => {
            if moved {
                app.bus.publish(conversation_id, &[], std::slice::from_ref(&position));
            }
            let cleared_seq = standing.view.cleared_seq();
            let (head, passed) = if cleared_seq > position.read_seq {
                // What the user has deleted for themselves is not unread.
                let overviews = app.store.overviews(user, vec![(conversation_id, cleared_seq)]).await?;
                overviews.first().map_or((head, 0), |overview| (overview.head, overview.passed_message_no))
            } else {
                (head, position.read_message_no)
            };
            Ok(MarkReadResponse {
                unread_count: unread_count(head.message_no, passed),
                position: Some(convert::position_to_proto(conversation_id, &position)),
                as_of_seq: head.seq,
            })
        }
    }
}
