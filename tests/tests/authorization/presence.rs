//! Each request on a stream of presence is authorized by itself, and so is a resume of memberships.

use anyhow::{Context as _, Result};
use tonic::transport::Channel;
use viberchat_kit::{
    auth::Scope,
    error::{Error, Reason},
};
use viberchat_proto::{
    conversation::v1::{
        WatchMembershipsRequest, WatchMembershipsResume, conversation_service_client::ConversationServiceClient,
        watch_memberships_request, watch_memberships_response,
    },
    presence::v1::{
        AttachHello, AttachRequest, Status, WatchAdd, WatchRemove, WatchRequest, WatchResponse, WatchTypingAdd,
        WatchTypingRequest, WatchTypingResponse, attach_request, presence_service_client::PresenceServiceClient,
        watch_request, watch_response, watch_typing_request, watch_typing_response,
    },
};
use viberchat_tests::cluster::Server;

use super::{
    lonely_group, start,
    streams::{context, open},
};

fn watch(on_behalf_of: &str, correlation_id: u64) -> WatchRequest {
    WatchRequest {
        context: context(on_behalf_of, correlation_id),
        request: Some(watch_request::Request::Add(WatchAdd { user_ids: vec!["owner".into()] })),
    }
}

/// What a stream says to each request, in their order: a reason, or nothing for one that was taken.
async fn verdicts_of_watches(
    channel: &Channel,
    token: &str,
    requests: Vec<WatchRequest>,
    answered: usize,
) -> Result<Vec<(u64, String)>> {
    let mut client = PresenceServiceClient::new(channel.clone());
    let mut answers = client.watch(open(requests, token)).await?.into_inner();
    let mut verdicts = Vec::new();
    while verdicts.len() < answered {
        let answer: WatchResponse = answers.message().await?.context("an open stream")?;
        match answer.push {
            Some(watch_response::Push::Snapshot(snapshot)) => {
                // Whoever asks: only those who share a conversation see anything.
                let stranger = snapshot.correlation_id % 2 == 0;
                assert!(!stranger || snapshot.presences[0].status() == Status::Unspecified, "{snapshot:?}");
                verdicts.push((snapshot.correlation_id, String::new()));
            }
            Some(watch_response::Push::Refused(refused)) => {
                verdicts.push((refused.correlation_id, refused.error.map(|error| error.reason).unwrap_or_default()));
            }
            _ => {}
        }
    }
    verdicts.sort();
    Ok(verdicts)
}

