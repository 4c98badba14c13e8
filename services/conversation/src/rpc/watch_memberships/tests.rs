mod resume;

use viberchat_kit::auth::{CallContext, Caller, Scope, ServiceIdentity};
use viberchat_kit::id::ConversationId;
use viberchat_proto::conversation::v1::conversation_service_server::ConversationService as _;
use viberchat_proto::conversation::v1::user_directory_service_server::UserDirectoryService as _;
use viberchat_proto::types::v1::{ConversationKind, RequestContext, Role};

use super::*;
use crate::testing::{Fault, PATIENCE, START, TestService, TestStore, by, by_service, eventually, new_group, user};

type Requests = mpsc::UnboundedSender<WatchMembershipsRequest>;

/// A gateway's end of a stream.
struct Watch {
    requests: Requests,
    pushes: Pushes,
    /// What snapshots said. A change from just before may come after, and says the same again.
    known: Vec<Membership>,
}

impl Watch {
    fn open(service: &TestService) -> Self {
        Self::open_as(&service.state, &[Scope::Authorize])
    }

    fn open_as(state: &Arc<State<TestStore>>, scopes: &[Scope]) -> Self {
        Self::open_with(state, scopes, HEARTBEAT)
    }

    fn open_with(state: &Arc<State<TestStore>>, scopes: &[Scope], heartbeat: Duration) -> Self {
        let (requests, mut received) = mpsc::unbounded_channel();
        let stream = futures::stream::poll_fn(move |cx| received.poll_recv(cx).map(|request| request.map(Ok)));
        let caller = Caller::Service { identity: ServiceIdentity::new("gateway", scopes), on_behalf_of: None };
        let requests_in = AuthorizedStream::from_stream(stream, CallContext::new(caller), &WATCH_MEMBERSHIPS_RULE);
        Self { requests, pushes: open(state, requests_in, heartbeat), known: Vec::new() }
    }

    fn ask(&self, correlation_id: u64, request: Asked) {
        let context = Some(RequestContext { correlation_id, ..RequestContext::default() });
        self.requests.send(WatchMembershipsRequest { context, request: Some(request) }).unwrap();
    }

    async fn next(&mut self) -> std::result::Result<Push, Error> {
        let next = timeout(PATIENCE, self.pushes.next()).await.expect("something is pushed");
        match next.expect("the stream goes on") {
            Ok(response) => Ok(response.push.expect("a push is never empty")),
            Err(status) => Err(Error::from_status(&status)),
        }
    }

    /// The next push that is not a heartbeat.
    async fn said(&mut self) -> Push {
        loop {
            match self.next().await.expect("the stream goes on") {
                Push::Heartbeat(_) => {}
                said => return said,
            }
        }
    }

    async fn change(&mut self) -> (String, MembershipChangeKind, Membership) {
        loop {
            let change = match self.next().await {
                Ok(Push::Change(change)) => change,
                Ok(Push::Heartbeat(_)) => continue,
                other => panic!("{other:?}"),
            };
            let (user, kind, membership) = (change.user_id.clone(), change.kind(), change.membership.unwrap());
            if kind != MembershipChangeKind::Added || !self.known.contains(&membership) {
                return (user, kind, membership);
            }
        }
    }

    /// All pages of the next snapshot.
    async fn snapshot(&mut self) -> (u64, String, Vec<Membership>) {
        let mut all = Vec::new();
        loop {
            let page = match self.next().await {
                Ok(Push::Snapshot(page)) => page,
                Ok(Push::Heartbeat(_)) => continue,
                other => panic!("{other:?}"),
            };
            assert!(page.memberships.len() <= PAGE_MAX);
            all.extend(page.memberships);
            if page.last {
                self.known.extend(all.iter().cloned());
                return (page.correlation_id, page.user_id, all);
            }
        }
    }

    async fn follow(&mut self, user: &str) -> Vec<Membership> {
        self.ask(1, Asked::AddUserId(user.to_owned()));
        self.snapshot().await.2
    }
}

fn remove(id: ConversationId, user: &str, request_id: &str) -> RemoveMemberRequest {
    RemoveMemberRequest { conversation_id: id.to_string(), user_id: user.into(), request_id: request_id.into() }
}

fn add(id: ConversationId, user: &str, request_id: &str) -> AddMembersRequest {
    AddMembersRequest { conversation_id: id.to_string(), user_ids: vec![user.into()], request_id: request_id.into() }
}

