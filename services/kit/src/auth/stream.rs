use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::time::{Instant, Sleep};
use tonic::{Status, Streaming};
use viberchat_proto::types::v1::RequestContext;

use super::access::MethodRule;
use super::context::CallContext;
use super::layer::{TRACEPARENT_BYTES_MAX, TokenEnd};
use crate::error::{Error, Reason, Result};
use crate::id::UserId;

/// A request on a stream that carries many users.
pub trait StreamedRequest {
    /// For whom, until when, and the correlation id.
    fn context(&self) -> Option<&RequestContext>;
}

/// One request of a stream, with what the access table says of it.
#[derive(Debug)]
pub struct Streamed<T> {
    /// Who asks; an error concerns this request only and is its answer.
    pub context: Result<CallContext>,
    /// To be returned with the answer.
    pub correlation_id: u64,
    /// What is asked.
    pub request: T,
}

/// A stream that broke off, or whose caller's token has ended. A stream that the caller closed just ends.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the request stream ended: {0}")]
pub struct StreamEnd(pub Error);

impl From<StreamEnd> for Error {
    fn from(end: StreamEnd) -> Self {
        end.0
    }
}

/// The requests of a stream, authorized one by one. After an `Err` nothing comes any more.
pub struct AuthorizedStream<T> {
    requests: Pin<Box<dyn Stream<Item = std::result::Result<T, Status>> + Send>>,
    opener: CallContext,
    rule: &'static MethodRule,
    token_end: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

/// Takes the stream out of a request; the only way for a handler to get it.
///
/// # Errors
/// `UNAUTHENTICATED` when the request did not come through [`super::AuthLayer`], and what the rule says of who opens
/// the stream.
pub fn authorized_stream<T>(
    request: tonic::Request<Streaming<T>>,
    rule: &'static MethodRule,
) -> Result<AuthorizedStream<T>>
where
    T: StreamedRequest + Send + 'static,
{
    let opener = CallContext::of(&request)?;
    rule.access.check_opening(&opener.caller)?;
    let token_end = request.extensions().get::<TokenEnd>().copied();
    let mut stream = AuthorizedStream::from_stream(request.into_inner(), opener, rule);
    stream.token_end = token_end.map(|end| Box::pin(tokio::time::sleep_until(end.0)));
    Ok(stream)
}

impl<T> AuthorizedStream<T> {
    /// From any stream, opened by the caller in `opener`. Services use [`authorized_stream`].
    pub fn from_stream(
        requests: impl Stream<Item = std::result::Result<T, Status>> + Send + 'static,
        opener: CallContext,
        rule: &'static MethodRule,
    ) -> Self {
        Self { requests: Box::pin(requests), opener, rule, token_end: None, ended: false }
    }

    /// Who opened the stream.
    pub fn opener(&self) -> &CallContext {
        &self.opener
    }

    fn end(&mut self, error: Error) -> Poll<Option<std::result::Result<Streamed<T>, StreamEnd>>> {
        self.ended = true;
        Poll::Ready(Some(Err(StreamEnd(error))))
    }

    fn authorize(&self, context: Option<&RequestContext>) -> Result<CallContext> {
        let caller = match context {
            Some(context) if !context.on_behalf_of.is_empty() => {
                let user = UserId::parse(&context.on_behalf_of)
                    .map_err(|invalid| Error::invalid_argument("context.on_behalf_of", invalid.to_string()))?;
                self.opener.caller.clone().acting_for(user)?
            }
            _ => self.opener.caller.clone(),
        };
        self.rule.access.check(&caller)?;
        Ok(CallContext { caller, deadline: deadline(context), traceparent: traceparent(context) })
    }
}

impl<T: StreamedRequest> Stream for AuthorizedStream<T> {
    type Item = std::result::Result<Streamed<T>, StreamEnd>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(end) = self.token_end.as_mut()
            && end.as_mut().poll(cx).is_ready()
        {
            return self.end(Error::new(Reason::TokenExpired, "the token of the stream has ended"));
        }
        match self.requests.as_mut().poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(status))) => self.end(Error::from_status(&status)),
            Poll::Ready(Some(Ok(request))) => {
                let context = self.authorize(request.context());
                let correlation_id = request.context().map_or(0, |context| context.correlation_id);
                Poll::Ready(Some(Ok(Streamed { context, correlation_id, request })))
            }
        }
    }
}

fn deadline(context: Option<&RequestContext>) -> Option<Instant> {
    let timeout_ms = context.map_or(0, |context| context.timeout_ms);
    if timeout_ms == 0 {
        return None;
    }
    Instant::now().checked_add(Duration::from_millis(u64::from(timeout_ms)))
}

fn traceparent(context: Option<&RequestContext>) -> Option<String> {
    let text = &context?.traceparent;
    (1..=TRACEPARENT_BYTES_MAX).contains(&text.len()).then(|| text.clone())
}

impl<T> std::fmt::Debug for AuthorizedStream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizedStream").field("opener", &self.opener).field("rule", &self.rule.path).finish()
    }
}

#[cfg(test)]
mod tests;
