use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_proto::conversation::v1::{BlockUserRequest, BlockUserResponse};

use super::{State, field};
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: BlockUserRequest,
) -> Result<BlockUserResponse> {
    let user = context.user()?;
    let blocked = field::user_id("user_id", &request.user_id)?;
    if user == &blocked {
        return Err(Error::new(Reason::SelfConversation, "nobody blocks themselves"));
    }
    if state.store.block_user(user, &blocked, &state.config.limits(), state.clock.now()).await? {
        state.wake.wake();
    }
    Ok(BlockUserResponse {})
}

#[cfg(test)]
mod tests {
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::conversation::v1::{
        GetConversationRequest, GetOrCreateDirectConversationRequest, UnblockUserRequest,
    };

    use super::*;
    use crate::testing::{TestService, by, reason};

    fn block(user: &str) -> BlockUserRequest {
        BlockUserRequest { user_id: user.to_owned() }
    }

    fn with(peer: &str) -> GetOrCreateDirectConversationRequest {
        GetOrCreateDirectConversationRequest { peer_user_id: peer.to_owned() }
    }

    #[tokio::test]
    async fn a_block_stops_both_sides_and_only_the_blocker_is_told() {
        let service = TestService::start().await;
        let direct = service.direct("alice", "bob").await;
        let group = service.group("alice", &["bob"]).await;
        let seen_blocked = async |user: &str| {
            let request = GetConversationRequest { conversation_id: direct.to_string() };
            let answer = service.api.get_conversation(by(user, request)).await.unwrap().into_inner();
            answer.conversation.unwrap().peer_blocked
        };
        for _ in 0..2 {
            service.api.block_user(by("alice", block("bob"))).await.unwrap();
        }
        for user in ["alice", "bob"] {
            assert!(service.authorize(direct, user).await.blocked);
            // It hides nothing, and a group is no direct.
            assert!(!service.authorize(direct, user).await.spans.is_empty());
            assert!(!service.authorize(group, user).await.blocked);
            // What exists is still returned.
            assert_eq!(service.direct(user, if user == "alice" { "bob" } else { "alice" }).await, direct);
        }
        assert!(seen_blocked("alice").await);
        assert!(!seen_blocked("bob").await);
        // Another one, the other way round: one that is taken away leaves the other.
        service.api.block_user(by("bob", block("alice"))).await.unwrap();
        service.api.unblock_user(by("alice", UnblockUserRequest { user_id: "bob".into() })).await.unwrap();
        assert!(service.authorize(direct, "alice").await.blocked);
        assert!(!seen_blocked("alice").await && seen_blocked("bob").await);
    }

    #[tokio::test]
    async fn no_new_direct_is_made_with_a_block_on_either_side() {
        let service = TestService::start().await;
        service.api.block_user(by("alice", block("bob"))).await.unwrap();
        for (user, peer) in [("alice", "bob"), ("bob", "alice")] {
            let refused = service.api.get_or_create_direct_conversation(by(user, with(peer))).await;
            assert_eq!(reason(refused), Reason::Blocked);
        }
        service.api.unblock_user(by("alice", UnblockUserRequest { user_id: "bob".into() })).await.unwrap();
        service.direct("bob", "alice").await;
    }

    #[tokio::test]
    async fn oneself_malformed_ids_and_too_many_are_refused() {
        let service = TestService::start_with(|config| config.user_blocks_max = 2).await;
        let refused = async |user: &str| reason(service.api.block_user(by("alice", block(user))).await);
        assert_eq!(refused("alice").await, Reason::SelfConversation);
        assert_eq!(refused("").await, Reason::InvalidArgument);
        for user in ["b", "c", "b"] {
            service.api.block_user(by("alice", block(user))).await.unwrap();
        }
        assert_eq!(refused("d").await, Reason::LimitExceeded);
        // Repeats without harm, at the limit too.
        service.api.block_user(by("alice", block("c"))).await.unwrap();
        // Everybody has a limit of their own.
        service.api.block_user(by("bob", block("d"))).await.unwrap();
    }
}
