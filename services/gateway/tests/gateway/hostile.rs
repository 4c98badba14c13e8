//! What a gateway does with clients that break the protocol, and how it ends.

use std::time::Duration;

use crate::support::Gateway;
use crate::support::client::{Client, Heard, number, send};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_websockets::Message;
use viberchat_kit::auth::Scope;

/// Sends a request as it is and returns the whole answer.
async fn raw(gateway: &Gateway, request: &str) -> String {
    let mut tcp = TcpStream::connect(gateway.address).await.expect("the gateway listens");
    tcp.write_all(request.as_bytes()).await.expect("it takes it");
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
        let read = tcp.read(&mut bytes).await.expect("it answers");
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&bytes[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn upgrade(extra: &str) -> String {
    format!(
        "GET /v1/connect HTTP/1.1\r\nHost: chat.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
    )
}

const PROTOCOL: &str = "Sec-WebSocket-Protocol: other, viberchat.v1.json\r\n";

#[tokio::test]
async fn an_upgrade_needs_the_subprotocol_and_an_origin_that_may() {
    let gateway = Gateway::with(|config| config.allowed_origins = vec!["https://app.example.org".to_owned()]).await;
    assert!(raw(&gateway, &upgrade(PROTOCOL)).await.starts_with("HTTP/1.1 101"));
    assert!(raw(&gateway, &upgrade("")).await.starts_with("HTTP/1.1 400"));
    let answer = raw(&gateway, &upgrade("Sec-WebSocket-Protocol: viberchat.v1.proto, viberchat.v1.json\r\n")).await;
    assert!(
        answer.contains("viberchat.v1.proto") && !answer.contains("viberchat.v1.json"),
        "the first counts: {answer}"
    );
    let other = "Sec-WebSocket-Protocol: viberchat.v2.json\r\n";
    assert!(raw(&gateway, &upgrade(other)).await.starts_with("HTTP/1.1 400"));
    for (origin, status) in [
        ("https://chat.example.org", "101"),
        ("https://app.example.org", "101"),
        ("https://evil.example", "403"),
        ("null", "403"),
    ] {
        let answer = raw(&gateway, &upgrade(&format!("{PROTOCOL}Origin: {origin}\r\n"))).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{origin}: {answer}");
    }
    let plain = "GET /v1/connect HTTP/1.1\r\nHost: chat.example.org\r\n\r\n";
    assert!(raw(&gateway, plain).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn tokens_that_are_no_users_token_close_the_socket() {
    let gateway = Gateway::start().await;
    let service = gateway.signer.sign_service("backend", &[Scope::ActForUsers], Duration::from_secs(60)).expect("good");
    let expired = gateway.token_for("alice", Duration::ZERO);
    for (token, reason, code) in [
        ("nonsense".to_owned(), "UNAUTHENTICATED", 4501),
        (service, "UNAUTHENTICATED", 4501),
        (String::new(), "UNAUTHENTICATED", 4501),
    ] {
        let mut client = gateway.connect().await;
        let answer = client.call("hello", json!({"token": token})).await;
        assert_eq!(answer["error"]["reason"], reason);
        assert_eq!(client.closed().await, code);
    }
    // The tolerated skew has to pass first.
    tokio::time::sleep(Duration::from_millis(5100)).await;
    let mut client = gateway.connect().await;
    let answer = client.call("hello", json!({"token": expired})).await;
    assert_eq!(answer["error"]["reason"], "TOKEN_EXPIRED");
    assert_eq!(client.closed().await, 4010);
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    client.hello(&gateway.token_for("alice", Duration::ZERO), false).await;
    client.until_ready().await;
    let notice = client.push().await;
    assert!(notice["tokenExpires"]["expireTime"].is_string(), "{notice}");
    assert_eq!(client.closed().await, 4010);
}

#[tokio::test]
async fn without_hello_the_socket_is_closed() {
    let gateway = Gateway::with(|config| config.hello_timeout_ms = 300).await;
    assert_eq!(gateway.connect().await.closed().await, 4504);
}

#[tokio::test]
async fn a_silent_client_is_closed_and_one_that_beats_is_not() {
    let gateway = Gateway::with(|config| (config.heartbeat_ms, config.silence_ms_max) = (200, 600)).await;
    let mut silent = gateway.ready("alice").await;
    let mut beating = gateway.ready("alice").await;
    // The time in which the silent one has to be closed, and the other one not.
    for _ in 0..10 {
        beating.call("heartbeat", json!({})).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(silent.closed().await, 4000);
    beating.call("heartbeat", json!({})).await;
    assert!(beating.pushes.iter().any(|push| push.get("heartbeat").is_some()), "the gateway beats too");
}

#[tokio::test]
async fn unreadable_frames_are_answered_and_ten_close_the_socket() {
    let gateway = Gateway::start().await;
    let mut client = gateway.ready("alice").await;
    let bad = ["{", "", "[]", "{\"id\": 3, \"send\": 7}", "{\"id\": 4, \"dance\": {}}", "{\"id\": 0}", "nul"];
    for text in bad {
        client.say_text(text).await;
        let frame = client.frame().await;
        assert_eq!(frame["error"]["reason"], "INVALID_ARGUMENT", "{text}: {frame}");
        let id = if text.contains('3') {
            json!(3)
        } else if text.contains('4') {
            json!(4)
        } else {
            Value::Null
        };
        assert_eq!(frame["id"], id, "{text}");
    }
    client.socket.send(Message::binary(vec![1, 2, 3])).await.expect("the socket takes it");
    assert_eq!(client.frame().await["error"]["reason"], "INVALID_ARGUMENT");
    assert_eq!(client.call("heartbeat", json!({})).await["reply"], json!({}), "the socket lives");
    for _ in 0..2 {
        client.say_text("{").await;
    }
    assert_eq!(client.closed().await, 4504);
}

#[tokio::test]
async fn an_oversized_frame_closes_with_1009_and_a_maximal_one_passes() {
    let gateway = Gateway::start().await;
    let mut client = gateway.ready("alice").await;
    let text = format!("{{\"id\": 9, \"heartbeat\": {{}}{}}}", " ".repeat(128 * 1024 - 26));
    assert!(text.len() <= 128 * 1024);
    client.say_text(&text).await;
    assert_eq!(client.frame().await["reply"], json!({}));
    client.say_text(&" ".repeat(1024 * 1024)).await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn a_message_in_many_frames_is_read_like_one() {
    let gateway = Gateway::start().await;
    let mut tcp = TcpStream::connect(gateway.address).await.expect("the gateway listens");
    tcp.write_all(upgrade(PROTOCOL).as_bytes()).await.expect("it takes it");
    let hello = json!({"id": 1, "hello": {"token": gateway.token("alice")}}).to_string();
    let mut wire = Vec::new();
    let pieces: Vec<_> = hello.as_bytes().chunks(50).collect();
    for (index, piece) in pieces.iter().enumerate() {
        let opcode = if index == 0 { 1 } else { 0 };
        let fin = if index + 1 == pieces.len() { 0x80 } else { 0 };
        wire.extend([fin | opcode, 0x80 | u8::try_from(piece.len()).expect("short"), 0, 0, 0, 0]);
        wire.extend_from_slice(piece);
    }
    // Byte by byte, so that no frame comes whole.
    for byte in wire {
        tcp.write_all(&[byte]).await.expect("it takes it");
    }
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("\"ready\"") {
        let read = tokio::time::timeout(Duration::from_secs(5), tcp.read(&mut bytes)).await.expect("in time");
        answer.extend_from_slice(&bytes[..read.expect("it answers")]);
    }
    assert!(String::from_utf8_lossy(&answer).contains("welcome"));
}

#[tokio::test]
async fn a_message_that_is_too_long_in_sum_closes_with_1009() {
    let gateway = Gateway::start().await;
    let mut tcp = TcpStream::connect(gateway.address).await.expect("the gateway listens");
    tcp.write_all(upgrade(PROTOCOL).as_bytes()).await.expect("it takes it");
    let mut wire = vec![0x01, 0x80 | 1, 0, 0, 0, 0, b' '];
    for _ in 0..10 {
        wire.extend([0x00, 0x80 | 126, 0x4e, 0x20, 0, 0, 0, 0]);
        wire.extend([b' '; 20_000]);
    }
    tcp.write_all(&wire).await.expect("it takes it");
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), tcp.read_to_end(&mut answer))
        .await
        .expect("in time")
        .expect("it ends");
    let close = [0x88, 0x02, 0x03, 0xf1];
    assert!(answer.windows(4).any(|four| four == close), "no close frame with 1009 in {answer:?}");
}

#[tokio::test]
async fn a_reader_that_stalls_holds_little_and_is_closed() {
    let gateway = Gateway::with(|config| config.stall_ms_max = 2000).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let stalled = gateway.ready("bob").await;
    let mut reading = gateway.ready("alice").await;
    let text = "z".repeat(10_000);
    // More than the kernel keeps for a socket that is not read.
    let mut queued = 0;
    for number in 0..2000u64 {
        gateway.world.append(group, "alice", &text, "");
        if number % 50 == 49 {
            assert_eq!(reading.entries(group, 50).await.len(), 50);
            queued =
                gateway.operations.sessions(None).iter().map(|session| session.queued_bytes).fold(queued, u32::max);
        }
    }
    assert!((32 * 1024..=256 * 1024).contains(&queued), "{queued} bytes waited for one socket");
    let room = viberchat_gateway::Config::default().outbox_push_bytes_max;
    let asked = gateway.world.0.lock().read_bytes_max;
    assert!((1..=room).contains(&asked), "{asked} bytes were read from the log for a socket with room for {room}");
    let stopped = std::time::Instant::now();
    crate::support::eventually("the stalled one is gone", || gateway.metric("viberchat_gateway_sockets") == 1.0).await;
    // The stall, and the wait for a client that does not answer the close; the rest is for a machine under load.
    assert!(stopped.elapsed() < Duration::from_secs(2 + 2 + 4), "it took {:?}", stopped.elapsed());
    let mut stalled = stalled;
    let mut last = 0;
    loop {
        match stalled.hear().await {
            Heard::Frame(frame) => {
                if let Some(entry) = frame["push"].get("entry") {
                    assert_eq!(number(&entry["seq"]), last + 1);
                    last += 1;
                }
            }
            Heard::Closed(code) => {
                assert_eq!(code, 4008);
                break;
            }
            // The kernel may have dropped what lay before the close frame.
            Heard::Broken => break,
        }
    }
    assert!(last < 2000, "it was closed before it had everything");
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_the_end() {
    let gateway = Gateway::start().await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut slow = gateway.ready("bob").await;
    let text = "z".repeat(10_000);
    for _ in 0..1000 {
        gateway.world.append(group, "alice", &text, "");
    }
    let is_behind = || gateway.operations.sessions(None).iter().any(|session| session.behind_count > 0);
    crate::support::eventually("the socket takes no more", is_behind).await;
    assert_eq!(slow.entries(group, 1000).await, (1..=1000).collect::<Vec<_>>());
    assert!(gateway.world.0.lock().reads > 0, "the log had to be asked");
}

#[tokio::test]
async fn half_a_request_is_not_waited_for() {
    let gateway = Gateway::with(|config| config.header_timeout_ms = 200).await;
    let mut tcp = TcpStream::connect(gateway.address).await.expect("the gateway listens");
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: a").await.expect("it takes it");
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), tcp.read_to_end(&mut bytes)).await.expect("in time").expect("it ends");
    let mut tcp = TcpStream::connect(gateway.address).await.expect("the gateway listens");
    let head = "POST /viberchat.message.v1.MessageService/SendMessage HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n";
    let head = format!("{head}Authorization: Bearer {}\r\n\r\n{{", gateway.token("alice"));
    tcp.write_all(head.as_bytes()).await.expect("it takes it");
    let mut bytes = [0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(5), tcp.read(&mut bytes)).await.expect("in time");
    let answer = String::from_utf8_lossy(&bytes[..read.expect("it answers")]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let gateway = Gateway::with(|config| config.connections_max = 2).await;
    let mut alice = gateway.ready("alice").await;
    let _bob = gateway.ready("bob").await;
    let mut third = TcpStream::connect(gateway.address).await.expect("the kernel accepts");
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), third.read_to_end(&mut bytes)).await.expect("in time");
    assert!(matches!(read, Ok(0) | Err(_)));
    assert_eq!(alice.call("heartbeat", json!({})).await["reply"], json!({}));
}

#[tokio::test]
async fn a_stop_says_goaway_finishes_what_is_under_way_and_closes() {
    let gateway = Gateway::with(|config| config.drain_ms = 200).await;
    let group = gateway.world.group(&["alice", "bob"], 0);
    let mut alice = gateway.ready("alice").await;
    let mut bob = gateway.ready("bob").await;
    for number in 0..20 {
        alice.ask("send", send(group, &format!("m{number}"), "hello")).await;
    }
    // The first is answered, so the socket is read; the others are under way, or on the wire.
    alice.answer(2).await;
    let world = gateway.world.clone();
    let stop = gateway.stop();
    let both = async {
        let mut seen = Vec::new();
        let mut told = false;
        let code = loop {
            match bob.hear().await {
                Heard::Frame(frame) => {
                    told |= frame["push"].get("goaway").is_some();
                    if let Some(entry) = frame["push"].get("entry") {
                        seen.push(number(&entry["seq"]));
                    }
                }
                Heard::Closed(code) => break code,
                Heard::Broken => panic!("broken off"),
            }
        };
        assert!(told, "goaway comes first");
        assert_eq!(code, 4001);
        assert_eq!(seen, (1..=world.head(group)).collect::<Vec<_>>());
        let mut acknowledged = 1;
        let code = loop {
            match alice.hear().await {
                Heard::Frame(frame) => acknowledged += u64::from(frame["reply"].get("send").is_some()),
                Heard::Closed(code) => break code,
                Heard::Broken => panic!("broken off"),
            }
        };
        assert_eq!(code, 4001);
        assert_eq!(acknowledged, world.head(group), "every stored message was acknowledged");
    };
    let (report, ()) = tokio::join!(stop, both);
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_clients_that_do_not_answer() {
    let gateway = Gateway::start().await;
    let _deaf: Vec<Client> = vec![gateway.ready("alice").await, gateway.ready("bob").await];
    let begin = std::time::Instant::now();
    assert!(gateway.stop().await.is_clean());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn clients_that_vanish_leave_nothing() {
    let gateway = Gateway::with(|config| config.linger_ms = 50).await;
    gateway.world.group(&["alice"], 0);
    for _ in 0..20 {
        let mut client = gateway.connect().await;
        client.hello(&gateway.token("alice"), false).await;
    }
    crate::support::eventually("all sockets are gone", || gateway.metric("viberchat_gateway_sockets") == 0.0).await;
    crate::support::eventually("the user is gone", || gateway.metric("viberchat_gateway_users") == 0.0).await;
    crate::support::eventually("the topic is gone", || gateway.metric("viberchat_gateway_topics") == 0.0).await;
    let mut last = gateway.ready("alice").await;
    assert!(last.socket.next().await.is_some());
}

#[tokio::test]
async fn a_stop_without_time_ends_everything() {
    let gateway = Gateway::with(|config| config.drain_ms = 60_000).await;
    let clients = [gateway.ready("alice").await, gateway.connect().await];
    let report = gateway.stop_within(Duration::from_millis(100)).await;
    assert!(report.left_running.is_empty(), "{report:?}");
    for mut client in clients {
        while let Heard::Frame(frame) = client.hear().await {
            assert!(frame["push"].get("goaway").is_some() || frame["push"].get("heartbeat").is_some(), "{frame}");
        }
    }
}

#[tokio::test]
async fn a_socket_that_has_to_come_later_is_told_when() {
    let change = |config: &mut viberchat_gateway::Config| {
        (config.handshakes_max, config.handshakes_waiting_max) = (1, 1);
    };
    let gateway = Gateway::with(change).await;
    let _two = [gateway.connect().await, gateway.connect().await];
    let answer = raw(&gateway, &upgrade(PROTOCOL)).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503") && answer.contains("\r\nretry-after: 2\r\n"), "{answer}");
}
