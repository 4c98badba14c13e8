//! A hundred thousand bad frames and calls: each gets its documented error or close code, nothing is stored, and the memory
//! of the server stays what it was.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, future::try_join_all};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use tokio_websockets::Message;
use viberchat_proto::gateway::v1::{ServerFrame, server_frame};
use viberchat_tests::{
    client::{
        http as door,
        socket::{Encoding, Stream, connect},
    },
    cluster::{Tokens, UserClaims},
    history::{Door, scan_store},
    workload::size_from_environment,
};

use super::Stage;

/// The server may keep this much more in the end.
const GROWTH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Frames that are answered with an error, in one flight.
const FLIGHT: usize = 25;

const WAIT: Duration = Duration::from_secs(20);

/// How many of each kind; in all as many as the issue asks for.
struct Counts {
    /// Frames that are well formed and refused: others' ids, forged page tokens, wrong fields.
    refused: usize,
    /// Connections that send unreadable frames until they are closed, ten each.
    unreadable: usize,
    /// Connections with a bad token.
    bad_tokens: usize,
    /// Frames of a mebibyte.
    oversized: usize,
    /// Connections that end in the middle of a frame.
    halves: usize,
    /// Connections that say nothing.
    silent: usize,
    /// Calls over HTTP.
    calls: usize,
}

impl Counts {
    fn of(total: usize) -> Self {
        let part = |thousandths: usize| (total * thousandths / 1_000).max(2);
        Self {
            refused: part(750),
            unreadable: part(10),
            bad_tokens: part(20),
            oversized: part(2),
            halves: part(10),
            silent: part(1),
            calls: part(120),
        }
    }

    fn total(&self) -> usize {
        self.refused + 10 * self.unreadable + self.bad_tokens + self.oversized + self.halves + self.silent + self.calls
    }
}

/// What the bad frames are aimed at.
struct Target<'a> {
    http: &'a str,
    tokens: &'a Tokens,
    /// A group that the sender of bad frames does not belong to.
    group: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_get_their_error_nothing_is_stored_and_memory_stays() -> Result<()> {
    let stage = Stage::open_with(|settings| settings.in_turn().set("GATEWAY__HELLO_TIMEOUT_MS", "2000")).await?;
    let owner = stage.user("owner")?;
    let group = owner.create_group(Door::Http, &["friend".to_owned()], "group").await?;
    let (http, tokens) = (stage.server.addresses().http.clone(), stage.server.tokens().clone());
    let target = Target { http: &http, tokens: &tokens, group };

    // Once around first: threads, caches and the allocator find their size.
    send_all(&target, &Counts::of(4_000)).await?;
    let before = settled_memory(&stage, u64::MAX).await?;
    let counts = Counts::of(size_from_environment("VIBERCHAT_TEST_BAD_FRAMES", 100_000));
    let start = Instant::now();
    send_all(&target, &counts).await?;
    println!("{} bad frames and calls in {:?}", counts.total(), start.elapsed());
    let after = settled_memory(&stage, before + GROWTH_BYTES_MAX).await?;
    println!("resident memory: {} KiB before, {} KiB after", before / 1024, after / 1024);
    assert!(after <= before + GROWTH_BYTES_MAX, "the memory grew by {} KiB", (after - before) / 1024);

    let mut server = stage.server;
    server.stop(&stage.recorder).await?;
    let scan = scan_store(&server.settings().data_folder(), true)?;
    assert_eq!(scan.entries.len(), 1, "the group's first entry, and nothing of all that: {:?}", scan.entries);
    Ok(())
}