fn said(id: u64, reason: &str) -> (u64, String) {
    (id, reason.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_watch_is_authorized_by_itself() -> Result<()> {
    let (server, channel) = start().await?;
    lonely_group(&server).await?;
    let service = server.tokens().service("gateway", &[Scope::ActForUsers]);
    let remove = WatchRequest {
        context: context("", 7),
        request: Some(watch_request::Request::Remove(WatchRemove { user_ids: vec!["owner".into()] })),
    };
    let requests = vec![watch("owner", 1), watch("stranger", 2), watch("", 3), remove];
    let verdicts = verdicts_of_watches(&channel, &service, requests, 4).await?;
    assert_eq!(
        verdicts,
        [said(1, ""), said(2, ""), said(3, "PERMISSION_DENIED"), said(7, "PERMISSION_DENIED")],
        "a service watches for users only"
    );
    let user = server.tokens().user("stranger");
    let verdicts = verdicts_of_watches(&channel, &user, vec![watch("", 4), watch("owner", 5)], 2).await?;
    assert_eq!(verdicts, [said(4, ""), said(5, "PERMISSION_DENIED")], "a user speaks for nobody else");
    Ok(())
}

async fn refusals_of_typing(
    server: &Server,
    channel: &Channel,
    token: &str,
    requests: Vec<(&str, u64)>,
    refused: usize,
) -> Result<Vec<(u64, String)>> {
    let group = lonely_group(server).await?;
    let requests = requests.into_iter().map(|(on_behalf_of, correlation_id)| WatchTypingRequest {
        context: context(on_behalf_of, correlation_id),
        request: Some(watch_typing_request::Request::Add(WatchTypingAdd { conversation_ids: vec![group.clone()] })),
    });
    let mut client = PresenceServiceClient::new(channel.clone());
    let mut answers = client.watch_typing(open(requests.collect(), token)).await?.into_inner();
    let mut refusals = Vec::new();
    while refusals.len() < refused {
        let answer: WatchTypingResponse = answers.message().await?.context("an open stream")?;
        if let Some(watch_typing_response::Push::Refused(refusal)) = answer.push {
            refusals.push((refusal.correlation_id, refusal.error.map(|error| error.reason).unwrap_or_default()));
        }
    }
    refusals.sort();
    Ok(refusals)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_follower_of_typing_is_authorized_by_itself() -> Result<()> {
    let (server, channel) = start().await?;
    let (denied, not_found) = ("PERMISSION_DENIED", "CONVERSATION_NOT_FOUND");
    let service = server.tokens().service("gateway", &[Scope::ActForUsers]);
    let requests = vec![("owner", 1), ("stranger", 2), ("", 3)];
    let refusals = refusals_of_typing(&server, &channel, &service, requests, 2).await?;
    assert_eq!(refusals, [said(2, not_found), said(3, denied)]);
    // The scope `relay` follows everything, but for nobody.
    let relay = server.tokens().service("gateway", &[Scope::Relay]);
    let refusals = refusals_of_typing(&server, &channel, &relay, vec![("", 4), ("owner", 5)], 1).await?;
    assert_eq!(refusals, [said(5, denied)]);
    let user = server.tokens().user("stranger");
    let refusals = refusals_of_typing(&server, &channel, &user, vec![("", 6), ("owner", 7)], 2).await?;
    assert_eq!(refusals, [said(6, not_found), said(7, denied)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_gateways_attach() -> Result<()> {
    let (server, channel) = start().await?;
    let hello = AttachHello { incarnation_id: "a gateway".into() };
    let tokens = server.tokens();
    let others = [Scope::ActForUsers, Scope::Authorize, Scope::Directory, Scope::Admin];
    for token in [tokens.user("owner"), tokens.service("gateway", &others)] {
        let request = AttachRequest { report: Some(attach_request::Report::Hello(hello.clone())) };
        let mut client = PresenceServiceClient::new(channel.clone());
        let refused = match client.attach(open(vec![request], &token)).await {
            Ok(answers) => answers.into_inner().message().await.err(),
            Err(status) => Some(status),
        };
        let status = refused.context("it attached")?;
        assert_eq!(Error::from_status(&status).reason, Reason::PermissionDenied, "{status:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_of_memberships_is_for_services_without_a_user() -> Result<()> {
    let (server, channel) = start().await?;
    lonely_group(&server).await?;
    let service = server.tokens().service("gateway", &[Scope::ActForUsers, Scope::Authorize]);
    let resume = |on_behalf_of: &str, correlation_id| WatchMembershipsRequest {
        context: context(on_behalf_of, correlation_id),
        request: Some(watch_memberships_request::Request::Resume(WatchMembershipsResume {
            user_id: "owner".into(),
            membership_version: 0,
        })),
    };
    let mut client = ConversationServiceClient::new(channel);
    let requests = vec![resume("ann", 1), resume("", 2)];
    let mut answers = client.watch_memberships(open(requests, &service)).await?.into_inner();
    let (mut refused, mut taken) = (None, false);
    while refused.is_none() || !taken {
        match answers.message().await?.context("an open stream")?.push {
            Some(watch_memberships_response::Push::Refused(refusal)) => {
                assert_eq!(refusal.error.map(|error| error.reason).as_deref(), Some("PERMISSION_DENIED"));
                refused = Some(refusal.correlation_id);
            }
            Some(watch_memberships_response::Push::Snapshot(snapshot)) => taken = snapshot.correlation_id == 2,
            Some(watch_memberships_response::Push::Resumed(resumed)) => taken = resumed.correlation_id == 2,
            _ => {}
        }
    }
    assert_eq!(refused, Some(1));
    Ok(())
}
