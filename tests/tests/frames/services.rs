//! What is for services: scopes instead of users, and streams that carry many users.

use anyhow::{Context as _, Result, ensure};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use viberchat_kit::{
    auth::Scope,
    error::{Error, Reason},
};
use viberchat_proto::{
    conversation::v1::{
        self as conversation, conversation_service_client::ConversationServiceClient, watch_memberships_request,
        watch_memberships_response,
    },
    gateway::v1::{self as gateway, gateway_admin_service_client::GatewayAdminServiceClient},
    message::v1::{
        self as message, EntryBody, entry_body::Body, message_service_client::MessageServiceClient,
        send_messages_response, subscribe_request, subscribe_response,
    },
    presence::v1::{
        self as presence, Status, attach_request, attach_response, presence_service_client::PresenceServiceClient,
        watch_request, watch_response, watch_typing_request, watch_typing_response,
    },
    types::v1::{ConversationKind, HistoryVisibility, RequestContext, Role},
};
use viberchat_tests::history::{Door, Push};

use super::world::{LIMIT, World, soon};

/// Requests of a stream that are sent one after the other.
const QUEUE: usize = 16;

fn context(user: &str, correlation_id: u64) -> Option<RequestContext> {
    Some(RequestContext { on_behalf_of: user.to_owned(), correlation_id, ..Default::default() })
}

/// The next message of a stream that is as wanted.
async fn next<T, V>(stream: &mut tonic::Streaming<T>, mut wanted: impl FnMut(T) -> Option<V>) -> Result<V> {
    let found = async {
        loop {
            let message = stream.message().await?.context("the stream has ended")?;
            if let Some(found) = wanted(message) {
                return Ok(found);
            }
        }
    };
    tokio::time::timeout(LIMIT, found).await.context("nothing like it came")?
}