/// The memory once it is at most this much, or after a while.
async fn settled_memory(stage: &Stage, wanted: u64) -> Result<u64> {
    let start = Instant::now();
    loop {
        let memory = stage.server.memory_bytes()?;
        if memory <= wanted || start.elapsed() > Duration::from_secs(10) {
            return Ok(memory);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn send_all(target: &Target<'_>, counts: &Counts) -> Result<()> {
    tokio::try_join!(
        send_refused(target, counts.refused),
        send_unreadable(target, counts.unreadable),
        send_bad_tokens(target, counts.bad_tokens),
        send_oversized(target, counts.oversized),
        send_halves(target, counts.halves),
        send_nothing(target, counts.silent),
        call_badly(target, counts.calls),
    )?;
    Ok(())
}

async fn open(target: &Target<'_>) -> Result<Stream> {
    let mut stream = connect(target.http, Encoding::Json).await?.0;
    let hello = format!(r#"{{"id":1,"hello":{{"token":"{}","deviceId":"d"}}}}"#, target.tokens.user("mallory"));
    stream.send(Message::text(hello)).await?;
    loop {
        let frame = next_frame(&mut stream).await?;
        if frame.id == 1 {
            return Ok(stream);
        }
    }
}

async fn next_frame(stream: &mut Stream) -> Result<ServerFrame> {
    let message = tokio::time::timeout(WAIT, stream.next()).await.context("no frame in time")?.context("closed")??;
    let text = message.as_text().with_context(|| format!("not text: {message:?}"))?;
    Ok(serde_json::from_str(text)?)
}

/// The close code, past all frames.
async fn close_code(stream: &mut Stream) -> Result<u16> {
    loop {
        let message = tokio::time::timeout(WAIT, stream.next()).await.context("not closed in time")?;
        let message = message.context("ended without a close frame")??;
        if let Some((code, _)) = message.as_close() {
            return Ok(code.into());
        }
    }
}

/// Well-formed frames, each with the reason that must come back.
fn refused_frames(target: &Target<'_>) -> Vec<(String, &'static str)> {
    let group = &target.group;
    let message = "01890000-0000-8000-8000-000000000000";
    let frame = |rest: &str, reason| (rest.replace("GROUP", group).replace("MESSAGE", message), reason);
    let long =
        format!(r#""send":{{"conversationId":"GROUP","clientMessageId":"x","text":"{}"}}"#, "a".repeat(16 * 1024 + 1));
    vec![
        frame(r#""send":{"conversationId":"GROUP","clientMessageId":"x","text":"hello"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""send":{"conversationId":"GROUP","clientMessageId":"x","text":"  "}"#, "TEXT_EMPTY"),
        frame(&long, "TEXT_TOO_LONG"),
        frame(r#""send":{"conversationId":"not an id","clientMessageId":"x","text":"hello"}"#, "INVALID_ARGUMENT"),
        frame(r#""send":{"conversationId":"GROUP","clientMessageId":"","text":"hello"}"#, "INVALID_ARGUMENT"),
        frame(
            r#""edit":{"conversationId":"GROUP","messageId":"MESSAGE","text":"x","requestId":"x"}"#,
            "CONVERSATION_NOT_FOUND",
        ),
        frame(r#""delete":{"conversationId":"GROUP","messageId":"MESSAGE","requestId":"x"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""markRead":{"conversationId":"GROUP","seq":"1"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""readLog":{"conversationId":"GROUP","afterSeq":"0"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""listMessages":{"conversationId":"GROUP"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""listPositions":{"conversationId":"GROUP"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""getConversation":{"conversationId":"GROUP"}"#, "CONVERSATION_NOT_FOUND"),
        frame(
            r#""addMembers":{"conversationId":"GROUP","userIds":["mallory"],"requestId":"x"}"#,
            "CONVERSATION_NOT_FOUND",
        ),
        frame(
            r#""removeMember":{"conversationId":"GROUP","userId":"owner","requestId":"x"}"#,
            "CONVERSATION_NOT_FOUND",
        ),
        frame(r#""leave":{"conversationId":"GROUP","requestId":"x"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""listMembers":{"conversationId":"GROUP"}"#, "CONVERSATION_NOT_FOUND"),
        frame(r#""listConversations":{"pageToken":"Zm9yZ2Vk"}"#, "PAGE_TOKEN_INVALID"),
        frame(r#""listConversations":{"pageToken":"!"}"#, "PAGE_TOKEN_INVALID"),
        frame(r#""searchUsers":{"query":"a","pageToken":"Zm9yZ2Vk"}"#, "PAGE_TOKEN_INVALID"),
        frame(r#""startDirect":{"peerUserId":"mallory"}"#, "SELF_CONVERSATION"),
        frame(r#""startDirect":{"peerUserId":""}"#, "INVALID_ARGUMENT"),
        frame(r#""createGroup":{"name":"  ","requestId":"x"}"#, "INVALID_ARGUMENT"),
    ]
}

async fn send_refused(target: &Target<'_>, count: usize) -> Result<()> {
    const SOCKETS: usize = 8;
    let frames = refused_frames(target);
    let lanes = (0..SOCKETS).map(|lane| {
        let frames = &frames;
        async move {
            let mut stream = open(target).await?;
            let mut id: u32 = 2;
            for first in (0..count / SOCKETS).step_by(FLIGHT) {
                let flight = FLIGHT.min(count / SOCKETS - first);
                let mut expected = std::collections::HashMap::new();
                for place in 0..flight {
                    let (frame, reason) = &frames[(lane + first + place) % frames.len()];
                    stream.feed(Message::text(format!(r#"{{"id":{id},{frame}}}"#))).await?;
                    expected.insert(id, (*reason, frame));
                    id += 1;
                }
                stream.flush().await?;
                while !expected.is_empty() {
                    let frame = next_frame(&mut stream).await?;
                    let Some((reason, sent)) = expected.remove(&frame.id) else { continue };
                    let said = match frame.kind {
                        Some(server_frame::Kind::Error(error)) => error.reason,
                        other => format!("{other:?}"),
                    };
                    // A send that was under way behind a failed one goes no further.
                    let behind = sent.contains("\"send\"") && said == "PREDECESSOR_FAILED";
                    ensure!(behind || said == reason, "{} got {said}, not {reason}", &sent[..sent.len().min(120)]);
                }
            }
            anyhow::Ok(())
        }
    });
    try_join_all(lanes).await.map(drop)
}

/// Unreadable frames get an error with id 0 each; the tenth within a minute closes the socket.
async fn send_unreadable(target: &Target<'_>, connections: usize) -> Result<()> {
    let bad = [
        "{",
        "[]",
        "nonsense",
        r#"{"id":"x"}"#,
        r#"{"id":-1,"heartbeat":{}}"#,
        "\"",
        "{}{}",
        "null",
        "1e999",
        r#"{"id":1,"send":[]}"#,
    ];
    for _ in 0..connections {
        let mut stream = open(target).await?;
        for frame in bad {
            stream.feed(Message::text(frame)).await?;
        }
        stream.flush().await?;
        let code = close_code(&mut stream).await?;
        ensure!(code == 4504, "ten unreadable frames: closed with {code}");
    }
    Ok(())
}

async fn send_bad_tokens(target: &Target<'_>, connections: usize) -> Result<()> {
    let tokens = target.tokens;
    let user =
        |ttl_seconds, token_type| tokens.user_with(&UserClaims { user: "mallory".into(), ttl_seconds, token_type });
    let bad = [
        (user(-3_600, Some("access")), [4010, 4501]),
        (user(3_600, Some("refresh")), [4501, 4501]),
        (tokens.unsigned("mallory"), [4501, 4501]),
        (tokens.forged_service("gateway"), [4501, 4501]),
        ("nonsense".to_owned(), [4501, 4501]),
    ];
    for connection in 0..connections {
        let (token, codes) = &bad[connection % bad.len()];
        let mut stream = connect(target.http, Encoding::Json).await?.0;
        stream.send(Message::text(format!(r#"{{"id":1,"hello":{{"token":"{token}","deviceId":"d"}}}}"#))).await?;
        let code = close_code(&mut stream).await?;
        ensure!(codes.contains(&code), "a bad token {token}: closed with {code}");
    }
    Ok(())
}

async fn send_oversized(target: &Target<'_>, connections: usize) -> Result<()> {
    let frame = "a".repeat(1024 * 1024);
    for _ in 0..connections {
        let mut stream = open(target).await?;
        // The server may close before it has read all: then the rest cannot be sent.
        drop(stream.send(Message::text(frame.clone())).await);
        match close_code(&mut stream).await {
            Ok(code) => ensure!(code == 1009, "a frame of a mebibyte: closed with {code}"),
            // A reset may overtake the close frame, since the server does not read what it refuses.
            Err(error) => ensure!(!error.to_string().contains("in time"), "a frame of a mebibyte: {error}"),
        }
    }
    Ok(())
}

async fn send_halves(target: &Target<'_>, connections: usize) -> Result<()> {
    use std::io::Write as _;
    for connection in 0..connections {
        let (_stream, mut raw) = connect(target.http, Encoding::Json).await?;
        let promised = b"\x81\xfe\x10\x00\x01\x02\x03\x04{\"id\":1,\"hello\"";
        raw.write_all(&promised[..1 + connection % (promised.len() - 1)])?;
        raw.shutdown(std::net::Shutdown::Both)?;
    }
    Ok(())
}

async fn send_nothing(target: &Target<'_>, connections: usize) -> Result<()> {
    let silent = (0..connections).map(|_| async {
        let mut stream = connect(target.http, Encoding::Json).await?.0;
        let code = close_code(&mut stream).await?;
        ensure!(code == 4504, "no hello: closed with {code}");
        anyhow::Ok(())
    });
    try_join_all(silent).await.map(drop)
}

/// Bad calls over HTTP, each with the status that must come back.
async fn call_badly(target: &Target<'_>, count: usize) -> Result<()> {
    const LANES: usize = 4;
    let (group, user) = (&target.group, target.tokens.user("mallory"));
    let expired =
        target.tokens.user_with(&UserClaims { user: "mallory".into(), ttl_seconds: -600, token_type: Some("access") });
    let message = "/viberchat.message.v1.MessageService";
    let about_group = format!(r#"{{"conversationId":"{group}"}}"#);
    let send = format!(r#"{{"conversationId":"{group}","clientMessageId":"x","text":"hello"}}"#);
    let calls = [
        (format!("{message}/SendMessage"), Some(&user), send.clone(), StatusCode::NOT_FOUND),
        (format!("{message}/SendMessage"), Some(&expired), send.clone(), StatusCode::UNAUTHORIZED),
        (format!("{message}/SendMessage"), None, send, StatusCode::UNAUTHORIZED),
        (format!("{message}/SendMessage"), Some(&user), "{".to_owned(), StatusCode::BAD_REQUEST),
        (format!("{message}/ListMessages"), Some(&user), about_group.clone(), StatusCode::NOT_FOUND),
        (format!("{message}/NoSuchMethod"), Some(&user), "{}".to_owned(), StatusCode::NOT_FOUND),
        (format!("{message}/AppendSystemEntry"), Some(&user), about_group, StatusCode::NOT_FOUND),
        (format!("{message}/ReadLog"), Some(&user), "a".repeat(1024 * 1024), StatusCode::BAD_REQUEST),
    ];
    let lanes = (0..LANES).map(|lane| {
        let calls = &calls;
        async move {
            for call in 0..count / LANES {
                let large = call % 64 == 0;
                let (path, token, body, status) = &calls[if large { 7 } else { (lane + call) % 7 }];
                let mut request = Request::post(path.as_str())
                    .header(header::HOST, target.http)
                    .header(header::CONTENT_TYPE, "application/json");
                if let Some(token) = token {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                }
                match door::send(target.http, request.body(Full::new(Bytes::from(body.clone())))?).await {
                    Ok((said, _)) => ensure!(said == *status, "{path} answered {said}, not {status}"),
                    // The server may close a connection whose body it does not want to read.
                    Err(error) => ensure!(large, "{path}: {error:#}"),
                }
            }
            anyhow::Ok(())
        }
    });
    try_join_all(lanes).await.map(drop)
}