#[tokio::test]
async fn a_snapshot_says_where_a_user_belongs_and_changes_follow() {
    use MembershipChangeKind::{Added, Changed, Removed};
    let service = TestService::start().await;
    let first = service.group("alice", &["bob"]).await;
    let mut watch = Watch::open(&service);
    watch.ask(7, Asked::AddUserId("bob".into()));
    let (correlation_id, user, memberships) = watch.snapshot().await;
    assert_eq!((correlation_id, user.as_str(), memberships.len()), (7, "bob", 1));
    assert_eq!(memberships[0].conversation_id, first.to_string());
    assert_eq!((memberships[0].role(), memberships[0].conversation_version), (Role::Member, 1));

    let second = service.group("alice", &["bob"]).await;
    let (_, kind, membership) = watch.change().await;
    assert_eq!((kind, membership.conversation_id, membership.conversation_version), (Added, second.to_string(), 1));

    service.api.add_members(by("alice", add(first, "carol", "1"))).await.unwrap();
    let (_, kind, membership) = watch.change().await;
    assert_eq!((kind, membership.conversation_id, membership.conversation_version), (Changed, first.to_string(), 2));

    let role = UpdateMemberRoleRequest {
        conversation_id: first.to_string(),
        user_id: "bob".into(),
        role: Role::Admin.into(),
        request_id: "2".into(),
    };
    service.api.update_member_role(by("alice", role)).await.unwrap();
    let (_, kind, membership) = watch.change().await;
    assert_eq!((kind, membership.role()), (Changed, Role::Admin));

    let settings =
        UpdateMemberSettingsRequest { conversation_id: second.to_string(), pinned: Some(true), ..Default::default() };
    service.api.update_member_settings(by("bob", settings)).await.unwrap();
    let (_, kind, membership) = watch.change().await;
    assert_eq!((kind, membership.conversation_id), (Changed, second.to_string()));

    service.api.remove_member(by("alice", remove(first, "bob", "3"))).await.unwrap();
    let (user, kind, membership) = watch.change().await;
    assert_eq!((user.as_str(), kind, membership.role()), ("bob", Removed, Role::Admin));
    assert_eq!((membership.conversation_version, membership.kind()), (4, ConversationKind::Group));
}

#[tokio::test]
async fn who_is_added_hears_of_it_when_the_log_has_the_entry() {
    let service = TestService::start_with(|config| config.entry_wait_ms = 1).await;
    let id = service.group("alice", &[]).await;
    let mut watch = Watch::open(&service);
    assert!(watch.follow("bob").await.is_empty());
    service.log.set_down(true);
    assert!(service.api.add_members(by("alice", add(id, "bob", "1"))).await.unwrap().into_inner().pending);
    // A snapshot of now does not have it either.
    assert!(watch.follow("bob").await.is_empty());
    service.log.set_down(false);
    let (user, kind, _) = watch.change().await;
    assert_eq!((user.as_str(), kind), ("bob", MembershipChangeKind::Added));
    assert_eq!(service.authorize(id, "bob").await.spans.len(), 1);
}

#[tokio::test]
async fn a_removal_is_told_at_commit_even_if_the_log_is_down() {
    let service = TestService::start_with(|config| config.entry_wait_ms = 1).await;
    let id = service.group("alice", &["bob"]).await;
    let mut watch = Watch::open(&service);
    assert_eq!(watch.follow("bob").await.len(), 1);
    service.log.set_down(true);
    service.api.remove_member(by("alice", remove(id, "bob", "1"))).await.unwrap();
    assert_eq!(watch.change().await.1, MembershipChangeKind::Removed);
}

#[tokio::test]
async fn the_peer_of_a_direct_hears_of_it_with_its_first_message() {
    let service = TestService::start().await;
    let mut watch = Watch::open(&service);
    watch.follow("alice").await;
    watch.follow("bob").await;
    let id = service.direct("alice", "bob").await;
    let (user, kind, membership) = watch.change().await;
    assert_eq!((user.as_str(), kind), ("alice", MembershipChangeKind::Added));
    assert_eq!((membership.kind(), membership.conversation_id), (ConversationKind::Direct, id.to_string()));
    for seq in 1..3 {
        let time = Some(START.to_proto());
        let activity = RecordActivityRequest { conversation_id: id.to_string(), seq, time };
        service.api.record_activity(by_service(activity)).await.unwrap();
    }
    assert_eq!(watch.change().await.0, "bob");
    // The second message told nobody.
    service.group("bob", &[]).await;
    let (user, _, membership) = watch.change().await;
    assert_eq!((user.as_str(), membership.kind()), ("bob", ConversationKind::Group));
}

