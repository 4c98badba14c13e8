use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::auth::test_keys::{TestKey, ec_1, jwks, rsa_1, rsa_2};
use crate::lifecycle::Lifecycle;
use crate::tls::tests::{acceptor, test_file};

const TIMING: JwksTiming = JwksTiming {
    refresh: Duration::from_secs(300),
    refresh_min: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
};

/// What the server of the host application says.
#[derive(Clone)]
enum Says {
    Document(String),
    Raw(String),
    Nothing,
}

struct HostServer {
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    url: String,
    _lifecycle: Lifecycle,
}

impl HostServer {
    async fn start(says: Says) -> Self {
        Self::serve(says, None).await
    }

    /// Serves on a real socket of the loopback, one answer a connection.
    async fn serve(says: Says, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}/keys?v=1", listener.local_addr().unwrap().port());
        let (says, asked, lifecycle) = (Arc::new(Mutex::new(says)), Arc::new(AtomicUsize::new(0)), Lifecycle::new());
        let (shared, count) = (says.clone(), asked.clone());
        lifecycle.handle().spawn("host server", async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let says = shared.lock().clone();
                match &tls {
                    None => answer(&mut stream, says).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(mut stream) => answer(&mut stream, says).await,
                        Err(_) => continue,
                    },
                }
            }
        });
        Self { says, asked, url, _lifecycle: lifecycle }
    }

    fn say(&self, says: Says) {
        *self.says.lock() = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn source(&self, ca_file: Option<&Path>) -> JwksSource {
        JwksSource::url(self.url.parse().unwrap(), ca_file).unwrap()
    }

    fn jwks(&self) -> Arc<Jwks> {
        Jwks::new(self.source(None), TIMING, &Metrics::new())
    }
}

async fn answer(stream: &mut (impl AsyncWrite + tokio::io::AsyncRead + Unpin), says: Says) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("GET /keys?v=1 HTTP/1.1\r\n") && request.contains("host: localhost:"), "{request}");
    let text = match says {
        Says::Document(body) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        Says::Raw(text) => text,
        Says::Nothing => return std::future::pending().await,
    };
    // Whoever has enough hangs up.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

type IsExpected = fn(&JwksError) -> bool;

fn document(keys: &[&TestKey]) -> Says {
    Says::Document(jwks(keys))
}

/// What a token of this key meets.
fn answer_to(jwks: &Jwks, key: &TestKey) -> Result<()> {
    jwks.with_key(Some(key.kid), key.algorithm, |_| Ok(()))
}

fn reason(jwks: &Jwks, kid: &str) -> Reason {
    jwks.with_key(Some(kid), Algorithm::RS256, |_| Ok(())).unwrap_err().reason
}

/// Polls, ten seconds long.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

fn start(jwks: &Arc<Jwks>) -> (Lifecycle, CancellationToken) {
    let (lifecycle, end) = (Lifecycle::new(), CancellationToken::new());
    lifecycle.handle().spawn("jwks", jwks.clone().run(end.clone()));
    (lifecycle, end)
}

fn quick() -> JwksTiming {
    JwksTiming { refresh: Duration::from_secs(600), refresh_min: Duration::from_millis(1), ..TIMING }
}

