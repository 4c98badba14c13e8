use std::sync::Arc;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::Result;
use viberchat_kit::id::ConversationId;
use viberchat_proto::conversation::v1::{CreateGroupConversationRequest, CreateGroupConversationResponse};

use super::change::{Act, execute};
use super::{State, field};
use crate::domain::NewGroup;
use crate::store::ConversationStore;

pub(super) async fn handle<S: ConversationStore + Clone>(
    state: &Arc<State<S>>,
    context: CallContext,
    request: CreateGroupConversationRequest,
) -> Result<CreateGroupConversationResponse> {
    let creator = context.user()?.clone();
    field::group_name(&request.name)?;
    field::description(&request.description)?;
    field::avatar_url("avatar_url", &request.avatar_url)?;
    let history = field::history(request.history)?.unwrap_or_default();
    let metadata = field::metadata(request.metadata.as_ref())?.unwrap_or_default();
    let members_max = state.config.call_members_max as usize;
    let mut members = field::user_ids("member_user_ids", &request.member_user_ids, members_max)?;
    members.remove(&creator);
    let group = NewGroup {
        id: ConversationId::new(&*state.clock, &*state.entropy),
        name: request.name.clone(),
        description: request.description.clone(),
        avatar_url: request.avatar_url.clone(),
        history,
        metadata,
        creator,
        members,
    };
    execute(state, &context, &request, Act::Create(group)).await
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;
    use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
    use viberchat_proto::message::v1::entry_body::Body;
    use viberchat_proto::types::v1::{ConversationKind, HistoryVisibility, Metadata, Role};

    use super::*;
    use crate::testing::{FakeLog, TestService, by, eventually, new_group, reason};

    #[tokio::test]
    async fn the_creator_owns_it_and_the_log_begins_with_its_members() {
        let service = TestService::start().await;
        let request =
            CreateGroupConversationRequest { description: "What to do".into(), ..new_group(&["bob", "alice", "bob"]) };
        let answer = service.api.create_group_conversation(by("alice", request)).await.unwrap().into_inner();
        assert_eq!((answer.seq, answer.pending), (FakeLog::seq_of(1), false));
        let conversation = answer.conversation.unwrap();
        assert_eq!(conversation.kind(), ConversationKind::Group);
        assert_eq!(conversation.role(), Role::Owner);
        assert_eq!((conversation.version, conversation.member_count), (1, 2));
        assert_eq!(conversation.description, "What to do");
        let id = ConversationId::parse(&conversation.conversation_id).unwrap();
        let entries = service.log.entries(id);
        let [(1, actor, Body::ConversationCreated(created))] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((actor.as_str(), created.name.as_str()), ("alice", "Plans"));
        let members: Vec<_> = created.members.iter().map(|m| (m.user_id.as_str(), m.role())).collect();
        assert_eq!(members, [("alice", Role::Owner), ("bob", Role::Member)]);
    }

    #[tokio::test]
    async fn history_and_metadata_are_kept_with_it() {
        let service = TestService::start().await;
        let metadata = Metadata { entries: [("color".to_owned(), "blue".to_owned())].into() };
        let request = CreateGroupConversationRequest {
            history: HistoryVisibility::SinceJoining.into(),
            metadata: Some(metadata.clone()),
            ..new_group(&["bob"])
        };
        let answer = service.api.create_group_conversation(by("alice", request)).await.unwrap().into_inner();
        let conversation = answer.conversation.unwrap();
        assert_eq!(conversation.history(), HistoryVisibility::SinceJoining);
        assert_eq!(conversation.metadata, Some(metadata));
        let id = ConversationId::parse(&conversation.conversation_id).unwrap();
        let [(_, _, Body::ConversationCreated(created))] = &service.log.entries(id)[..] else { panic!() };
        assert_eq!(created.history(), HistoryVisibility::SinceJoining);
        assert_eq!(service.authorize(id, "bob").await.history(), HistoryVisibility::SinceJoining);
        // Not said: everything, and nothing.
        let shared = service.group("alice", &["bob"]).await;
        let [(_, _, Body::ConversationCreated(created))] = &service.log.entries(shared)[..] else { panic!() };
        assert_eq!(created.history(), HistoryVisibility::Unspecified);
        let authorization = service.authorize(shared, "bob").await;
        assert_eq!((authorization.history(), authorization.member_count), (HistoryVisibility::Shared, 2));
    }

    #[tokio::test]
    async fn members_may_read_from_the_moment_the_log_has_the_entry() {
        let service = TestService::start().await;
        service.log.set_down(true);
        let answer =
            service.api.create_group_conversation(by("alice", new_group(&["bob"]))).await.unwrap().into_inner();
        assert_eq!((answer.seq, answer.pending), (0, true));
        let id = ConversationId::parse(&answer.conversation.unwrap().conversation_id).unwrap();
        let pending = service.authorize(id, "bob").await;
        assert_eq!((pending.role(), pending.spans.len()), (Role::Member, 0));
        service.log.set_down(false);
        let spans =
            eventually("the relay", async || Some(service.authorize(id, "bob").await.spans).filter(|s| !s.is_empty()))
                .await;
        assert_eq!((spans[0].from_seq, spans[0].to_seq), (FakeLog::seq_of(1), 0));
    }

    #[tokio::test]
    async fn a_repeated_request_gets_the_first_result() {
        let service = TestService::start().await;
        let request = new_group(&["bob"]);
        let first = service.api.create_group_conversation(by("alice", request.clone())).await.unwrap().into_inner();
        let again = service.api.create_group_conversation(by("alice", request.clone())).await.unwrap().into_inner();
        assert_eq!(first, again);
        let other = CreateGroupConversationRequest { name: "Other".into(), ..request.clone() };
        let reused = service.api.create_group_conversation(by("alice", other)).await;
        assert_eq!(reason(reused), Reason::IdempotencyKeyReused);
        // Another caller's ids are another space.
        let bobs = service.api.create_group_conversation(by("bob", request)).await.unwrap().into_inner();
        assert_ne!(bobs.conversation.unwrap().conversation_id, first.conversation.unwrap().conversation_id);
    }

    #[tokio::test]
    async fn what_is_wrong_or_too_much_is_refused() {
        let service = TestService::start_with(|config| {
            config.call_members_max = 3;
            config.group_members_max = 3;
        })
        .await;
        let refused = async |change: fn(&mut CreateGroupConversationRequest)| {
            let mut request = new_group(&["bob"]);
            change(&mut request);
            reason(service.api.create_group_conversation(by("alice", request)).await)
        };
        assert_eq!(refused(|r| r.name = " ".into()).await, Reason::InvalidArgument);
        assert_eq!(refused(|r| r.name = "x".repeat(256)).await, Reason::InvalidArgument);
        assert_eq!(refused(|r| r.description = "x".repeat(1_001)).await, Reason::InvalidArgument);
        assert_eq!(refused(|r| r.avatar_url = "x".repeat(1_001)).await, Reason::InvalidArgument);
        assert_eq!(refused(|r| r.history = 9).await, Reason::InvalidArgument);
        let unnamed = |r: &mut CreateGroupConversationRequest| {
            r.metadata = Some(Metadata { entries: [(String::new(), "x".to_owned())].into() });
        };
        assert_eq!(refused(unnamed).await, Reason::InvalidArgument);
        assert_eq!(refused(|r| r.request_id = String::new()).await, Reason::InvalidArgument);
        assert_eq!(refused(|r| r.member_user_ids = vec![String::new()]).await, Reason::InvalidArgument);
        assert_eq!(refused(|r| r.member_user_ids = vec!["b".into(); 4]).await, Reason::LimitExceeded);
        let four = |r: &mut CreateGroupConversationRequest| r.member_user_ids = ["b", "c", "d"].map(Into::into).into();
        assert_eq!(refused(four).await, Reason::LimitExceeded);
    }
}
