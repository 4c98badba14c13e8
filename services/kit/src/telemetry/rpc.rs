use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body as HttpBody, Frame, SizeHint};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::metrics::{Metrics, latency_buckets};
use crate::auth::MethodTable;

const CODES: usize = 17;
const GRPC_STATUS: &str = "grpc-status";
/// One label for all paths that no table names: callers must not make labels.
const UNKNOWN_METHOD: &str = "unknown";

/// Calls of a server, by method: `viberchat_rpc_calls_total{method,code}`, `viberchat_rpc_seconds{method}`,
/// `viberchat_rpc_in_flight{method}`.
#[derive(Clone)]
pub struct RpcMetrics(Arc<Methods>);

struct Methods {
    known: HashMap<&'static str, Arc<MethodMetrics>>,
    unknown: Arc<MethodMetrics>,
}

struct MethodMetrics {
    /// By number of the gRPC code.
    calls: [Counter; CODES],
    seconds: Histogram,
    in_flight: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MethodLabel {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CodeLabels {
    method: &'static str,
    code: &'static str,
}

impl EncodeLabelSet for MethodLabel {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("method", self.method)].encode(encoder)
    }
}

impl EncodeLabelSet for CodeLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("method", self.method), ("code", self.code)].encode(encoder)
    }
}

impl RpcMetrics {
    /// Registers the metrics of all methods of `table`.
    pub fn new(metrics: &Metrics, table: &MethodTable) -> Self {
        let calls = Family::<CodeLabels, Counter>::default();
        let seconds = Family::<MethodLabel, Histogram, fn() -> Histogram>::new_with_constructor(|| {
            Histogram::new(latency_buckets())
        });
        let in_flight = Family::<MethodLabel, Gauge>::default();
        let calls = metrics.register("rpc_calls", "Calls that ended, by method and gRPC code", calls);
        let seconds = metrics.register("rpc_seconds", "Time from the call to the end of its answer", seconds);
        let in_flight = metrics.register("rpc_in_flight", "Calls under way", in_flight);
        let of_method = |method: &'static str| {
            Arc::new(MethodMetrics {
                calls: std::array::from_fn(|number| {
                    calls.get_or_create_owned(&CodeLabels { method, code: code_name(Code::from_i32(number as i32)) })
                }),
                seconds: seconds.get_or_create_owned(&MethodLabel { method }),
                in_flight: in_flight.get_or_create_owned(&MethodLabel { method }),
            })
        };
        let known = table.iter().map(|rule| (rule.path, of_method(rule.path))).collect();
        Self(Arc::new(Methods { known, unknown: of_method(UNKNOWN_METHOD) }))
    }

    /// Puts the counting around a server.
    pub fn layer(&self) -> RpcMetricsLayer {
        RpcMetricsLayer(self.clone())
    }

    fn begin(&self, path: &str) -> Call {
        let method = self.0.known.get(path).unwrap_or(&self.0.unknown).clone();
        method.in_flight.inc();
        Call { method, began: Instant::now(), code: None }
    }
}

/// A call under way. Dropped without a code, it was cancelled.
struct Call {
    method: Arc<MethodMetrics>,
    began: Instant,
    code: Option<Code>,
}

impl Call {
    fn end(&mut self, code: Code) {
        self.code = Some(code);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.method.in_flight.dec();
        self.method.calls[self.code.unwrap_or(Code::Cancelled) as usize].inc();
        self.method.seconds.observe(self.began.elapsed().as_secs_f64());
    }
}

/// See [`RpcMetrics::layer`].
#[derive(Clone)]
pub struct RpcMetricsLayer(RpcMetrics);

impl<S> Layer<S> for RpcMetricsLayer {
    type Service = RpcMetricsService<S>;

    fn layer(&self, inner: S) -> RpcMetricsService<S> {
        RpcMetricsService { inner, metrics: self.0.clone() }
    }
}

/// A server whose calls are counted.
#[derive(Clone)]
pub struct RpcMetricsService<S> {
    inner: S,
    metrics: RpcMetrics,
}

impl<S: tonic::server::NamedService> tonic::server::NamedService for RpcMetricsService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<http::Request<B>> for RpcMetricsService<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let mut call = self.metrics.begin(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // An answer without a body has its status in the headers.
            if let Some(code) = code_of(response.headers()) {
                call.end(code);
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(MeteredBody { body, call })))
        })
    }
}

/// A body whose trailers say how the call ended.
struct MeteredBody {
    body: Body,
    call: Call,
}

impl HttpBody for MeteredBody {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(code_of) {
                    self.call.end(code);
                }
            }
            Some(Err(status)) => self.call.end(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn code_of(headers: &http::HeaderMap) -> Option<Code> {
    headers.get(GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// The canonical spelling.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests;
