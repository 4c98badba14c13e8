//! Streams that go on where an earlier one ended.

use super::*;

/// Follows from a version on; what is said first.
async fn resume(watch: &mut Watch, user: &str, membership_version: u64) -> Push {
    watch.ask(9, Asked::Resume(WatchMembershipsResume { user_id: user.to_owned(), membership_version }));
    watch.said().await
}

fn pin(id: ConversationId, pinned: bool) -> UpdateMemberSettingsRequest {
    UpdateMemberSettingsRequest { conversation_id: id.to_string(), pinned: Some(pinned), ..Default::default() }
}

fn change_of(push: Push) -> MembershipChange {
    match push {
        Push::Change(change) => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_resume_goes_on_where_the_last_stream_ended() {
    use MembershipChangeKind::{Added, Changed, Removed};
    let service = TestService::start().await;
    let (kept, left) = (service.group("alice", &["bob"]).await, service.group("alice", &["bob"]).await);
    let mut watch = Watch::open(&service);
    watch.ask(1, Asked::AddUserId("bob".into()));
    let snapshot = match watch.said().await {
        Push::Snapshot(snapshot) => snapshot,
        other => panic!("{other:?}"),
    };
    assert!(snapshot.last && snapshot.memberships.len() == 2);
    service.api.update_member_settings(by("bob", pin(kept, true))).await.unwrap();
    let last = change_of(watch.said().await);
    assert!(last.membership_version > snapshot.membership_version);
    drop(watch);
    service.api.remove_member(by("alice", remove(left, "bob", "1"))).await.unwrap();
    let new = service.group("bob", &[]).await;
    // Through another process, too: versions mean the same there.
    let other = service.second().await;
    for service in [&service, &other] {
        for (since, missed) in [(snapshot.membership_version, 3), (last.membership_version, 2)] {
            let mut watch = Watch::open(service);
            let first = resume(&mut watch, "bob", since).await;
            let Push::Resumed(MembershipsResumed { correlation_id: 9, user_id }) = first else { panic!("{first:?}") };
            assert_eq!(user_id, "bob");
            let mut heard = Vec::new();
            for _ in 0..missed {
                heard.push(change_of(watch.said().await));
            }
            assert!(heard.windows(2).all(|two| two[0].membership_version < two[1].membership_version));
            let last_two: Vec<_> = heard[missed - 2..]
                .iter()
                .map(|change| (change.kind(), change.membership.clone().unwrap().conversation_id))
                .collect();
            assert_eq!(last_two, [(Removed, left.to_string()), (Added, new.to_string())]);
        }
    }
    // Then it is as any other stream, and nothing is said twice.
    let mut watch = Watch::open(&service);
    assert!(matches!(resume(&mut watch, "bob", last.membership_version).await, Push::Resumed(_)));
    service.api.update_member_settings(by("bob", pin(new, true))).await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(change_of(watch.said().await).kind());
    }
    assert_eq!(kinds, [Removed, Added, Changed]);
}

#[tokio::test]
async fn what_the_snapshot_says_is_not_said_again() {
    let service = TestService::start().await;
    let id = service.group("alice", &["bob"]).await;
    // The watcher comes to this change only after the snapshot has it.
    service.faults.set("changes_after", Some(Fault::Unavailable));
    service.api.update_member_settings(by("bob", pin(id, true))).await.unwrap();
    let mut watch = Watch::open(&service);
    assert_eq!(watch.follow("bob").await.len(), 1);
    let known = service.state.store.newest_change().await.unwrap().0;
    service.faults.set("changes_after", None);
    service.api.update_member_settings(by("bob", pin(id, false))).await.unwrap();
    assert_eq!(change_of(watch.said().await).membership_version, known + 1);
}

#[tokio::test]
async fn a_resume_from_what_is_not_known_any_more_begins_with_a_snapshot() {
    let service = TestService::start().await;
    let id = service.group("alice", &["bob"]).await;
    let newest = service.state.store.newest_change().await.unwrap().0;
    let mut watch = Watch::open(&service);
    // A version that was never given.
    let first = resume(&mut watch, "bob", newest + 1).await;
    assert!(matches!(&first, Push::Snapshot(page) if page.last && page.membership_version == newest), "{first:?}");
    // One whose changes were thrown away.
    service.api.update_member_settings(by("bob", pin(id, true))).await.unwrap();
    service.state.store.prune(START, START.saturating_add(Duration::from_secs(1)), 100).await.unwrap();
    let mut watch = Watch::open(&service);
    let first = resume(&mut watch, "bob", newest).await;
    assert!(matches!(&first, Push::Snapshot(page) if page.correlation_id == 9), "{first:?}");
    // One with more changes than a snapshot would have.
    let newest = service.state.store.newest_change().await.unwrap().0;
    for number in 0..=MISSED_MAX {
        service.api.update_member_settings(by("bob", pin(id, number % 2 == 1))).await.unwrap();
    }
    let mut watch = Watch::open(&service);
    assert!(matches!(resume(&mut watch, "bob", newest).await, Push::Snapshot(_)));
}

#[tokio::test]
async fn a_heartbeat_says_how_far_everything_was_said() {
    let service = TestService::start().await;
    let id = service.group("alice", &["bob"]).await;
    let mut watch = Watch::open_with(&service.state, &[Scope::Authorize], Duration::from_millis(20));
    watch.follow("bob").await;
    service.api.update_member_settings(by("bob", pin(id, true))).await.unwrap();
    // What others do does not come, and counts.
    service.api.update_member_settings(by("alice", pin(id, true))).await.unwrap();
    let newest = service.state.store.newest_change().await.unwrap().0;
    let mut heard = 0;
    let said = loop {
        match watch.next().await.unwrap() {
            Push::Change(change) => heard = change.membership_version,
            Push::Heartbeat(beat) if beat.membership_version >= newest => break beat.membership_version,
            Push::Heartbeat(beat) => assert!(beat.membership_version <= newest),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((heard, said), (newest - 1, newest));
    let mut next = Watch::open(&service);
    assert!(matches!(resume(&mut next, "bob", said).await, Push::Resumed(_)));
}
