use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use futures::future::{Either, Ready, ready};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::Instant;
use tonic::Status;
use tower::{Layer, Service};

use super::access::MethodTable;
use super::caller::Caller;
use super::context::CallContext;
use super::token::TokenVerifier;
use crate::error::{Error, Reason, Result};
use crate::id::UserId;

/// Metadata that names the user whom a service acts for, where the id is printable ASCII without blanks.
pub const ON_BEHALF_OF: &str = "viberchat-on-behalf-of";
/// The same for every other id: base64, as gRPC has it for binary metadata.
pub const ON_BEHALF_OF_BIN: &str = "viberchat-on-behalf-of-bin";

const TRACEPARENT: &str = "traceparent";
/// The format of today has 55.
pub(super) const TRACEPARENT_BYTES_MAX: usize = 128;
const GRPC_TIMEOUT: &str = "grpc-timeout";
const GRPC_TIMEOUT_DIGITS_MAX: usize = 8;
const BEARER: &str = "Bearer ";

/// When the token of a network call ends. Only streams outlive it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenEnd(pub(crate) Instant);

/// Puts [`Auth`] in front of a server.
#[derive(Clone)]
pub struct AuthLayer {
    verifier: Option<Arc<TokenVerifier>>,
    table: Arc<MethodTable>,
}

impl AuthLayer {
    /// For a listener: tokens are verified by `verifier`, and only what `table` names is let through.
    pub fn new(verifier: Arc<TokenVerifier>, table: Arc<MethodTable>) -> Self {
        Self { verifier: Some(verifier), table }
    }

    /// For a server that is reached inside the process only: every token is refused.
    pub fn without_tokens(table: Arc<MethodTable>) -> Self {
        Self { verifier: None, table }
    }

    fn admit<B>(&self, request: &mut http::Request<B>) -> Result<()> {
        let Some(rule) = self.table.find(request.uri().path()) else {
            return Err(Error::new(Reason::MethodNotFound, "there is no such method here"));
        };
        let (caller, token_end) = self.identify(request)?;
        let caller = act_for(caller, request.headers())?;
        match rule.streaming {
            true => rule.access.check_opening(&caller)?,
            false => rule.access.check(&caller)?,
        }
        let context = CallContext {
            caller,
            deadline: grpc_timeout(request.headers())?.and_then(|timeout| Instant::now().checked_add(timeout)),
            traceparent: traceparent(request.headers()),
        };
        let extensions = request.extensions_mut();
        extensions.insert(context);
        if let Some(end) = token_end.filter(|_| rule.streaming) {
            extensions.insert(end);
        }
        Ok(())
    }

    fn identify<B>(&self, request: &mut http::Request<B>) -> Result<(Caller, Option<TokenEnd>)> {
        if let Some(caller) = request.extensions_mut().remove::<Caller>() {
            return Ok((caller, None));
        }
        let Some(header) = single(request.headers(), AUTHORIZATION.as_str())? else {
            return Ok((Caller::Anonymous, None));
        };
        let token = header.to_str().ok().and_then(bearer).ok_or_else(|| unauthenticated("not a bearer token"))?;
        let verifier = self.verifier.as_ref().ok_or_else(|| unauthenticated("no tokens are taken here"))?;
        let verified = verifier.verify(token)?;
        let end = Instant::now().checked_add(verifier.time_left(&verified)).map(TokenEnd);
        Ok((verified.caller, end))
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, layer: self.clone() }
    }
}

/// A server behind its access table.
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B, R> Service<http::Request<B>> for Auth<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    R: Default,
{
    type Response = http::Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<std::result::Result<http::Response<R>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        match self.layer.admit(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => Either::Right(ready(Ok(Status::from(error).into_http()))),
        }
    }
}

/// The server behind the layer answers to the same name.
impl<S: tonic::server::NamedService> tonic::server::NamedService for Auth<S> {
    const NAME: &'static str = S::NAME;
}

fn unauthenticated(message: &str) -> Error {
    Error::new(Reason::Unauthenticated, message)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then_some(token)
}

/// A header that must not come twice: two readers would believe different ones.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a http::HeaderValue>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Error::invalid_argument(name, "comes more than once"));
    }
    Ok(first)
}

fn act_for(caller: Caller, headers: &HeaderMap) -> Result<Caller> {
    let Some(user) = on_behalf_of(headers)? else { return Ok(caller) };
    caller.acting_for(user)
}

impl Caller {
    /// The same caller, acting for `user`. Whether it may is the access table's to say.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for the anonymous, `PERMISSION_DENIED` for a user.
    pub(crate) fn acting_for(self, user: UserId) -> Result<Self> {
        match self {
            Self::Service { identity, .. } => Ok(Self::Service { identity, on_behalf_of: Some(user) }),
            Self::User(_) => Err(Error::new(Reason::PermissionDenied, "only services act for users")),
            Self::Anonymous => Err(unauthenticated("the call carries no identity")),
        }
    }
}

fn on_behalf_of(headers: &HeaderMap) -> Result<Option<UserId>> {
    let text = match (single(headers, ON_BEHALF_OF)?, single(headers, ON_BEHALF_OF_BIN)?) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Error::invalid_argument(ON_BEHALF_OF, format!("comes together with {ON_BEHALF_OF_BIN}")));
        }
        (Some(plain), None) => plain.to_str().map(Cow::Borrowed).ok(),
        (None, Some(binary)) => decode_binary(binary.as_bytes()).map(Cow::Owned),
    };
    let text = text.ok_or_else(|| Error::invalid_argument(ON_BEHALF_OF, "cannot be decoded"))?;
    UserId::parse(text).map(Some).map_err(|invalid| Error::invalid_argument(ON_BEHALF_OF, invalid.to_string()))
}

fn decode_binary(value: &[u8]) -> Option<String> {
    // The gRPC specification asks receivers to take both.
    let bytes = STANDARD_NO_PAD.decode(value).or_else(|_| STANDARD.decode(value)).ok()?;
    String::from_utf8(bytes).ok()
}

fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    (text.len() <= TRACEPARENT_BYTES_MAX).then(|| text.to_owned())
}

/// Reads `grpc-timeout`: up to eight digits and a unit.
///
/// # Errors
/// `INVALID_ARGUMENT`: a caller that cannot say how long it waits would wait for ever.
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let invalid = || Error::invalid_argument(GRPC_TIMEOUT, "is not up to eight digits and one of H, M, S, m, u, n");
    let (digits, unit) = match value.as_bytes().split_last() {
        Some((unit, digits)) if (1..=GRPC_TIMEOUT_DIGITS_MAX).contains(&digits.len()) => (digits, *unit),
        _ => return Err(invalid()),
    };
    let amount = digits.iter().try_fold(0u64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')).ok_or_else(invalid)
    })?;
    Ok(Some(match unit {
        b'H' => Duration::from_secs(amount * 3_600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return Err(invalid()),
    }))
}

#[cfg(test)]
mod tests;