pub(crate) async fn members_are_authorized(world: &World) -> Result<()> {
    let (ann, bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    let group = ann.group("group", &[&bob]).await?;
    let mut service = ConversationServiceClient::new(world.channel()?);
    let ask =
        |user: &str| conversation::AuthorizeMemberRequest { conversation_id: group.clone(), user_id: user.to_owned() };
    world.note("viberchat.conversation.v1.ConversationService/AuthorizeMember");
    let answer = service.authorize_member(world.by_service(&[Scope::Authorize], ask(bob.name()))?).await?.into_inner();
    ensure!((answer.role(), answer.kind()) == (Role::Member, ConversationKind::Group), "{answer:?}");
    ensure!(answer.spans.len() == 1 && answer.spans[0].from_seq == 1, "{answer:?}");
    ensure!((answer.history(), answer.member_count) == (HistoryVisibility::Shared, 2), "{answer:?}");
    world.note("viberchat.conversation.v1.ConversationService/BatchAuthorizeMembers");
    let request = conversation::BatchAuthorizeMembersRequest { requests: vec![ask(cat.name()), ask(ann.name())] };
    let answers = service.batch_authorize_members(world.by_service(&[Scope::Authorize], request)?).await?.into_inner();
    let roles: Vec<Role> = answers.responses.iter().map(conversation::AuthorizeMemberResponse::role).collect();
    ensure!(roles == [Role::Unspecified, Role::Owner], "in their order: {roles:?}");
    world.note("viberchat.conversation.v1.ConversationService/BatchCheckShared");
    let request = conversation::BatchCheckSharedRequest {
        user_id: ann.name().to_owned(),
        other_user_ids: vec![bob.name().into(), cat.name().into(), ann.name().into()],
    };
    let shared = service.batch_check_shared(world.by_service(&[Scope::Authorize], request)?).await?.into_inner();
    let mut shared = shared.shared_user_ids;
    shared.sort();
    ensure!(shared == [ann.name(), bob.name()], "{shared:?}");
    Ok(())
}

pub(crate) async fn activity_announces_a_direct(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let direct = ann.direct(&bob).await?;
    world.note("viberchat.conversation.v1.ConversationService/WatchMemberships");
    let (requests, received) = mpsc::channel(QUEUE);
    let mut service = ConversationServiceClient::new(world.channel()?);
    let add = conversation::WatchMembershipsRequest {
        context: context("", 1),
        request: Some(watch_memberships_request::Request::AddUserId(bob.name().to_owned())),
    };
    requests.send(add).await?;
    let stream = world.by_service(&[Scope::Authorize], ReceiverStream::new(received))?;
    let mut pushes = service.watch_memberships(stream).await?.into_inner();
    let known = next(&mut pushes, |push| match push.push {
        Some(watch_memberships_response::Push::Snapshot(snapshot)) if snapshot.last => Some(snapshot),
        _ => None,
    })
    .await?;
    ensure!(
        known.memberships.is_empty() && known.correlation_id == 1,
        "a direct shows with its first message: {known:?}"
    );
    world.note("viberchat.conversation.v1.ConversationService/RecordActivity");
    let request = conversation::RecordActivityRequest {
        conversation_id: direct.clone(),
        seq: 1,
        time: Some(pbjson_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
    };
    service.record_activity(world.by_service(&[Scope::Relay], request)?).await?;
    let changed = next(&mut pushes, |push| match push.push {
        Some(watch_memberships_response::Push::Change(change)) => Some(change),
        _ => None,
    })
    .await?;
    let membership = changed.membership.context("a membership")?;
    ensure!(membership.conversation_id == direct && membership.kind() == ConversationKind::Direct, "{membership:?}");
    // Another stream goes on from before the change.
    let resume = conversation::WatchMembershipsResume {
        user_id: bob.name().to_owned(),
        membership_version: known.membership_version,
    };
    let resume = conversation::WatchMembershipsRequest {
        context: context("", 2),
        request: Some(watch_memberships_request::Request::Resume(resume)),
    };
    let (requests, received) = mpsc::channel(QUEUE);
    requests.send(resume).await?;
    let stream = world.by_service(&[Scope::Authorize], ReceiverStream::new(received))?;
    let mut pushes = service.watch_memberships(stream).await?.into_inner();
    let again = next(&mut pushes, |push| match push.push {
        Some(watch_memberships_response::Push::Change(change)) => Some(change.membership),
        Some(watch_memberships_response::Push::Snapshot(snapshot)) => {
            Some(snapshot.memberships.into_iter().find(|found| found.conversation_id == direct))
        }
        _ => None,
    })
    .await?;
    ensure!(again.is_some_and(|membership| membership.conversation_id == direct), "nothing is missing after a resume");
    Ok(())
}

pub(crate) async fn system_entries_come_in_the_order_of_their_versions(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let group = ann.group("group", &[&bob]).await?;
    world.note("viberchat.message.v1.MessageService/Subscribe");
    let (requests, received) = mpsc::channel(QUEUE);
    let start = message::SubscribeStart { conversation_id: group.clone(), after_seq: Some(0) };
    let add = message::SubscribeAdd { conversations: vec![start] };
    let request = message::SubscribeRequest {
        context: context(bob.name(), 7),
        request: Some(subscribe_request::Request::Add(add)),
    };
    requests.send(request).await?;
    let mut service = MessageServiceClient::new(world.channel()?);
    let stream = world.by_service(&[Scope::ActForUsers], ReceiverStream::new(received))?;
    let mut pushes = service.subscribe(stream).await?.into_inner();
    let begun = next(&mut pushes, |push| match push.push {
        Some(subscribe_response::Push::Subscribed(begun)) => Some(begun),
        _ => None,
    })
    .await?;
    ensure!((begun.correlation_id, begun.after_seq) == (7, 0), "{begun:?}");
    world.note("viberchat.message.v1.MessageService/AppendSystemEntry");
    let append = |version: u64| message::AppendSystemEntryRequest {
        conversation_id: group.clone(),
        version,
        actor_user_id: ann.name().to_owned(),
        body: Some(EntryBody {
            body: Some(Body::ConversationUpdated(message::ConversationUpdated {
                name: Some("relayed".into()),
                ..Default::default()
            })),
        }),
    };
    let gap = service.append_system_entry(world.by_service(&[Scope::Relay], append(3))?).await;
    let reason = gap.err().map(|status| Error::from_status(&status).reason);
    ensure!(reason == Some(Reason::VersionGap), "the third change before the second: {reason:?}");
    let stored = service.append_system_entry(world.by_service(&[Scope::Relay], append(2))?).await?.into_inner();
    ensure!((stored.seq, stored.duplicate) == (2, false), "{stored:?}");
    let again = service.append_system_entry(world.by_service(&[Scope::Relay], append(2))?).await?.into_inner();
    ensure!(again.duplicate, "{again:?}");
    let mut seqs = Vec::new();
    while seqs.len() < 2 {
        let seq = next(&mut pushes, |push| match push.push {
            Some(subscribe_response::Push::Entry(entry)) => Some(entry.seq),
            _ => None,
        });
        seqs.push(seq.await?);
    }
    ensure!(seqs == [1, 2], "{seqs:?}");
    bob.hears(0, "of the change", |push| matches!(push, Push::Entry(entry) if entry.seq == 2)).await?;
    Ok(())
}

pub(crate) async fn sends_of_many_share_a_stream(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let direct = ann.direct(&bob).await?;
    world.note("viberchat.message.v1.MessageService/SendMessages");
    let (requests, received) = mpsc::channel(QUEUE);
    for (correlation_id, user, text) in
        [(1, ann.name(), "one"), (2, bob.name(), "two"), (3, ann.name(), "three"), (4, "stranger", "four")]
    {
        let send = message::SendMessageRequest {
            conversation_id: direct.clone(),
            client_message_id: text.to_owned(),
            text: text.to_owned(),
            ..Default::default()
        };
        requests
            .send(message::SendMessagesRequest { context: context(user, correlation_id), send: Some(send) })
            .await?;
    }
    let stream = world.by_service(&[Scope::ActForUsers], ReceiverStream::new(received))?;
    let mut answers = MessageServiceClient::new(world.channel()?).send_messages(stream).await?.into_inner();
    let mut said = Vec::new();
    while said.len() < 4 {
        let answer = next(&mut answers, Some).await?;
        let result = match answer.result.context("a result")? {
            send_messages_response::Result::Response(sent) => sent.message.context("a message")?.seq.to_string(),
            send_messages_response::Result::Error(error) => error.reason,
        };
        said.push((answer.correlation_id, result));
    }
    said.sort();
    let place = |id: usize| said[id - 1].1.parse::<u64>();
    ensure!(place(1)? < place(3)?, "sends of one keep their order: {said:?}");
    ensure!(place(2)? <= 3 && said[3].1 == "CONVERSATION_NOT_FOUND", "{said:?}");
    Ok(())
}

pub(crate) async fn a_gateway_attaches_and_others_watch(world: &World) -> Result<()> {
    let (mut ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    ann.group("group", &[&bob]).await?;
    ann.client.leave();
    world.note("viberchat.presence.v1.PresenceService/Watch");
    let (watches, received) = mpsc::channel(QUEUE);
    let watch = |watcher: &str, correlation_id| presence::WatchRequest {
        context: context(watcher, correlation_id),
        request: Some(watch_request::Request::Add(presence::WatchAdd { user_ids: vec![ann.name().to_owned()] })),
    };
    watches.send(watch(bob.name(), 1)).await?;
    watches.send(watch("stranger", 2)).await?;
    let mut service = PresenceServiceClient::new(world.channel()?);
    let stream = world.by_service(&[Scope::ActForUsers], ReceiverStream::new(received))?;
    let mut pushes = service.watch(stream).await?.into_inner();
    let mut snapshots = std::collections::BTreeMap::new();
    while snapshots.len() < 2 {
        let snapshot = next(&mut pushes, |push| match push.push {
            Some(watch_response::Push::Snapshot(snapshot)) => Some(snapshot),
            _ => None,
        });
        let snapshot = snapshot.await?;
        snapshots.insert(snapshot.correlation_id, snapshot.presences);
    }
    ensure!(snapshots[&2][0].status() == Status::Unspecified, "a stranger stays unknown: {snapshots:?}");
    let mut seen = snapshots[&1][0].status();
    let mut becomes = async |wanted: Status| -> Result<()> {
        while seen != wanted {
            seen = next(&mut pushes, |push| match push.push {
                Some(watch_response::Push::Change(change)) if change.watcher_user_id == bob.name() => change.presence,
                _ => None,
            })
            .await?
            .status();
        }
        Ok(())
    };
    becomes(Status::Offline).await?;

    world.note("viberchat.presence.v1.PresenceService/Attach");
    let (reports, received) = mpsc::channel(QUEUE);
    let report = |report| presence::AttachRequest { report: Some(report) };
    let hello = presence::AttachHello { incarnation_id: "a gateway elsewhere".into() };
    reports.send(report(attach_request::Report::Hello(hello))).await?;
    let stream = world.by_service(&[Scope::Relay], ReceiverStream::new(received))?;
    let mut answers = service.attach(stream).await?.into_inner();
    let welcome = |answer: presence::AttachResponse| match answer.answer {
        Some(attach_response::Answer::Welcome(_)) => Some(()),
        _ => None,
    };
    next(&mut answers, welcome).await?;
    let session = presence::SessionReport {
        session_id: "elsewhere".into(),
        user_id: ann.name().to_owned(),
        state: presence::SessionState::Active.into(),
    };
    let sessions = presence::SessionsChanged { sessions: vec![session], complete: true };
    reports.send(report(attach_request::Report::Sessions(sessions))).await?;
    becomes(Status::Online).await?;
    reports.send(report(attach_request::Report::Detach(presence::AttachDetach {}))).await?;
    becomes(Status::Offline).await?;
    Ok(())
}

pub(crate) async fn typing_is_watched(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let group = ann.group("group", &[&bob]).await?;
    world.note("viberchat.presence.v1.PresenceService/WatchTyping");
    let (watches, received) = mpsc::channel(QUEUE);
    let watch = |watcher: &str, correlation_id| presence::WatchTypingRequest {
        context: context(watcher, correlation_id),
        request: Some(watch_typing_request::Request::Add(presence::WatchTypingAdd {
            conversation_ids: vec![group.clone()],
        })),
    };
    watches.send(watch("stranger", 1)).await?;
    watches.send(watch(bob.name(), 2)).await?;
    let mut service = PresenceServiceClient::new(world.channel()?);
    let stream = world.by_service(&[Scope::ActForUsers], ReceiverStream::new(received))?;
    let mut pushes = service.watch_typing(stream).await?.into_inner();
    let refused = next(&mut pushes, |push| match push.push {
        Some(watch_typing_response::Push::Refused(refused)) => Some(refused),
        _ => None,
    })
    .await?;
    let said = refused.error.map(|error| error.reason);
    ensure!((refused.correlation_id, said.as_deref()) == (1, Some("CONVERSATION_NOT_FOUND")), "{said:?}");
    // The second request may be on its way still: typing is said again, as clients do, until it is heard.
    let types = async {
        loop {
            ann.client.set_typing(Door::Grpc, &group, true).await?;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let heard = next(&mut pushes, |push| match push.push {
        Some(watch_typing_response::Push::Change(change)) => Some(change),
        _ => None,
    });
    let change = tokio::select! {
        heard = heard => heard?,
        ended = types => return ended,
    };
    ensure!((change.user_id.as_str(), change.typing) == (ann.name(), true), "{change:?}");
    Ok(())
}

pub(crate) async fn operators_see_and_end_sessions(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let mut service = GatewayAdminServiceClient::new(world.channel()?);
    world.note("viberchat.gateway.v1.GatewayAdminService/ListSessions");
    let request = gateway::ListSessionsRequest { user_id: ann.name().to_owned(), ..Default::default() };
    let listed = service.list_sessions(world.by_service(&[Scope::Admin], request)?).await?.into_inner().sessions;
    ensure!(listed.len() == 1 && listed[0].subprotocol == "viberchat.v1.json", "{listed:?}");
    let session_id = ann.client.socket().context("online")?.welcome().session_id.clone();
    ensure!(listed[0].session_id == session_id && listed[0].user_id == ann.name(), "{listed:?}");
    let request = gateway::ListSessionsRequest { page_size: 1, ..Default::default() };
    let page = service.list_sessions(world.by_service(&[Scope::Admin], request)?).await?.into_inner();
    ensure!(page.sessions.len() == 1 && !page.next_page_token.is_empty(), "a page: {page:?}");
    world.note("viberchat.gateway.v1.GatewayAdminService/GetSession");
    let get = |session_id: &str| gateway::GetSessionRequest { session_id: session_id.to_owned() };
    let got = service.get_session(world.by_service(&[Scope::Admin], get(&session_id))?).await?.into_inner();
    ensure!(got.session.is_some_and(|session| session.user_id == ann.name()), "the session");
    let missing = service.get_session(world.by_service(&[Scope::Admin], get("nothing"))?).await;
    ensure!(missing.is_err(), "no such session");
    world.note("viberchat.gateway.v1.GatewayAdminService/DisconnectUser");
    let request = gateway::DisconnectUserRequest { user_id: ann.name().to_owned() };
    let ended = service.disconnect_user(world.by_service(&[Scope::Admin], request)?).await?.into_inner();
    ensure!(ended.session_count == 1, "{ended:?}");
    soon("ann is out", async || Ok(ann.client.socket().is_none())).await?;
    ensure!(bob.client.socket().is_some_and(|socket| !socket.is_over()), "bob is not");
    world.note("viberchat.gateway.v1.GatewayAdminService/Drain");
    let skip = bob.heard();
    let session = bob.client.socket().map(viberchat_tests::client::Socket::session);
    let told = service.drain(world.by_service(&[Scope::Admin], gateway::DrainRequest {})?).await?.into_inner();
    // That of ann may be ending still.
    ensure!(told.session_count >= 1, "{told:?}");
    let pushes = || session.map(|session| bob.client.recorder().pushes(session)).unwrap_or_default();
    soon("bob is told that the gateway stops", async || {
        Ok(pushes().iter().skip(skip).any(|push| matches!(push, Push::Goaway)))
    })
    .await?;
    soon("bob is out too", async || Ok(bob.client.socket().is_none())).await
}
