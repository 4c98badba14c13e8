use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
use viberchat_proto::conversation::v1::{AddMembersRequest, LeaveConversationRequest};

use crate::testing::{Fault, PATIENCE, TestService, by, eventually, new_group};

use super::*;

fn add(id: ConversationId, user: &str) -> AddMembersRequest {
    AddMembersRequest {
        conversation_id: id.to_string(),
        user_ids: vec![user.to_owned()],
        request_id: format!("add-{user}-{}", id),
    }
}

/// A group whose changes the log does not have.
async fn behind(service: &TestService, adds: usize) -> ConversationId {
    service.log.set_down(true);
    let created = service.api.create_group_conversation(by("alice", new_group(&["bob"]))).await.unwrap().into_inner();
    assert!(created.pending);
    let id = ConversationId::parse(&created.conversation.unwrap().conversation_id).unwrap();
    for number in 0..adds {
        let added = service.api.add_members(by("alice", add(id, &format!("user-{number}")))).await.unwrap();
        assert!(added.into_inner().pending);
    }
    id
}

async fn wait_until_empty(service: &TestService) {
    eventually("the sweep", async || {
        service.state.store.outbox_conversations(None, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
}

fn versions(service: &TestService, id: ConversationId) -> Vec<u64> {
    service.log.entries(id).into_iter().map(|(version, _, _)| version).collect()
}

fn quick(config: &mut Config) {
    (config.entry_wait_ms, config.relay_interval_ms, config.relay_backoff_max_ms) = (1, 20, 40);
}

#[tokio::test]
async fn what_the_log_refused_comes_in_order_when_it_is_back() {
    let service = TestService::start_with(quick).await;
    let ids = [behind(&service, 5).await, behind(&service, 0).await, behind(&service, 2).await];
    service.log.set_down(false);
    wait_until_empty(&service).await;
    for (id, count) in ids.into_iter().zip([6, 1, 3]) {
        assert_eq!(versions(&service, id), (1..=count).collect::<Vec<_>>());
        assert_eq!(service.authorize(id, "bob").await.spans.len(), 1);
    }
}

#[tokio::test]
async fn what_an_ended_process_left_is_relayed_by_the_next() {
    let service = TestService::start_with(quick).await;
    let id = behind(&service, 3).await;
    let next = service.second().await;
    service.stop().await;
    next.log.set_down(false);
    wait_until_empty(&next).await;
    assert_eq!(versions(&next, id), [1, 2, 3, 4]);
    assert_eq!(next.authorize(id, "user-2").await.spans.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_relay_the_same_do_it_once() {
    let service = TestService::start_with(quick).await;
    let second = service.second().await;
    let id = service.group("alice", &[]).await;
    let calls = (0..40).map(|number| {
        let api = if number % 2 == 0 { &service.api } else { &second.api };
        api.add_members(by("alice", add(id, &format!("user-{number}"))))
    });
    futures::future::try_join_all(calls).await.unwrap();
    wait_until_empty(&service).await;
    assert_eq!(versions(&service, id), (1..=41).collect::<Vec<_>>());
    for number in 0..40 {
        assert_eq!(second.authorize(id, &format!("user-{number}")).await.spans.len(), 1);
    }
}

#[tokio::test]
async fn a_conversation_that_the_log_refuses_keeps_no_other_waiting() {
    let service = TestService::start_with(quick).await;
    // More than are relayed at once, and all of them come first.
    let mut all_stuck = Vec::new();
    for number in 0..3 * SWEEP_CONCURRENCY {
        let stuck = service.group("alice", &[]).await;
        // As if the log had lost what it had: the next version has no predecessor there.
        service.log.forget(stuck);
        let leave =
            LeaveConversationRequest { conversation_id: stuck.to_string(), request_id: format!("leave{number}") };
        assert!(service.api.leave_conversation(by("alice", leave)).await.unwrap().into_inner().pending);
        all_stuck.push(stuck);
    }
    let other = behind(&service, 2).await;
    let relay = &service.state.relay;
    eventually("the end of what the calls try", async || relay.0.runs.lock().is_empty().then_some(())).await;
    service.log.set_down(false);
    eventually("the other's relay", async || (versions(&service, other).len() == 3).then_some(())).await;
    for stuck in all_stuck {
        assert_eq!(service.state.store.outbox(stuck, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn while_the_log_is_down_attempts_are_bounded() {
    let service = TestService::start_with(|config| {
        quick(config);
        config.relay_backoff_max_ms = 3_600_000;
        config.relay_interval_ms = 60_000;
    })
    .await;
    behind(&service, 0).await;
    eventually("the end of the run", async || {
        (service.log.calls() == u64::from(CALL_ATTEMPTS) && service.state.relay.0.runs.lock().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_waits_for_no_log() {
    let service = TestService::start_with(quick).await;
    behind(&service, 1).await;
    let report = tokio::time::timeout(PATIENCE, service.stop()).await.expect("the tasks end");
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn an_entry_whose_seq_could_not_be_written_back_is_asked_for_again() {
    let service = TestService::start_with(quick).await;
    service.faults.set("write_back", Some(Fault::Unavailable));
    let created = service.api.create_group_conversation(by("alice", new_group(&["bob"]))).await.unwrap().into_inner();
    assert!(created.pending);
    let id = ConversationId::parse(&created.conversation.unwrap().conversation_id).unwrap();
    eventually("the append", async || (versions(&service, id) == [1]).then_some(())).await;
    assert!(service.authorize(id, "bob").await.spans.is_empty());
    service.faults.set("write_back", None);
    wait_until_empty(&service).await;
    assert_eq!(versions(&service, id), [1]);
    assert_eq!(service.authorize(id, "bob").await.spans.len(), 1);
}
