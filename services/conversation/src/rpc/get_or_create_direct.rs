use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::ConversationId;
use viberchat_proto::conversation::v1::{GetOrCreateDirectConversationRequest, GetOrCreateDirectConversationResponse};

use super::{State, field};
use crate::convert::conversation_to_proto;
use crate::domain::DirectPair;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: GetOrCreateDirectConversationRequest,
) -> Result<GetOrCreateDirectConversationResponse> {
    let caller = context.user()?;
    let peer = field::user_id("peer_user_id", &request.peer_user_id)?;
    let pair = DirectPair::of(caller, &peer);
    if pair.is_with_oneself() && !state.config.allow_self_conversation {
        return Err(Error::new(Reason::SelfConversation, "there are no conversations with oneself here"));
    }
    let id = ConversationId::new(&*state.clock, &*state.entropy);
    let (limits, now) = (state.config.limits(), state.clock.now());
    let (view, created) = state.store.get_or_create_direct(id, &pair, caller, &limits, now).await?;
    if created {
        state.wake.wake();
    }
    Ok(GetOrCreateDirectConversationResponse { conversation: Some(conversation_to_proto(&view)), created })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::types::v1::{ConversationKind, Role};

    use super::*;
    use crate::testing::{TestService, by, reason};

    fn with(peer: &str) -> GetOrCreateDirectConversationRequest {
        GetOrCreateDirectConversationRequest { peer_user_id: peer.to_owned() }
    }

    #[tokio::test]
    async fn both_sides_get_the_same_conversation_and_only_the_first_created_it() {
        let service = TestService::start().await;
        let first = service.api.get_or_create_direct_conversation(by("alice", with("bob"))).await.unwrap().into_inner();
        let second =
            service.api.get_or_create_direct_conversation(by("bob", with("alice"))).await.unwrap().into_inner();
        assert!(first.created && !second.created);
        let (first, second) = (first.conversation.unwrap(), second.conversation.unwrap());
        assert_eq!(first.conversation_id, second.conversation_id);
        assert_eq!(first.kind(), ConversationKind::Direct);
        assert_eq!(first.role(), Role::Member);
        assert_eq!((first.version, first.member_count), (0, 2));
        assert_eq!((first.peer_user_id.as_str(), second.peer_user_id.as_str()), ("bob", "alice"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sixty_four_calls_from_both_sides_through_two_processes_make_one() {
        let service = TestService::start().await;
        let other = service.second().await;
        for pair in 0..5 {
            let (one, two) = (format!("one-{pair}"), format!("two-{pair}"));
            let calls = (0..64).map(|call| {
                let api = if call % 4 < 2 { &service.api } else { &other.api };
                let (caller, peer) = if call % 2 == 0 { (&one, &two) } else { (&two, &one) };
                let request = by(caller, with(peer));
                async move { api.get_or_create_direct_conversation(request).await.unwrap().into_inner() }
            });
            let answers = futures::future::join_all(calls).await;
            assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
            let ids: HashSet<_> =
                answers.into_iter().map(|answer| answer.conversation.unwrap().conversation_id).collect();
            assert_eq!(ids.len(), 1);
        }
    }

    #[tokio::test]
    async fn a_conversation_with_oneself_is_only_where_it_is_allowed() {
        let service = TestService::start().await;
        let refused = service.api.get_or_create_direct_conversation(by("alice", with("alice"))).await;
        assert_eq!(reason(refused), Reason::SelfConversation);
        let service = TestService::start_with(|config| config.allow_self_conversation = true).await;
        let answer = service.api.get_or_create_direct_conversation(by("alice", with("alice"))).await.unwrap();
        let conversation = answer.into_inner().conversation.unwrap();
        assert_eq!((conversation.member_count, conversation.peer_user_id.as_str()), (1, "alice"));
    }

    #[tokio::test]
    async fn a_malformed_peer_is_refused_with_its_field() {
        let service = TestService::start().await;
        for peer in ["", "a\nb", &"x".repeat(129)] {
            let error =
                crate::testing::refusal(service.api.get_or_create_direct_conversation(by("alice", with(peer))).await);
            assert_eq!(error.reason, Reason::InvalidArgument);
            assert_eq!(error.violations[0].field, "peer_user_id");
        }
    }

    #[tokio::test]
    async fn a_user_with_as_many_conversations_as_allowed_gets_no_more() {
        let service = TestService::start_with(|config| config.user_conversations_max = 2).await;
        service.direct("alice", "bob").await;
        service.direct("alice", "carol").await;
        let refused = service.api.get_or_create_direct_conversation(by("alice", with("dave"))).await;
        assert_eq!(reason(refused), Reason::LimitExceeded);
        // What is there is still found.
        service.direct("alice", "bob").await;
        // Bob did not ask for the one he has, so it does not count for him.
        service.direct("bob", "carol").await;
        service.direct("bob", "dave").await;
    }
}
