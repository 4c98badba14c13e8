//! What all changes of groups share: done once per request id, committed and relayed in a task that outlives the call,
//! answered with the seq of the entry or, after a second, with `pending`.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::oneshot;
use tokio::time::timeout;
use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::fault;
use viberchat_kit::id::ConversationId;
use viberchat_proto::conversation::v1::*;

use super::{State, field};
use crate::convert::{conversation_to_proto, encode_entry, member_to_proto};
use crate::domain::{GroupChange, NewGroup};
use crate::store::{Applied, ChangeError, ConversationStore, Encoded, EntryRef, Executed, RequestKey};

/// Kept free of the caller's deadline for the way back.
const ANSWER_MARGIN: Duration = Duration::from_millis(20);

/// A request that changes a group.
pub(super) trait ChangeRequest: Message {
    /// Request ids are a space for each method and caller.
    const METHOD: &'static str;
    fn request_id(&self) -> &str;
}

/// An answer that says where the entry is.
pub(super) trait ChangeResponse: Message + Default {
    fn of(applied: &Applied) -> Self;
    fn set_entry(&mut self, seq: u64, pending: bool);
}

macro_rules! change_requests {
    ($($request:ident $method:literal)*) => {
        $(impl ChangeRequest for $request {
            const METHOD: &'static str = $method;

            fn request_id(&self) -> &str {
                &self.request_id
            }
        })*
    };
}

change_requests! {
    CreateGroupConversationRequest "CreateGroupConversation"
    DeleteConversationRequest "DeleteConversation"
    UpdateConversationRequest "UpdateConversation"
    AddMembersRequest "AddMembers"
    RemoveMemberRequest "RemoveMember"
    LeaveConversationRequest "LeaveConversation"
    UpdateMemberRoleRequest "UpdateMemberRole"
}

macro_rules! change_responses {
    ($($response:ident { $($field:ident: $value:expr)? })*) => {
        $(impl ChangeResponse for $response {
            fn of(applied: &Applied) -> Self {
                let _ = applied;
                Self { $($field: $value(applied),)? seq: 0, pending: false }
            }

            fn set_entry(&mut self, seq: u64, pending: bool) {
                (self.seq, self.pending) = (seq, pending);
            }
        })*
    };
}

change_responses! {
    CreateGroupConversationResponse { conversation: conversation }
    DeleteConversationResponse {}
    UpdateConversationResponse { conversation: conversation }
    AddMembersResponse { conversation: conversation }
    RemoveMemberResponse { conversation: conversation }
    LeaveConversationResponse {}
    UpdateMemberRoleResponse { member: member }
}

fn conversation(applied: &Applied) -> Option<Conversation> {
    applied.view.as_ref().map(conversation_to_proto)
}

fn member(applied: &Applied) -> Option<Member> {
    applied.member.as_ref().map(member_to_proto)
}

/// What to do to which group.
pub(super) enum Act {
    Create(NewGroup),
    Change(ConversationId, GroupChange),
}

/// Does it, unless an earlier call with the same request id did.
pub(super) async fn execute<S, Q, A>(state: &Arc<State<S>>, context: &CallContext, request: &Q, act: Act) -> Result<A>
where
    S: ConversationStore + Clone,
    Q: ChangeRequest,
    A: ChangeResponse,
{
    let key = request_key(state, context, request)?;
    let task = {
        let (state, key) = (state.clone(), key.clone());
        async move { commit_and_relay::<S, A>(&state, &key, &act).await }
    };
    // The caller may go away at any moment: what was committed is relayed all the same.
    let done = state.lifecycle.spawn("conversation.change", task).await;
    let (executed, seq) = done.map_err(Error::internal)??;
    let mut answer = A::decode(executed.response.as_slice()).map_err(Error::internal)?;
    if let Some(entry) = executed.entry {
        let seq = match entry.seq {
            Some(seq) => Some(seq),
            None => wait_for_seq(state, context, &key, seq).await?,
        };
        answer.set_entry(seq.unwrap_or(0), seq.is_none());
    }
    Ok(answer)
}

fn request_key<S, Q: ChangeRequest>(state: &State<S>, context: &CallContext, request: &Q) -> Result<RequestKey> {
    let body = request.encode_to_vec();
    Ok(RequestKey {
        caller: context.user()?.clone(),
        method: Q::METHOD,
        request_id: field::request_id(request.request_id())?,
        fingerprint: state.keys.fingerprint.hmac(&[Q::METHOD.as_bytes(), &body]),
        acting_service: context.caller.service_name().map(str::to_owned),
        expires_at: state.clock.now().saturating_add(state.config.request_retention()),
    })
}

type Committed = (Executed, Option<oneshot::Receiver<u64>>);

async fn commit_and_relay<S: ConversationStore + Clone, A: ChangeResponse>(
    state: &State<S>,
    key: &RequestKey,
    act: &Act,
) -> std::result::Result<Committed, ChangeError> {
    let (now, limits) = (state.clock.now(), state.config.limits());
    let encode = |applied: &Applied| Encoded {
        response: A::of(applied).encode_to_vec(),
        entry: applied.entry.as_ref().map(encode_entry),
    };
    let executed = match act {
        Act::Create(group) => state.store.create_group(group, key, &limits, now, encode).await?,
        Act::Change(conversation, change) => {
            state.store.change_group(*conversation, change, key, &limits, now, encode).await?
        }
    };
    if !executed.replayed {
        fault::kill_point("conversation.change_committed");
        state.wake.wake();
    }
    let missing = executed.entry.filter(|entry: &EntryRef| entry.seq.is_none());
    let seq = missing.map(|entry| state.relay.relay(&entry));
    Ok((executed, seq))
}

/// The seq, if it comes in time.
async fn wait_for_seq<S: ConversationStore + Clone>(
    state: &State<S>,
    context: &CallContext,
    key: &RequestKey,
    receiver: Option<oneshot::Receiver<u64>>,
) -> Result<Option<u64>> {
    let Some(receiver) = receiver else { return Ok(None) };
    let wait = match context.remaining() {
        Some(remaining) => state.config.entry_wait().min(remaining.saturating_sub(ANSWER_MARGIN)),
        None => state.config.entry_wait(),
    };
    match timeout(wait, receiver).await {
        Ok(Ok(seq)) => Ok(Some(seq)),
        // The run ended without this entry: somebody else relayed it, or it is left to the sweep.
        Ok(Err(_)) => Ok(state.store.entry_seq(key).await?),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
