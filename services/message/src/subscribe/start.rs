//! The begin of following: who may, and where the logs stand.

use std::sync::Arc;

use futures::StreamExt as _;
use tokio::time::Instant;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};

use crate::app::App;
use crate::authorize::Need;
use crate::convert::Viewer;
use crate::domain::head::Head;
use crate::error;

/// Conversations whose heads are read at once.
const HEADS_AT_ONCE: usize = 200;
/// Questions to the conversation service at once.
const QUESTIONS_AT_ONCE: usize = 32;

/// A conversation that a request wants to follow.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) conversation_id: ConversationId,
    /// `None`: at the head.
    pub(super) after_seq: Option<u64>,
    pub(super) generation: u64,
}

/// What was found out about it.
pub(super) struct Started {
    pub(super) start: Start,
    pub(super) correlation_id: u64,
    /// The head, and for users the version at which they are a member.
    pub(super) outcome: Result<(Head, u64)>,
}

/// Finds out where the logs stand. The conversations are registered with the bus already, so nothing that is appended
/// after this read is missed.
pub(super) async fn find_out(
    app: Arc<App>,
    viewer: Viewer,
    starts: Vec<Start>,
    correlation_id: u64,
    deadline: Instant,
) -> Vec<Started> {
    let wanted = starts.iter().map(|start| start.conversation_id).collect();
    let versions = admit(&app, &viewer, wanted, deadline).await;
    let mut all = Vec::with_capacity(starts.len());
    let mut admitted = Vec::new();
    for (start, version) in starts.into_iter().zip(versions) {
        match version {
            Ok(version) => admitted.push((start, version)),
            Err(error) => all.push(Started { start, correlation_id, outcome: Err(error) }),
        }
    }
    for chunk in admitted.chunks(HEADS_AT_ONCE) {
        let ids = chunk.iter().map(|(start, _)| start.conversation_id).collect();
        let heads = app.store.heads(ids).await.map_err(Error::from);
        for (index, (start, version)) in chunk.iter().enumerate() {
            let outcome = heads.as_ref().map_err(Clone::clone).and_then(|heads| {
                let head = heads.get(index).copied().unwrap_or_default();
                match start.after_seq {
                    Some(after) if after > head.seq => Err(past_head()),
                    _ => Ok((head, *version)),
                }
            });
            all.push(Started { start: start.clone(), correlation_id, outcome });
        }
    }
    all
}

fn past_head() -> Error {
    Error::invalid_argument("after_seq", "is past the head of the log")
}

/// For each conversation the version at which the viewer is a member; 0 for gateways.
async fn admit(app: &Arc<App>, viewer: &Viewer, wanted: Vec<ConversationId>, deadline: Instant) -> Vec<Result<u64>> {
    let Viewer::User(user) = viewer else { return wanted.iter().map(|_| Ok(0)).collect() };
    let questions =
        wanted.into_iter().map(|conversation_id| admit_user(app, conversation_id, user, Need::FRESH, Some(deadline)));
    futures::stream::iter(questions).buffered(QUESTIONS_AT_ONCE).collect().await
}

/// The version at which a user is a member.
pub(super) async fn admit_user(
    app: &Arc<App>,
    conversation_id: ConversationId,
    user: &UserId,
    need: Need,
    deadline: Option<Instant>,
) -> Result<u64> {
    let answer = app.authorizer.answer(conversation_id, user, need, deadline).await?;
    answer.standing.reader().map_err(error::refused_at_door)?;
    Ok(answer.standing.version)
}
