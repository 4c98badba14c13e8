//! `POST /viberchat.<area>.v1.<Service>/<Method>`: JSON for the unary methods of users, through the same authorization
//! and the same services as gRPC.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::{Instant, timeout};
use tonic::Status;
use tower::{Layer as _, Service as _};
use viberchat_kit::auth::{Auth, AuthLayer, CallContext, MethodTable};
use viberchat_kit::error::{Error, Outcome, Reason, Result};

use super::{methods, origin, respond};
use crate::config::millis;
use crate::gateway::Gateway;

const CORS_HEADERS: &str = "authorization, content-type, grpc-timeout, traceparent";
const CORS_MAX_AGE_SECONDS: &str = "600";

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door {
    gateway: Arc<Gateway>,
    authorized: Auth<Methods>,
}

impl Door {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let table = Arc::new(MethodTable::new(&[methods::METHODS]));
        let layer = AuthLayer::new(gateway.verifier.clone(), table);
        Self { authorized: layer.layer(Methods { gateway: gateway.clone() }), gateway }
    }

    /// Answers whatever is not for the socket and not for the files.
    pub(crate) async fn call(mut self, request: Request) -> Response {
        let allowed = &self.gateway.config.allowed_origins;
        if !origin::is_allowed(request.headers(), allowed) {
            let error = Error::new(Reason::PermissionDenied, "pages of this origin may not call");
            return respond::refusal(&error);
        }
        let origin = request.headers().get(header::ORIGIN).filter(|origin| origin::is_listed(origin, allowed)).cloned();
        let response = match *request.method() {
            Method::POST => self.post(request).await,
            Method::OPTIONS if origin.is_some() => preflight(),
            _ => {
                let error = Error::new(Reason::MethodNotFound, "calls are POST requests");
                let mut response = respond::error(StatusCode::METHOD_NOT_ALLOWED, &error);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                response
            }
        };
        with_cors(response, origin)
    }

    async fn post(&mut self, request: Request) -> Response {
        let response = match self.authorized.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        // The layer refuses as gRPC does.
        match Status::from_header_map(response.headers()) {
            Some(status) => respond::refusal(&Error::from_status(&status)),
            None => response,
        }
    }
}

fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(CORS_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(CORS_MAX_AGE_SECONDS));
    response
}

fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    if let Some(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// What lies behind the authorization.
#[derive(Clone)]
struct Methods {
    gateway: Arc<Gateway>,
}

impl Methods {
    async fn call(self, request: Request) -> Result<Vec<u8>> {
        let (parts, body) = request.into_parts();
        let context = parts.extensions.get::<CallContext>().cloned();
        let context = context.ok_or_else(|| Error::internal("a call came around the authorization"))?;
        let body = self.read(&parts.headers, body).await?;
        if parts.uri.path() == methods::SEND_MESSAGE {
            self.gateway.rate.check(context.user()?, Instant::now())?;
        }
        if parts.uri.path() == methods::SET_TYPING {
            self.gateway.registry.expect_typing(&methods::conversation_of_typing(&body));
        }
        match methods::call(&self.gateway.upstream, context, parts.uri.path(), &body) {
            Some(call) => call?.await,
            None => Err(Error::new(Reason::MethodNotFound, "there is no such method here")),
        }
    }

    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Bytes> {
        let bytes_max = self.gateway.config.frame_bytes_max as usize;
        let too_long = || Error::invalid_argument("body", "is too long").with_outcome(Outcome::NotAttempted);
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > bytes_max) {
            return Err(too_long());
        }
        let wait = millis(self.gateway.config.header_timeout_ms);
        match timeout(wait, Limited::new(body, bytes_max).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_long()),
            Ok(Err(_)) => Err(Error::invalid_argument("body", "broke off").with_outcome(Outcome::NotAttempted)),
            Err(_) => {
                Err(Error::new(Reason::DeadlineExceeded, "the body did not come").with_outcome(Outcome::NotAttempted))
            }
        }
    }
}

impl tower::Service<Request> for Methods {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let call = Self::call(self.clone(), request);
        Box::pin(async move {
            Ok(match call.await {
                Ok(body) => respond::bytes(body),
                Err(error) => respond::refusal(&error),
            })
        })
    }
}