#[tokio::test]
async fn changes_of_another_process_show_soon() {
    let service = TestService::start().await;
    let other = service.second().await;
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    let id = other.group("alice", &["bob"]).await;
    let begin = Instant::now();
    assert_eq!(watch.change().await.1, MembershipChangeKind::Added);
    other.api.remove_member(by("alice", remove(id, "bob", "1"))).await.unwrap();
    assert_eq!(watch.change().await.1, MembershipChangeKind::Removed);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_between_the_snapshot_and_the_changes() {
    let service = Arc::new(TestService::start().await);
    for round in 0..8 {
        let user = format!("user-{round}");
        let members = [user.as_str()];
        let groups: Vec<_> = futures::future::join_all((0..4).map(|_| service.group("alice", &members))).await;
        let changes = groups.iter().enumerate().map(|(number, id)| {
            let (service, user) = (service.clone(), user.clone());
            async move {
                let request_id = format!("{round}-{number}");
                service.api.remove_member(by("alice", remove(*id, &user, &request_id))).await.unwrap();
                if number % 2 == 0 {
                    service.api.add_members(by("alice", add(*id, &user, &request_id))).await.unwrap();
                }
            }
        });
        let mut watch = Watch::open(&service);
        let follow = async {
            let mut known: std::collections::BTreeSet<_> =
                watch.follow(&user).await.into_iter().map(|membership| membership.conversation_id).collect();
            let expected = [groups[0].to_string(), groups[2].to_string()].into();
            // Followed to where it ends: two are left, and each went first.
            let mut seen_after = 0;
            while known != expected || seen_after == 0 {
                let (_, kind, membership) = watch.change().await;
                match kind {
                    MembershipChangeKind::Removed => known.remove(&membership.conversation_id),
                    _ => known.insert(membership.conversation_id),
                };
                seen_after = usize::from(known == expected);
            }
        };
        let done = async { futures::join!(futures::future::join_all(changes), follow) };
        timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("a change was lost in round {round}"));
    }
}

#[tokio::test]
async fn a_change_in_the_midst_of_a_snapshot_follows_it() {
    let service = TestService::start().await;
    // More pages than wait for a consumer: the snapshot stops in the middle until somebody reads.
    let count = (PUSHES_MAX + 2) * PAGE_MAX;
    service.state.store.inner().seed_groups(&user("bob"), i64::try_from(count).unwrap()).await;
    let mut other = Watch::open(&service);
    let changed = other.follow("bob").await[0].conversation_id.clone();
    let mut watch = Watch::open(&service);
    watch.ask(1, Asked::AddUserId("bob".into()));
    eventually("a full queue", async || (watch.pushes.pushes.len() == PUSHES_MAX).then_some(())).await;
    let pin =
        UpdateMemberSettingsRequest { conversation_id: changed.clone(), pinned: Some(true), ..Default::default() };
    service.api.update_member_settings(by("bob", pin)).await.unwrap();
    // Whoever followed before has heard of it by now.
    assert_eq!(other.change().await.1, MembershipChangeKind::Changed);
    assert_eq!(watch.snapshot().await.2.len(), count);
    let (_, kind, membership) = watch.change().await;
    assert_eq!((kind, membership.conversation_id), (MembershipChangeKind::Changed, changed));
}

#[tokio::test]
async fn a_long_snapshot_comes_in_pages() {
    let service = TestService::start().await;
    service.state.store.inner().seed_groups(&user("bob"), 500).await;
    let mut watch = Watch::open(&service);
    assert_eq!(watch.follow("bob").await.len(), PAGE_MAX);
    service.group("bob", &[]).await;
    assert_eq!(watch.change().await.1, MembershipChangeKind::Added);
    let ids: std::collections::BTreeSet<_> =
        watch.follow("bob").await.into_iter().map(|membership| membership.conversation_id).collect();
    assert_eq!(ids.len(), PAGE_MAX + 1);
}

