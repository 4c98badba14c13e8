use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_proto::message::v1::{MarkReadRequest, MarkReadResponse};

use super::read;
use crate::app::App;
use crate::convert;
use crate::domain::position::unread_count;
use crate::domain::rules::Refusal;
use crate::error;
use crate::store::PositionSet;

pub(super) async fn handle(
    app: &Arc<App>,
    context: &CallContext,
    request: MarkReadRequest,
) -> Result<MarkReadResponse> {
    let conversation_id = convert::conversation_id(&request.conversation_id)?;
    let (user, _) = read::reader(app, context, conversation_id).await?;
    match app.store.set_position(conversation_id, user, request.seq).await? {
        PositionSet::PastHead { head } => {
            Err(Error::invalid_argument("seq", format!("is past the head, which is {head}")))
        }
        // Removed since the answer that let the call in.
        PositionSet::NoMember => Err(error::refused_at_door(Refusal::NotMember)),
        PositionSet::Set { position, moved, head } => {
            if moved {
                app.bus.publish(conversation_id, &[], std::slice::from_ref(&position));
            }
            Ok(MarkReadResponse {
                unread_count: unread_count(head.message_no, position.read_message_no),
                position: Some(convert::position_to_proto(conversation_id, &position)),
                as_of_seq: head.seq,
            })
        }
    }
}
