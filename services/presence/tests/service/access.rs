use viberchat_kit::auth::Scope;
use viberchat_kit::error::Reason;
use viberchat_proto::presence::v1 as proto;

use crate::support::*;

#[tokio::test]
async fn only_gateways_attach_and_services_need_a_user_and_the_scope() {
    let world = World::new();
    let node = world.node().await;
    assert!(node.service.is_ready().await);
    let denied = Reason::PermissionDenied;
    for scopes in [&[][..], &[Scope::ActForUsers, Scope::Authorize]] {
        let mut client = node.client_as(scopes);
        let refused = client.attach(futures::stream::pending()).await.unwrap_err();
        assert_eq!(reason(&refused), denied);
    }
    let mut gateway = node.client();
    let mut relay = node.client_as(&[Scope::Relay]);
    let get = proto::BatchGetPresenceRequest::default();
    assert_eq!(reason(&gateway.batch_get_presence(get.clone()).await.unwrap_err()), denied, "for nobody");
    assert_eq!(reason(&relay.batch_get_presence(by("ann", get)).await.unwrap_err()), denied);
    let set = proto::SetStatusRequest { status: 2 };
    assert_eq!(reason(&gateway.set_status(set).await.unwrap_err()), denied);
    assert_eq!(reason(&relay.set_status(by("ann", set)).await.unwrap_err()), denied);
    let typing = proto::SetTypingRequest::default();
    assert_eq!(reason(&gateway.set_typing(typing.clone()).await.unwrap_err()), denied);
    assert_eq!(reason(&relay.set_typing(by("ann", typing)).await.unwrap_err()), denied);
    assert_eq!(reason(&relay.watch(futures::stream::pending()).await.unwrap_err()), denied);
    assert_eq!(reason(&node.client_as(&[]).watch_typing(futures::stream::pending()).await.unwrap_err()), denied);
    assert!(relay.watch_typing(futures::stream::pending()).await.is_ok());
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_it_starts() {
    let config = viberchat_presence::Config { attach_grace_ms: 10_000, ..Default::default() };
    assert_eq!(start(config).await, "the configuration is invalid");
    let config = viberchat_presence::Config { data_file: "/nowhere/x.sqlite".into(), ..Default::default() };
    assert_eq!(start(config).await, "the store /nowhere/x.sqlite cannot be opened");
}

async fn start(config: viberchat_presence::Config) -> String {
    let deps = viberchat_presence::Deps {
        clock: std::sync::Arc::new(viberchat_kit::clock::SystemClock),
        lifecycle: viberchat_kit::lifecycle::Lifecycle::new().handle(),
        metrics: viberchat_kit::telemetry::Metrics::new(),
        entropy: std::sync::Arc::new(viberchat_kit::id::SystemEntropy),
        bus: None,
        conversation: viberchat_kit::rpc::Channel::late().0,
    };
    viberchat_presence::build(config, deps).await.err().expect("it does not start").to_string()
}
