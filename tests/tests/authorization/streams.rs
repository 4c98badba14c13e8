//! Each request on a stream is authorized by itself, whoever opened the stream.

use anyhow::{Context as _, Result};
use tokio_stream::{Stream, StreamExt as _, iter, pending};
use tonic::{Request, transport::Channel};
use viberchat_kit::auth::Scope;
use viberchat_proto::{
    conversation::v1::{
        WatchMembershipsRequest, WatchMembershipsResponse, conversation_service_client::ConversationServiceClient,
        watch_memberships_request, watch_memberships_response,
    },
    message::v1::{
        SendMessageRequest, SendMessagesRequest, SendMessagesResponse, SubscribeAdd, SubscribeRemove, SubscribeRequest,
        SubscribeResponse, SubscribeStart, message_service_client::MessageServiceClient, send_messages_response,
        subscribe_request, subscribe_response,
    },
    types::v1::RequestContext,
};
use viberchat_tests::{
    client::Client,
    history::{Door, Recorder},
};

use super::{lonely_group, start};

/// Requests that go out at once; the stream then stays open.
pub(crate) fn open<T>(requests: Vec<T>, token: &str) -> Request<impl Stream<Item = T> + Send + 'static>
where
    T: Send + 'static,
{
    let mut request = Request::new(iter(requests).chain(pending()));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

pub(crate) fn context(on_behalf_of: &str, correlation_id: u64) -> Option<RequestContext> {
    Some(RequestContext { on_behalf_of: on_behalf_of.to_owned(), correlation_id, ..Default::default() })
}

fn send(conversation: &str, on_behalf_of: &str, correlation_id: u64) -> SendMessagesRequest {
    SendMessagesRequest {
        context: context(on_behalf_of, correlation_id),
        send: Some(SendMessageRequest {
            conversation_id: conversation.to_owned(),
            client_message_id: format!("id-{correlation_id}"),
            known_seq: Some(0),
            text: "hello".into(),
            ..Default::default()
        }),
    }
}

/// The reasons by correlation id; empty for what was taken.
async fn reasons_of_sends(
    channel: &Channel,
    token: &str,
    requests: Vec<SendMessagesRequest>,
) -> Result<Vec<(u64, String)>> {
    let count = requests.len();
    let mut client = MessageServiceClient::new(channel.clone());
    let answers = client.send_messages(open(requests, token)).await?.into_inner();
    let answers: Vec<Result<SendMessagesResponse, _>> = answers.take(count).collect().await;
    let mut reasons = Vec::new();
    for answer in answers {
        let answer = answer?;
        let reason = match answer.result.context("a result")? {
            send_messages_response::Result::Error(error) => error.reason,
            send_messages_response::Result::Response(_) => String::new(),
        };
        reasons.push((answer.correlation_id, reason));
    }
    reasons.sort();
    Ok(reasons)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_send_is_authorized_by_itself() -> Result<()> {
    let (server, channel) = start().await?;
    let group = lonely_group(&server).await?;
    let service = server.tokens().service("gateway", &[Scope::ActForUsers]);
    let requests =
        vec![send(&group, "owner", 1), send(&group, "stranger", 2), send(&group, "", 3), send(&group, "owner", 4)];
    let reasons = reasons_of_sends(&channel, &service, requests).await?;
    let said = |id: u64, reason: &str| (id, reason.to_owned());
    let denied = "PERMISSION_DENIED";
    assert_eq!(reasons, [said(1, ""), said(2, "CONVERSATION_NOT_FOUND"), said(3, denied), said(4, "")]);
    // A user speaks for nobody else.
    let user = server.tokens().user("owner");
    let requests = vec![send(&group, "", 5), send(&group, "ann", 6)];
    assert_eq!(reasons_of_sends(&channel, &user, requests).await?, [said(5, ""), said(6, denied)]);
    Ok(())
}

fn follow(conversation: &str, on_behalf_of: &str, correlation_id: u64) -> SubscribeRequest {
    let start = SubscribeStart { conversation_id: conversation.to_owned(), after_seq: Some(0) };
    let add = SubscribeAdd { conversations: vec![start] };
    SubscribeRequest {
        context: context(on_behalf_of, correlation_id),
        request: Some(subscribe_request::Request::Add(add)),
    }
}

/// What a stream of subscriptions says, up to as many refusals and acceptances as there were requests.
async fn verdicts_of_follows(
    channel: &Channel,
    token: &str,
    requests: Vec<SubscribeRequest>,
) -> Result<Vec<(u64, String)>> {
    let count = requests.len();
    let mut client = MessageServiceClient::new(channel.clone());
    let mut answers = client.subscribe(open(requests, token)).await?.into_inner();
    let mut verdicts = Vec::new();
    while verdicts.len() < count {
        let answer: SubscribeResponse = answers.message().await?.context("an open stream")?;
        match answer.push {
            Some(subscribe_response::Push::Subscribed(subscribed)) => {
                verdicts.push((subscribed.correlation_id, String::new()));
            }
            Some(subscribe_response::Push::Unsubscribed(refused)) => {
                verdicts.push((refused.correlation_id, refused.error.map(|error| error.reason).unwrap_or_default()));
            }
            _ => {}
        }
    }
    verdicts.sort();
    Ok(verdicts)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_subscription_is_authorized_by_itself() -> Result<()> {
    let (server, channel) = start().await?;
    // One each: following a conversation again replaces what was before.
    let groups = [lonely_group(&server).await?, lonely_group(&server).await?, lonely_group(&server).await?];
    let [one, two, three] = &groups;
    let said = |id: u64, reason: &str| (id, reason.to_owned());
    let (denied, not_found) = ("PERMISSION_DENIED", "CONVERSATION_NOT_FOUND");
    let service = server.tokens().service("gateway", &[Scope::ActForUsers]);
    let requests = vec![follow(one, "owner", 1), follow(two, "stranger", 2), follow(three, "", 3)];
    let verdicts = verdicts_of_follows(&channel, &service, requests).await?;
    assert_eq!(verdicts, [said(1, ""), said(2, not_found), said(3, denied)]);
    // The scope `relay` follows everything, but for nobody.
    let relay = server.tokens().service("gateway", &[Scope::Relay]);
    let verdicts = verdicts_of_follows(&channel, &relay, vec![follow(one, "", 4), follow(two, "owner", 5)]).await?;
    assert_eq!(verdicts, [said(4, ""), said(5, denied)]);
    // A user follows only for oneself, and as a member.
    let user = server.tokens().user("stranger");
    let verdicts = verdicts_of_follows(&channel, &user, vec![follow(one, "", 6), follow(two, "owner", 7)]).await?;
    assert_eq!(verdicts, [said(6, not_found), said(7, denied)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_kind_of_subscription_request_is_authorized_too() -> Result<()> {
    let (server, channel) = start().await?;
    let group = lonely_group(&server).await?;
    let relay = server.tokens().service("gateway", &[Scope::Relay]);
    let remove = SubscribeRequest {
        context: context("owner", 2),
        request: Some(subscribe_request::Request::Remove(SubscribeRemove { conversation_ids: vec![group.clone()] })),
    };
    // The refused removal takes nothing away: what is sent afterwards still arrives.
    let mut client = MessageServiceClient::new(channel);
    let mut answers = client.subscribe(open(vec![follow(&group, "", 1), remove], &relay)).await?.into_inner();
    let owner = Client::new(&server, "owner", &Recorder::default())?;
    let attempt = viberchat_tests::client::Attempt {
        conversation: group.clone(),
        request_id: "one".into(),
        known_seq: Some(0),
        action: viberchat_tests::history::Action::send("hello"),
    };
    let mut refused = false;
    let mut sent = false;
    loop {
        let answer = answers.message().await?.context("an open stream")?;
        match answer.push {
            Some(subscribe_response::Push::Unsubscribed(gone)) => {
                let reason = gone.error.map(|error| error.reason);
                assert_eq!((gone.correlation_id, reason.as_deref()), (2, Some("PERMISSION_DENIED")));
                refused = true;
            }
            Some(subscribe_response::Push::Entry(entry)) if entry.seq == 2 => break,
            _ => {}
        }
        if refused && !sent {
            sent = true;
            owner.attempt(Door::Http, &attempt).await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_are_shown_to_services_without_a_user_only() -> Result<()> {
    let (server, channel) = start().await?;
    lonely_group(&server).await?;
    let service = server.tokens().service("gateway", &[Scope::ActForUsers, Scope::Authorize]);
    let add = |on_behalf_of: &str, correlation_id| WatchMembershipsRequest {
        context: context(on_behalf_of, correlation_id),
        request: Some(watch_memberships_request::Request::AddUserId("owner".into())),
    };
    let remove = WatchMembershipsRequest {
        context: context("ann", 3),
        request: Some(watch_memberships_request::Request::RemoveUserId("owner".into())),
    };
    let mut client = ConversationServiceClient::new(channel);
    let requests = vec![add("ann", 1), add("", 2), remove];
    let mut answers = client.watch_memberships(open(requests, &service)).await?.into_inner();
    let (mut refused, mut shown) = (Vec::new(), false);
    while refused.len() < 2 || !shown {
        let answer: WatchMembershipsResponse = answers.message().await?.context("an open stream")?;
        match answer.push {
            Some(watch_memberships_response::Push::Refused(refusal)) => {
                assert_eq!(refusal.error.map(|error| error.reason).as_deref(), Some("PERMISSION_DENIED"));
                refused.push(refusal.correlation_id);
            }
            Some(watch_memberships_response::Push::Snapshot(snapshot)) => {
                assert_eq!((snapshot.correlation_id, snapshot.memberships.len()), (2, 1));
                shown = true;
            }
            _ => {}
        }
    }
    refused.sort_unstable();
    assert_eq!(refused, [1, 3]);
    Ok(())
}
