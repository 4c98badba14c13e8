use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;

use viberchat_kit::error::{Outcome, Reason};

use crate::testing::{FakeLog, Fault, TestService, by, eventually, new_group, refusal};

use super::*;

fn rename(id: ConversationId, request_id: &str) -> UpdateConversationRequest {
    UpdateConversationRequest {
        conversation_id: id.to_string(),
        name: Some(request_id.to_owned()),
        request_id: request_id.to_owned(),
        ..UpdateConversationRequest::default()
    }
}

#[tokio::test]
async fn an_answer_says_pending_when_the_log_is_down_and_the_repetition_has_the_seq() {
    let service = TestService::start_with(|config| config.entry_wait_ms = 50).await;
    let id = service.group("alice", &[]).await;
    service.log.set_down(true);
    let request = rename(id, "r");
    let answer = service.api.update_conversation(by("alice", request.clone())).await.unwrap().into_inner();
    assert_eq!((answer.seq, answer.pending), (0, true));
    service.log.set_down(false);
    let again = eventually("the relay", async || {
        let again = service.api.update_conversation(by("alice", request.clone())).await.unwrap().into_inner();
        (!again.pending).then_some(again)
    })
    .await;
    assert_eq!(again.seq, FakeLog::seq_of(2));
    assert_eq!(again.conversation, answer.conversation);
    assert_eq!(service.log.entries(id).len(), 2);
}

#[tokio::test]
async fn a_short_deadline_is_not_waited_beyond() {
    let service = TestService::start_with(|config| config.entry_wait_ms = 60_000).await;
    let id = service.group("alice", &[]).await;
    service.log.set_stuck(true);
    let mut request = by("alice", rename(id, "r"));
    let caller = request.extensions().get().cloned().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(300);
    request.extensions_mut().insert(CallContext { deadline: Some(deadline), ..CallContext::new(caller) });
    let answer = service.api.update_conversation(request).await.unwrap().into_inner();
    assert!(answer.pending);
    assert!(tokio::time::Instant::now() < deadline + Duration::from_secs(10));
}

#[tokio::test]
async fn a_call_that_goes_away_is_done_all_the_same() {
    let service = TestService::start().await;
    let id = service.group("alice", &[]).await;
    // Gone when it is committed and before the log has it.
    service.log.set_down(true);
    let before = service.log.calls();
    tokio::select! {
        answer = service.api.update_conversation(by("alice", rename(id, "r"))) => panic!("{answer:?}"),
        () = eventually("an append", async || (service.log.calls() > before).then_some(())) => {}
    }
    service.log.set_down(false);
    eventually("the change", async || (service.log.entries(id).len() == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_at_once_are_in_the_log_once_and_in_order() {
    let service = TestService::start().await;
    let id = service.group("alice", &[]).await;
    let calls =
        (0..60).map(|call| service.api.update_conversation(by("alice", rename(id, &format!("r{}", call % 30)))));
    let answers = futures::future::try_join_all(calls).await.unwrap();
    let mut seqs: Vec<_> = answers.into_iter().map(|answer| answer.into_inner()).collect();
    assert!(seqs.iter().all(|answer| !answer.pending));
    seqs.sort_by_key(|answer| answer.seq);
    // Each request was sent twice, and both got the same.
    for (number, two) in seqs.chunks(2).enumerate() {
        assert_eq!(two[0], two[1]);
        assert_eq!(two[0].seq, FakeLog::seq_of(number as u64 + 2));
    }
    let versions: Vec<_> = service.log.entries(id).into_iter().map(|(version, _, _)| version).collect();
    assert_eq!(versions, (1..=31).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_acting_service_is_no_part_of_the_request_id() {
    let service = TestService::start().await;
    let request = new_group(&[]);
    let first = service.api.create_group_conversation(by("alice", request.clone())).await.unwrap().into_inner();
    let mut by_gateway = by("alice", request);
    let caller = viberchat_kit::auth::Caller::Service {
        identity: viberchat_kit::auth::ServiceIdentity::new("gateway", &[viberchat_kit::auth::Scope::ActForUsers]),
        on_behalf_of: Some(crate::testing::user("alice")),
    };
    by_gateway.extensions_mut().insert(caller);
    let again = service.api.create_group_conversation(by_gateway).await.unwrap().into_inner();
    assert_eq!(first, again);
}

#[tokio::test]
async fn each_failure_of_the_store_says_what_became_of_the_change() {
    let service = TestService::start().await;
    let id = service.group("alice", &[]).await;
    let ask = async |fault| {
        service.faults.set("change_group", fault);
        service.api.update_conversation(by("alice", rename(id, "r"))).await
    };
    let unavailable = refusal(ask(Some(Fault::Unavailable)).await);
    assert_eq!((unavailable.reason, unavailable.outcome), (Reason::StoreUnavailable, Outcome::NotAttempted));
    // The commit went through, and its answer did not.
    let unknown = refusal(ask(Some(Fault::OutcomeUnknown)).await);
    assert_eq!((unknown.reason, unknown.outcome), (Reason::OutcomeUnknown, Outcome::Unknown));
    let corrupt = refusal(ask(Some(Fault::Corrupt)).await);
    assert_eq!((corrupt.reason, corrupt.outcome), (Reason::Internal, Outcome::Unknown));
    assert!(!corrupt.message.contains("what it should not"));
    // Whoever asks again with the same id learns what came of it.
    let answer = ask(None).await.unwrap().into_inner();
    assert_eq!((answer.seq, answer.conversation.unwrap().version), (FakeLog::seq_of(2), 2));
    assert_eq!(service.log.entries(id).len(), 2);
}