#[tokio::test]
async fn whoever_is_followed_no_more_is_heard_of_no_more() {
    let service = TestService::start().await;
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    watch.follow("alice").await;
    watch.ask(3, Asked::RemoveUserId("bob".into()));
    // Answered in order: after this snapshot the removal is done.
    watch.follow("carol").await;
    service.group("alice", &["bob"]).await;
    assert_eq!(watch.change().await.0, "alice");
    service.group("carol", &["bob"]).await;
    assert_eq!(watch.change().await.0, "carol");
}

#[tokio::test]
async fn a_request_that_is_refused_ends_nothing() {
    let service = TestService::start().await;
    let mut watch = Watch::open(&service);
    let refused = |push: std::result::Result<Push, Error>| match push {
        Ok(Push::Refused(refused)) => (refused.correlation_id, refused.user_id, refused.error.unwrap().reason),
        other => panic!("{other:?}"),
    };
    watch.ask(1, Asked::AddUserId("a\nb".into()));
    assert_eq!(refused(watch.next().await), (1, "a\nb".into(), "INVALID_ARGUMENT".into()));
    watch.requests.send(WatchMembershipsRequest::default()).unwrap();
    assert_eq!(refused(watch.next().await), (0, String::new(), "INVALID_ARGUMENT".into()));
    let on_behalf = RequestContext { on_behalf_of: "bob".into(), correlation_id: 5, ..RequestContext::default() };
    let request = Some(Asked::AddUserId("bob".into()));
    watch.requests.send(WatchMembershipsRequest { context: Some(on_behalf), request }).unwrap();
    assert_eq!(refused(watch.next().await), (5, "bob".into(), "PERMISSION_DENIED".into()));
    assert!(watch.follow("bob").await.is_empty());
    let mut denied = Watch::open_as(&service.state, &[Scope::Relay]);
    denied.ask(1, Asked::AddUserId("bob".into()));
    assert_eq!(refused(denied.next().await).2, "PERMISSION_DENIED");
}

