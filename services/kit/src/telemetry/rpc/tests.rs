use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::ServiceExt as _;

use super::*;
use crate::auth::{Access, MethodRule};

const PATH: &str = "/t.T/Known";
const RULES: &[MethodRule] = &[MethodRule::unary(PATH, Access::USERS)];

fn counted() -> (Metrics, RpcMetrics) {
    let metrics = Metrics::new();
    let rpc = RpcMetrics::new(&metrics, &MethodTable::new(&[RULES]));
    (metrics, rpc)
}

fn has(metrics: &Metrics, line: &str) -> bool {
    metrics.encode().lines().any(|found| found == line)
}

fn request(path: &str) -> http::Request<()> {
    http::Request::builder().uri(path).body(()).unwrap()
}

/// Answers with these trailers after some data.
fn with_trailers(code: &'static str) -> Body {
    let mut trailers = http::HeaderMap::new();
    trailers.insert(GRPC_STATUS, code.parse().unwrap());
    let frames = [Ok::<_, Infallible>(Frame::data(bytes::Bytes::from_static(b"x"))), Ok(Frame::trailers(trailers))];
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

#[tokio::test]
async fn a_call_counts_when_its_answer_has_ended() {
    let (metrics, rpc) = counted();
    let server = tower::service_fn(|_: http::Request<()>| async {
        Ok::<_, Infallible>(http::Response::new(with_trailers("0")))
    });
    let response = rpc.layer().layer(server).oneshot(request(PATH)).await.unwrap();
    assert!(has(&metrics, &format!("viberchat_rpc_in_flight{{method=\"{PATH}\"}} 1")));
    assert!(has(&metrics, &format!("viberchat_rpc_calls_total{{method=\"{PATH}\",code=\"OK\"}} 0")));
    response.into_body().collect().await.unwrap();
    assert!(has(&metrics, &format!("viberchat_rpc_in_flight{{method=\"{PATH}\"}} 0")));
    assert!(has(&metrics, &format!("viberchat_rpc_calls_total{{method=\"{PATH}\",code=\"OK\"}} 1")));
    assert!(has(&metrics, &format!("viberchat_rpc_seconds_count{{method=\"{PATH}\"}} 1")));
}

#[tokio::test]
async fn the_code_is_taken_from_trailers_or_headers() {
    let (metrics, rpc) = counted();
    let late = tower::service_fn(|_: http::Request<()>| async {
        Ok::<_, Infallible>(http::Response::new(with_trailers("5")))
    });
    let response = rpc.layer().layer(late).oneshot(request(PATH)).await.unwrap();
    response.into_body().collect().await.unwrap();
    let early = tower::service_fn(|_: http::Request<()>| async {
        Ok::<_, Infallible>(tonic::Status::unauthenticated("x").into_http::<Body>())
    });
    rpc.layer().layer(early).oneshot(request(PATH)).await.unwrap();
    for code in ["NOT_FOUND", "UNAUTHENTICATED"] {
        assert!(has(&metrics, &format!("viberchat_rpc_calls_total{{method=\"{PATH}\",code=\"{code}\"}} 1")), "{code}");
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_counts_as_cancelled() {
    let (metrics, rpc) = counted();
    let server = tower::service_fn(|_: http::Request<()>| async {
        Ok::<_, Infallible>(http::Response::new(with_trailers("0")))
    });
    drop(rpc.layer().layer(server).oneshot(request(PATH)).await.unwrap());
    let hanging =
        tower::service_fn(|_: http::Request<()>| std::future::pending::<Result<http::Response<Body>, Infallible>>());
    let mut call = std::pin::pin!(rpc.layer().layer(hanging).oneshot(request(PATH)));
    assert!(futures::poll!(call.as_mut()).is_pending());
    call.set(rpc.layer().layer(hanging).oneshot(request(PATH)));
    assert!(has(&metrics, &format!("viberchat_rpc_calls_total{{method=\"{PATH}\",code=\"CANCELLED\"}} 2")));
    assert!(has(&metrics, &format!("viberchat_rpc_in_flight{{method=\"{PATH}\"}} 0")));
}

#[tokio::test]
async fn callers_make_no_labels() {
    let (metrics, rpc) = counted();
    let server = tower::service_fn(|_: http::Request<()>| async {
        Ok::<_, Infallible>(http::Response::new(Body::new(Full::new(bytes::Bytes::new()))))
    });
    for path in ["/x.X/One", "/x.X/Two"] {
        let response = rpc.layer().layer(server).oneshot(request(path)).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let text = metrics.encode();
    assert!(!text.contains("x.X"), "{text}");
    assert!(has(&metrics, "viberchat_rpc_seconds_count{method=\"unknown\"} 2"));
}

#[test]
fn codes_have_their_canonical_names() {
    for number in 0..CODES {
        let code = Code::from_i32(number as i32);
        assert_eq!(code as usize, number);
        assert_eq!(code_name(code).replace('_', "").to_lowercase(), format!("{code:?}").to_lowercase());
    }
}
