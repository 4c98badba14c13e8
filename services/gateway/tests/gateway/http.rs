//! JSON over HTTP and the files of the web client.

use std::time::Duration;

use crate::support::Gateway;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use viberchat_kit::auth::Scope;

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

async fn request(gateway: &Gateway, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut tcp = TcpStream::connect(gateway.address).await.expect("the gateway listens");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n");
    // A body that is refused is not read to its end.
    let _written = tcp.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await;
    let mut bytes = Vec::new();
    let _read = tcp.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

async fn post(gateway: &Gateway, method: &str, headers: &str, body: &Value) -> Answer {
    request(gateway, "POST", &format!("/viberchat.{method}"), headers, &body.to_string()).await
}

const SEND: &str = "message.v1.MessageService/SendMessage";

#[tokio::test]
async fn a_user_calls_with_a_token_and_nobody_without() {
    let gateway = Gateway::start().await;
    let group = gateway.world.group(&["alice"], 0).to_string();
    let body = json!({"conversationId": group, "clientMessageId": "m1", "text": "hello", "door": "DOOR_SOCKET"});
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice"));
    let answer = post(&gateway, SEND, &bearer, &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["message"]["text"], "hello");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(gateway.world.0.lock().doors, [2], "the door is HTTP, whatever the caller says");
    let anonymous = post(&gateway, SEND, "", &body).await;
    assert_eq!((anonymous.status, anonymous.json()["reason"].clone()), (401, json!("UNAUTHENTICATED")));
    let bad = post(&gateway, SEND, "Authorization: Bearer x.y.z\r\n", &body).await;
    assert_eq!((bad.status, bad.json()["reason"].clone()), (401, json!("UNAUTHENTICATED")));
    let stranger = format!("Authorization: Bearer {}\r\n", gateway.token("bob"));
    let refused = post(&gateway, SEND, &stranger, &body).await;
    assert_eq!((refused.status, refused.json()["reason"].clone()), (404, json!("CONVERSATION_NOT_FOUND")));
    assert_eq!(refused.json()["outcome"], "OUTCOME_NOT_ATTEMPTED");
}

#[tokio::test]
async fn a_service_calls_for_a_user_if_its_scope_allows() {
    let gateway = Gateway::start().await;
    let group = gateway.world.group(&["alice"], 0).to_string();
    let body = json!({"conversationId": group, "clientMessageId": "m1", "text": "hello"});
    let signed =
        |scopes: &[Scope]| gateway.signer.sign_service("backend", scopes, Duration::from_secs(60)).expect("good");
    let acting = format!("Authorization: Bearer {}\r\n", signed(&[Scope::ActForUsers]));
    let for_alice = format!("{acting}viberchat-on-behalf-of: alice\r\n");
    let answer = post(&gateway, SEND, &for_alice, &body).await;
    assert_eq!(answer.json()["message"]["senderUserId"], "alice");
    assert_eq!(post(&gateway, SEND, &acting, &body).await.status, 403, "for nobody");
    let other = format!("Authorization: Bearer {}\r\nviberchat-on-behalf-of: alice\r\n", signed(&[Scope::Directory]));
    assert_eq!(post(&gateway, SEND, &other, &body).await.status, 403, "without the scope");
    let user = format!("Authorization: Bearer {}\r\nviberchat-on-behalf-of: alice\r\n", gateway.token("bob"));
    assert_eq!(post(&gateway, SEND, &user, &body).await.status, 403, "a user acts for nobody else");
}

#[tokio::test]
async fn only_unary_methods_of_users_are_there() {
    let gateway = Gateway::start().await;
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice"));
    for method in [
        "message.v1.MessageService/AppendSystemEntry",
        "message.v1.MessageService/Subscribe",
        "conversation.v1.ConversationService/AuthorizeMember",
        "conversation.v1.ConversationService/WatchMemberships",
        "conversation.v1.UserDirectoryService/UpsertUsers",
        "message.v1.MessageService/Nothing",
    ] {
        let answer = post(&gateway, method, &bearer, &json!({})).await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (404, json!("METHOD_NOT_FOUND")), "{method}");
    }
    let get = request(&gateway, "PUT", &format!("/viberchat.{SEND}"), &bearer, "{}").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn presence_is_served_too_but_not_its_streams() {
    let gateway = Gateway::start().await;
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice"));
    let presence = |method: &str| format!("presence.v1.PresenceService/{method}");
    let busy = json!({"status": "STATUS_BUSY"});
    let answer = post(&gateway, &presence("SetStatus"), &bearer, &busy).await;
    assert_eq!((answer.status, answer.json()["presence"]["status"].clone()), (200, json!("STATUS_BUSY")));
    let answer = post(&gateway, &presence("BatchGetPresence"), &bearer, &json!({"userIds": ["alice"]})).await;
    assert_eq!(answer.json()["presences"], json!([{"userId": "alice", "status": "STATUS_BUSY"}]));
    for stream in ["Attach", "Watch", "WatchTyping"] {
        assert_eq!(post(&gateway, &presence(stream), &bearer, &json!({})).await.status, 404, "{stream}");
    }
    assert_eq!(post(&gateway, &presence("SetStatus"), "", &busy).await.status, 401);
    let admin = "gateway.v1.GatewayAdminService/ListSessions";
    assert_eq!(post(&gateway, admin, &bearer, &json!({})).await.status, 404);
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let gateway = Gateway::with(|config| config.sends_per_second_max = 0).await;
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice"));
    let path = format!("/viberchat.{SEND}");
    for body in ["{", "[]", "{\"text\": 5}", "null and void"] {
        let answer = request(&gateway, "POST", &path, &bearer, body).await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (400, json!("INVALID_ARGUMENT")), "{body}");
        assert_eq!(answer.json()["outcome"], "OUTCOME_NOT_ATTEMPTED");
    }
    let answer = request(&gateway, "POST", &path, &bearer, &" ".repeat(128 * 1024 + 1)).await;
    assert_eq!((answer.status, answer.json()["reason"].clone()), (400, json!("INVALID_ARGUMENT")));
    let empty = request(&gateway, "POST", "/viberchat.conversation.v1.UserDirectoryService/BatchGetUsers", &bearer, "");
    assert_eq!(empty.await.status, 200);
}