#[tokio::test]
async fn a_consumer_that_does_not_read_is_ended_and_told_why() {
    let service = TestService::start_with(|config| config.watch_queue_max = 16).await;
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    let id = service.group("alice", &["bob"]).await;
    let streams = || service.state.hub.open_streams();
    for number in 0.. {
        if streams() == 0 {
            break;
        }
        assert!(number < 1_000, "the stream is never ended");
        let pin = UpdateMemberSettingsRequest {
            conversation_id: id.to_string(),
            pinned: Some(number % 2 == 0),
            ..Default::default()
        };
        service.api.update_member_settings(by("bob", pin)).await.unwrap();
    }
    let end = loop {
        match watch.next().await {
            Ok(Push::Change(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(end.reason, Reason::SlowConsumer);
    assert!(watch.pushes.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_nobody_reads_any_more_is_forgotten() {
    let service = TestService::start().await;
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    drop(watch.pushes);
    eventually("the end of the stream", async || (service.state.hub.open_streams() == 0).then_some(())).await;
}

#[tokio::test]
async fn whoever_asks_for_nothing_more_still_hears() {
    let service = TestService::start().await;
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    watch.requests = mpsc::unbounded_channel().0;
    service.api.create_group_conversation(by("alice", new_group(&["bob"]))).await.unwrap();
    assert_eq!(watch.change().await.1, MembershipChangeKind::Added);
}

#[tokio::test]
async fn a_stop_ends_the_streams_with_a_reason() {
    let service = TestService::start().await;
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    service.stop().await;
    assert_eq!(watch.next().await.unwrap_err().reason, Reason::Draining);
}

#[tokio::test]
async fn a_heartbeat_says_that_the_stream_lives() {
    let service = TestService::start().await;
    let heartbeat = Duration::from_millis(50);
    let mut watch = Watch::open_with(&service.state, &[Scope::Authorize], heartbeat);
    let begin = Instant::now();
    for beat in 1..4 {
        assert!(matches!(watch.next().await, Ok(Push::Heartbeat(_))));
        assert!(begin.elapsed() >= heartbeat * beat);
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_refused() {
    let service = TestService::start().await;
    let mut watch = Watch::open(&service);
    service.faults.set("memberships", Some(Fault::Unavailable));
    watch.ask(4, Asked::AddUserId("bob".into()));
    let refused = match watch.next().await {
        Ok(Push::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!((refused.correlation_id, refused.error.unwrap().reason.as_str()), (4, "STORE_UNAVAILABLE"));
    service.faults.set("memberships", None);
    assert!(watch.follow("bob").await.is_empty());
}

#[tokio::test]
async fn streams_are_ended_when_changes_cannot_be_read() {
    let service = TestService::start_with(|config| config.watch_poll_ms = 10).await;
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    service.faults.set("changes_after", Some(Fault::Unavailable));
    assert_eq!(watch.next().await.unwrap_err().reason, Reason::SlowConsumer);
    // What is committed meanwhile is told when the store is back.
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    service.faults.set("changes_after", None);
    service.group("alice", &["bob"]).await;
    assert_eq!(watch.change().await.1, MembershipChangeKind::Added);
}

#[tokio::test]
async fn a_deactivated_user_loses_all_and_is_followed_no_more() {
    use MembershipChangeKind::{Changed, Removed};
    let service = TestService::start().await;
    let group = service.group("alice", &["bob"]).await;
    let direct = service.direct("bob", "alice").await;
    let time = Some(START.to_proto());
    let activity = RecordActivityRequest { conversation_id: direct.to_string(), seq: 1, time };
    service.api.record_activity(by_service(activity)).await.unwrap();
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    watch.follow("alice").await;
    let version = service.state.store.newest_change().await.unwrap().0;
    let deactivate = DeactivateUserRequest { user_id: "bob".into() };
    service.api.deactivate_user(by_service(deactivate)).await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..3 {
        let (user, kind, membership) = watch.change().await;
        heard.push((user, kind, membership.kind(), membership.conversation_id));
    }
    heard.sort();
    let expected = [
        ("alice".to_owned(), Changed, ConversationKind::Direct, direct.to_string()),
        ("bob".to_owned(), Removed, ConversationKind::Direct, direct.to_string()),
        ("bob".to_owned(), Removed, ConversationKind::Group, group.to_string()),
    ];
    assert_eq!(heard, expected);
    // What changes in the group is none of Bob's any more.
    service.api.add_members(by("alice", add(group, "carol", "1"))).await.unwrap();
    assert_eq!(watch.change().await.0, "alice");
    for request in [
        Asked::AddUserId("bob".into()),
        Asked::Resume(WatchMembershipsResume { user_id: "bob".into(), membership_version: version }),
    ] {
        let mut watch = Watch::open(&service);
        watch.ask(3, request);
        match watch.said().await {
            Push::Refused(refused) => assert_eq!(refused.error.unwrap().reason, "USER_NOT_FOUND"),
            other => panic!("{other:?}"),
        }
    }
    let users = vec![User { user_id: "bob".into(), ..User::default() }];
    service.api.upsert_users(by_service(UpsertUsersRequest { users })).await.unwrap();
    assert_eq!(Watch::open(&service).follow("bob").await.len(), 2);
}

#[tokio::test]
async fn members_hear_of_a_deletion_and_of_a_block() {
    use MembershipChangeKind::{Changed, Removed};
    let service = TestService::start().await;
    let direct = service.direct("alice", "bob").await;
    let group = service.group("alice", &["bob"]).await;
    let mut watch = Watch::open(&service);
    watch.follow("alice").await;
    service.api.block_user(by("bob", BlockUserRequest { user_id: "alice".into() })).await.unwrap();
    let (_, kind, membership) = watch.change().await;
    assert_eq!((kind, membership.conversation_id), (Changed, direct.to_string()));
    service.api.unblock_user(by("bob", UnblockUserRequest { user_id: "alice".into() })).await.unwrap();
    assert_eq!(watch.change().await.1, Changed);
    let mut watch = Watch::open(&service);
    watch.follow("bob").await;
    service.log.set_down(true);
    let delete = DeleteConversationRequest { conversation_id: group.to_string(), request_id: "1".into() };
    let deletion = service.api.delete_conversation(by("alice", delete));
    let heard = async {
        let (user, kind, membership) = watch.change().await;
        // At the commit, whatever the log does.
        service.log.set_down(false);
        (user, kind, membership.conversation_id, membership.conversation_version)
    };
    let (answer, heard) = futures::join!(deletion, heard);
    answer.unwrap();
    assert_eq!(heard, ("bob".to_owned(), Removed, group.to_string(), 2));
}
