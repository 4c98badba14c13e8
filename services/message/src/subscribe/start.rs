//! The begin of following: who may, and where the logs stand.

use std::sync::Arc;

use tokio::time::Instant;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::ConversationId;

use crate::app::App;
use crate::authorize::{Answer, Key, Need};
use crate::convert::Viewer;
use crate::domain::head::Head;
use crate::domain::membership::Standing;
use crate::error;

/// Conversations whose heads are read at once.
const HEADS_AT_ONCE: usize = 200;

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
    /// The head, and for users what they are.
    pub(super) outcome: Result<(Head, Option<Arc<Standing>>)>,
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
    let standings = admit(&app, &viewer, wanted, deadline).await;
    let mut all = Vec::with_capacity(starts.len());
    let mut admitted = Vec::new();
    for (start, standing) in starts.into_iter().zip(standings) {
        match standing {
            Ok(standing) => admitted.push((start, standing)),
            Err(error) => all.push(Started { start, correlation_id, outcome: Err(error) }),
        }
    }
    for chunk in admitted.chunks(HEADS_AT_ONCE) {
        let ids = chunk.iter().map(|(start, _)| start.conversation_id).collect();
        let heads = app.store.heads(ids).await.map_err(Error::from);
        for (index, (start, standing)) in chunk.iter().enumerate() {
            let outcome = heads.as_ref().map_err(Clone::clone).and_then(|heads| {
                let head = heads.get(index).copied().unwrap_or_default();
                match start.after_seq {
                    Some(after) if after > head.seq => Err(past_head()),
                    _ => Ok((head, standing.clone())),
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

/// For each conversation what the viewer is in it; nothing for gateways.
async fn admit(
    app: &App,
    viewer: &Viewer,
    wanted: Vec<ConversationId>,
    deadline: Instant,
) -> Vec<Result<Option<Arc<Standing>>>> {
    let Viewer::User(user) = viewer else { return wanted.iter().map(|_| Ok(None)).collect() };
    let keys: Vec<Key> = wanted.into_iter().map(|conversation_id| (conversation_id, user.clone())).collect();
    admit_users(app, &keys, Need::FRESH, Some(deadline)).await.into_iter().map(|admitted| admitted.map(Some)).collect()
}

/// What members are, in the order of the question.
pub(super) async fn admit_users(
    app: &App,
    keys: &[Key],
    need: Need,
    deadline: Option<Instant>,
) -> Vec<Result<Arc<Standing>>> {
    let admit =
        |answer: Answer| answer.standing.reader().map(|_| answer.standing.clone()).map_err(error::refused_at_door);
    match app.authorizer.answers(keys, need, deadline).await {
        Ok(answers) => answers.into_iter().map(admit).collect(),
        Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
    }
}
