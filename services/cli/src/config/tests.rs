use super::*;

fn findings(change: impl FnOnce(&mut Auth)) -> Vec<String> {
    let mut config = Config::default();
    change(&mut config.auth);
    config.findings()
}

fn one(change: impl FnOnce(&mut Auth)) -> String {
    let mut found = findings(change);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn url() -> Option<viberchat_kit::auth::JwksUrl> {
    Some("https://id.example.org/keys".parse().unwrap())
}

#[test]
fn the_defaults_are_good() {
    assert_eq!(Config::default().findings(), Vec::<String>::new());
}

#[test]
fn each_wrong_key_of_identity_is_named() {
    assert!(
        one(|auth| {
            auth.jwks_url = url();
            auth.jwks_file = Some("keys.json".into());
        })
        .starts_with("auth.jwks_url: ")
    );
    assert!(one(|auth| auth.jwks_ca_file = Some("ca.pem".into())).starts_with("auth.jwks_ca_file: "));
    assert!(one(|auth| auth.jwks_refresh_ms = 86_400_001).starts_with("auth.jwks_refresh_ms: is 86400001, allowed"));
    assert!(one(|auth| auth.jwks_refresh_min_ms = 0).starts_with("auth.jwks_refresh_min_ms: "));
    assert!(one(|auth| auth.jwks_refresh_min_ms = 300_001).starts_with("auth.jwks_refresh_min_ms: "));
    assert!(one(|auth| auth.jwks_timeout_ms = 99).starts_with("auth.jwks_timeout_ms: "));
    assert!(one(|auth| auth.leeway_ms = 60_001).starts_with("auth.leeway_ms: "));
    assert!(one(|auth| auth.issuer = vec![String::new()]).starts_with("auth.issuer: "));
    assert!(one(|auth| auth.audience = vec!["a".into(), String::new()]).starts_with("auth.audience: "));
    assert!(one(|auth| auth.user_id_claims = Vec::new()).starts_with("auth.user_id_claims: "));
    assert_eq!(
        findings(|auth| {
            auth.jwks_url = url();
            auth.jwks_ca_file = Some("ca.pem".into());
        }),
        Vec::<String>::new()
    );
}

#[test]
fn all_sections_are_checked_at_once() {
    let mut config = Config::default();
    config.auth.leeway_ms = 60_001;
    config.conversation.group_members_max = 0;
    config.message.readers = 0;
    config.presence.gateways_max = 0;
    config.gateway.heartbeat_ms = 0;
    let found = config.findings();
    for section in ["auth", "conversation", "message", "presence", "gateway"] {
        assert!(found.iter().any(|finding| finding.starts_with(&format!("{section}."))), "{section}: {found:?}");
    }
}

#[test]
fn an_address_that_is_not_safe_is_refused_when_it_is_read() {
    let read = |text: &str| toml::from_str::<Config>(text).map(|config| config.auth);
    assert!(read("[auth]\njwks_url = 'https://id.example.org/keys'").is_ok());
    let refusal = read("[auth]\njwks_url = 'http://id.example.org/keys'").unwrap_err().to_string();
    assert!(refusal.contains("https"), "{refusal}");
    assert_eq!(read("[auth]\nissuer = 'a'\naudience = ['b', 'c']").unwrap().audience, ["b", "c"]);
}

fn services(text: &str) -> Result<Config, toml::de::Error> {
    toml::from_str(&format!("[services]\n{text}"))
}

#[test]
fn a_role_that_lacks_a_service_hears_which() {
    let config = services("message = 'http://message:8081'").unwrap();
    config.require_services(Role::All).unwrap();
    config.require_services(Role::Conversation).unwrap();
    let refusal = config.require_services(Role::Gateway).unwrap_err().to_string();
    let named: Vec<_> = refusal.lines().filter_map(|line| line.split_once(": is missing")).map(|line| line.0).collect();
    assert_eq!(named, ["services.conversation", "services.presence"]);
    assert!(config.require_services(Role::Message).unwrap_err().to_string().starts_with("services.conversation: "));
}

#[test]
fn a_place_that_is_none_and_one_too_many_are_refused() {
    assert!(services("message = 'message:8081'").unwrap_err().to_string().contains("http://host:port"));
    assert_eq!(services("conversation = 'http://a:1,http://b:1'").unwrap().findings(), Vec::<String>::new());
    for service in ["message", "presence"] {
        let found = services(&format!("{service} = 'http://a:1,http://b:1'")).unwrap().findings();
        assert!(found.len() == 1 && found[0].starts_with(&format!("services.{service}: ")), "{found:?}");
    }
    let both = "message = 'http://a:1,http://b:1'\npresence = 'http://a:2,http://b:2'";
    let mut config = services(both).unwrap();
    config.bus.url = "nats://bus:4222".to_owned();
    assert_eq!(config.findings(), Vec::<String>::new(), "instances hear of each other");
}

#[tokio::test]
async fn a_key_file_that_cannot_be_used_stops_the_start_and_a_silent_server_does_not() {
    let metrics = viberchat_kit::telemetry::Metrics::new();
    let missing = Auth { jwks_file: Some("/nowhere/keys.json".into()), ..Auth::default() };
    let refusal = format!("{:#}", missing.jwks(&metrics).await.unwrap_err());
    assert!(refusal.starts_with("auth.jwks_file: ") && refusal.contains("/nowhere/keys.json"), "{refusal}");
    // A port that was free a moment ago: nobody answers there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = Auth { jwks_url: Some(format!("http://{free}/").parse().unwrap()), ..Auth::default() };
    assert!(silent.jwks(&metrics).await.unwrap().is_some());
    assert!(Auth::default().jwks(&metrics).await.unwrap().is_none());
}