#[tokio::test]
async fn a_key_that_was_rotated_in_is_found_after_one_look() {
    let server = HostServer::start(document(&[&rsa_1()])).await;
    let jwks = Jwks::new(server.source(None), quick(), &Metrics::new());
    jwks.refresh().await.unwrap();
    let (_lifecycle, _end) = start(&jwks);
    assert_eq!(answer_to(&jwks, &rsa_1()), Ok(()));
    server.say(document(&[&rsa_1(), &rsa_2()]));
    assert_eq!(answer_to(&jwks, &rsa_2()).unwrap_err().reason, Reason::StoreUnavailable, "to be tried again");
    until("the new key is found", || answer_to(&jwks, &rsa_2()).is_ok()).await;
    assert_eq!(answer_to(&jwks, &rsa_1()), Ok(()));
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_key_that_was_rotated_out_is_refused() {
    let server = HostServer::start(document(&[&rsa_1(), &rsa_2()])).await;
    let jwks = server.jwks();
    jwks.refresh().await.unwrap();
    server.say(document(&[&rsa_2()]));
    jwks.refresh().await.unwrap();
    assert!(answer_to(&jwks, &rsa_1()).is_err());
    assert_eq!(answer_to(&jwks, &rsa_2()), Ok(()));
}

#[tokio::test]
async fn a_flood_of_unknown_keys_reads_the_source_once_in_a_while() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks(&[&rsa_1()])).unwrap();
    let metrics = Metrics::new();
    let timing = JwksTiming { refresh_min: Duration::from_millis(100), ..TIMING };
    let jwks = Jwks::new(JwksSource::File(file.path().to_owned()), timing, &metrics);
    jwks.refresh().await.unwrap();
    let (_lifecycle, _end) = start(&jwks);
    let begin = Instant::now();
    let mut number = 0;
    while begin.elapsed() < Duration::from_millis(500) {
        for _ in 0..500 {
            number += 1;
            let _ = reason(&jwks, &format!("unknown {number}"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (reads, at_most) = (count(&metrics, "ok"), begin.elapsed().as_millis() as u64 / 100 + 2);
    assert!((2..=at_most).contains(&reads), "{reads} reads for {number} tokens");
    assert_eq!(answer_to(&jwks, &rsa_1()), Ok(()));
}

fn count(metrics: &Metrics, result: &str) -> u64 {
    let name = format!("viberchat_auth_jwks_refreshes_total{{result=\"{result}\"}} ");
    let text = metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix(&*name)).expect("the metric is there");
    line.parse().unwrap()
}

#[tokio::test]
async fn a_key_that_is_not_there_is_refused_without_asking_again() {
    let server = HostServer::start(document(&[&rsa_1()])).await;
    let jwks = Jwks::new(server.source(None), quick(), &Metrics::new());
    jwks.refresh().await.unwrap();
    let (_lifecycle, _end) = start(&jwks);
    assert_eq!(reason(&jwks, "stranger"), Reason::StoreUnavailable);
    until("the stranger is refused", || reason(&jwks, "stranger") == Reason::Unauthenticated).await;
    for _ in 0..50 {
        assert_eq!(reason(&jwks, "stranger"), Reason::Unauthenticated);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(server.asked(), 2, "one at the start, one for the stranger");
    assert_eq!(jwks.with_key(None, Algorithm::ES256, |_| Ok(())).unwrap_err().reason, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_source_that_fails_leaves_the_last_good_set() {
    let server = HostServer::start(document(&[&rsa_1()])).await;
    let metrics = Metrics::new();
    let timing = JwksTiming { timeout: Duration::from_millis(200), ..TIMING };
    let jwks = Jwks::new(server.source(None), timing, &metrics);
    jwks.refresh().await.unwrap();
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{0:x}\r\n{1}\r\n",
        300 * 1024,
        "x".repeat(300 * 1024)
    );
    let failures: [(Says, IsExpected); 9] = [
        (Says::Raw("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into()), |error| {
            matches!(error, JwksError::Status(_))
        }),
        (Says::Raw("HTTP/1.1 302 Found\r\nlocation: http://localhost/\r\ncontent-length: 0\r\n\r\n".into()), |error| {
            matches!(error, JwksError::Status(_))
        }),
        (Says::Raw("SSH-2.0-OpenSSH\r\n".into()), |error| matches!(error, JwksError::Http(_))),
        (Says::Raw(String::new()), |error| matches!(error, JwksError::Http(_))),
        (Says::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into()), |error| {
            matches!(error, JwksError::Unreachable(_))
        }),
        (Says::Document("{}".into()), |error| matches!(error, JwksError::Invalid(InvalidJwks::NotJwks))),
        (Says::Document(" ".repeat(JWKS_BYTES_MAX + 1)), |error| matches!(error, JwksError::TooLarge)),
        (Says::Raw(chunked), |error| matches!(error, JwksError::TooLarge)),
        (Says::Nothing, |error| matches!(error, JwksError::Timeout)),
    ];
    let number = failures.len() as u64;
    for (says, is_expected) in failures {
        server.say(says);
        let error = jwks.refresh().await.unwrap_err();
        assert!(is_expected(&error), "{error:?}");
        assert_eq!(answer_to(&jwks, &rsa_1()), Ok(()), "after {error}");
    }
    assert_eq!((count(&metrics, "ok"), count(&metrics, "failed")), (1, number));
}

#[tokio::test]
async fn while_the_source_is_down_an_unknown_key_is_to_be_tried_again() {
    let server = HostServer::start(Says::Raw("HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n".into())).await;
    let jwks = Jwks::new(server.source(None), quick(), &Metrics::new());
    jwks.refresh().await.unwrap_err();
    let (_lifecycle, _end) = start(&jwks);
    assert_eq!(reason(&jwks, "rsa-1"), Reason::StoreUnavailable);
    until("the source is asked", || server.asked() >= 2).await;
    assert_eq!(reason(&jwks, "rsa-1"), Reason::StoreUnavailable, "nothing was found out");
    server.say(document(&[&rsa_1()]));
    until("the source is back", || answer_to(&jwks, &rsa_1()).is_ok()).await;
}

#[tokio::test]
async fn a_file_that_changes_is_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks(&[&rsa_1()])).unwrap();
    let timing = JwksTiming { refresh: Duration::from_millis(10), ..quick() };
    let jwks = Jwks::new(JwksSource::File(file.path().to_owned()), timing, &Metrics::new());
    jwks.refresh().await.unwrap();
    let (lifecycle, end) = start(&jwks);
    std::fs::write(file.path(), crate::auth::test_keys::jwks(&[&ec_1()])).unwrap();
    until("the new file holds", || jwks.keys.load().has("ec-1")).await;
    assert!(answer_to(&jwks, &rsa_1()).is_err());
    end.cancel();
    assert!(lifecycle.shutdown(Duration::from_secs(1)).await.is_clean());
    std::fs::write(file.path(), "half a docu").unwrap();
    assert!(matches!(jwks.refresh().await, Err(JwksError::Invalid(_))));
    std::fs::write(file.path(), " ".repeat(JWKS_BYTES_MAX + 1)).unwrap();
    assert!(matches!(jwks.refresh().await, Err(JwksError::TooLarge)));
    std::fs::remove_file(file.path()).unwrap();
    assert!(matches!(jwks.refresh().await, Err(JwksError::File { .. })));
    assert_eq!(answer_to(&jwks, &ec_1()), Ok(()));
}

#[test]
fn a_file_is_looked_at_every_ten_seconds_at_least() {
    let jwks = Jwks::new(JwksSource::File("keys.json".into()), TIMING, &Metrics::new());
    assert_eq!(jwks.timing.refresh, FILE_REFRESH_MAX);
}

#[tokio::test]
async fn over_https_only_who_is_trusted_is_believed() {
    let server = HostServer::serve(document(&[&rsa_1()]), Some(acceptor(false))).await;
    let trusting = Jwks::new(server.source(Some(&test_file("ca.pem"))), TIMING, &Metrics::new());
    trusting.refresh().await.unwrap();
    assert_eq!(answer_to(&trusting, &rsa_1()), Ok(()));
    let error = server.jwks().refresh().await.unwrap_err();
    assert!(
        matches!(&error, JwksError::Unreachable(cause) if cause.to_string().contains("UnknownIssuer")),
        "{error:?}"
    );
}

#[test]
fn only_https_and_loopback_are_urls_of_keys() {
    let good = [
        ("https://id.example.org", "id.example.org", 443, "/"),
        ("https://id.example.org:8443/a/b?c=d", "id.example.org", 8443, "/a/b?c=d"),
        ("http://localhost:9000/keys", "localhost", 9000, "/keys"),
        ("http://127.0.0.2/keys", "127.0.0.2", 80, "/keys"),
        ("http://[::1]:1/keys", "::1", 1, "/keys"),
        ("HTTPS://id.example.org/", "id.example.org", 443, "/"),
    ];
    for (text, host, port, path) in good {
        let url: JwksUrl = text.parse().unwrap();
        assert_eq!((url.host(), url.port(), url.path_and_query()), (host, port, path), "{text}");
    }
    let refusal = |text: &str| text.parse::<JwksUrl>().unwrap_err();
    for text in ["", "keys", "/keys", "https:///keys", "id.example.org:443", "https://a b/"] {
        assert_eq!(refusal(text), InvalidJwksUrl::NotUrl, "{text}");
    }
    for text in [
        "http://id.example.org/",
        "http://10.0.0.1/",
        "http://localhost.example.org/",
        "ftp://localhost/",
        "file://localhost/etc",
    ] {
        assert_eq!(refusal(text), InvalidJwksUrl::NotHttps, "{text}");
    }
    assert_eq!(refusal("https://me:secret@id.example.org/"), InvalidJwksUrl::HasCredentials);
    let quoted = json!("http://id.example.org/").to_string();
    assert!(serde_json::from_str::<JwksUrl>(&quoted).unwrap_err().to_string().contains("https"));
}