#[tokio::test]
async fn sends_over_http_count_too() {
    let gateway = Gateway::with(|config| (config.sends_per_second_max, config.sends_burst_max) = (1, 1)).await;
    let group = gateway.world.group(&["alice"], 0).to_string();
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice"));
    let body = json!({"conversationId": group, "clientMessageId": "m1", "text": "hello"});
    assert_eq!(post(&gateway, SEND, &bearer, &body).await.status, 200);
    let refused = post(&gateway, SEND, &bearer, &body).await;
    assert_eq!((refused.status, refused.json()["reason"].clone()), (429, json!("RATE_LIMITED")));
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn pages_of_other_origins_call_only_where_they_are_listed() {
    let gateway = Gateway::with(|config| config.allowed_origins = vec!["https://app.example.org".to_owned()]).await;
    let path = "/viberchat.conversation.v1.UserDirectoryService/BatchGetUsers";
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("alice"));
    let from = |origin: &str| format!("{bearer}Origin: {origin}\r\n");
    let listed = request(&gateway, "POST", path, &from("https://app.example.org"), "{}").await;
    assert_eq!((listed.status, listed.header("access-control-allow-origin")), (200, Some("https://app.example.org")));
    let own = request(&gateway, "POST", path, &from("http://localhost"), "{}").await;
    assert_eq!((own.status, own.header("access-control-allow-origin")), (200, None));
    let evil = request(&gateway, "POST", path, &from("https://evil.example"), "{}").await;
    assert_eq!((evil.status, evil.header("access-control-allow-origin")), (403, None));
    let preflight = request(&gateway, "OPTIONS", path, "Origin: https://app.example.org\r\n", "").await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").expect("it says").contains("authorization"));
}

#[tokio::test]
async fn the_web_client_is_served_with_its_headers() {
    let gateway = Gateway::start().await;
    let page = request(&gateway, "GET", "/", "", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.header("content-security-policy").expect("it has one").contains("script-src 'self'"));
    let script = request(&gateway, "GET", "/app/main.js", "", "").await;
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    let etag = script.header("etag").expect("it has one").to_owned();
    let again = request(&gateway, "GET", "/app/main.js", &format!("If-None-Match: {etag}\r\n"), "").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    for path in ["/app/../Cargo.toml", "/sdk/package.json", "/nothing", "/sdk/test/"] {
        assert_eq!(request(&gateway, "GET", path, "", "").await.status, 404, "{path}");
    }
}
