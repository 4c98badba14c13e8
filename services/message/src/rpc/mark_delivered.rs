use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_proto::message::v1::{MarkDeliveredRequest, MarkDeliveredResponse};

use super::read;
use crate::app::App;
use crate::convert;
use crate::domain::content::DELIVERED_MEMBERS_MAX;
use crate::domain::membership::ConversationKind;
use crate::domain::position::Mark;
use crate::domain::rules::Refusal;
use crate::error;
use crate::store::PositionSet;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: MarkDeliveredRequest,
) -> Result<MarkDeliveredResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, standing) = read::reader(app, context, conversation_id).await?;
    let is_kept = standing.kind == Some(ConversationKind::Direct) || standing.member_count <= DELIVERED_MEMBERS_MAX;
    // Up to the beginning of the log everything is delivered: that asks, and changes nothing.
    let mark = Mark::Delivered(if is_kept { request.seq } else { 0 });
    match app.store.set_position(conversation_id, user, mark).await? {
        PositionSet::Set { head, .. } if request.seq > head.seq => Err(error::past_head("seq", head.seq)),
        PositionSet::PastHead { head } => Err(error::past_head("seq", head)),
        // Removed since the answer that let the call in.
        PositionSet::NoMember => Err(error::refused_at_door(Refusal::NotMember)),
        PositionSet::Set { position, moved, .. } => {
            if moved {
                app.bus.publish(conversation_id, &[], std::slice::from_ref(&position));
            }
            let position = Some(convert::position_to_proto(conversation_id, &position));
            Ok(MarkDeliveredResponse { position })
        }
    }
}
