//! Services elsewhere, over HTTP/2.
//!
//! Map: `pool` looks the instances up and keeps connections to them, `connection` is one of those; `table` says which one a
//! call takes, `breaker` leaves an instance out that fails, `budget` bounds what is sent again, `replay` keeps a request for
//! that.
//!
//! Invariants: a call is sent again only if it certainly was not begun, within its deadline; one that may have been begun is
//! answered with an unknown outcome.

mod breaker;
mod budget;
mod connection;
mod pool;
mod replay;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use tonic::body::Body;

use super::affinity::Affinity;
use super::token::TokenSource;
use super::{Channel, Response, ResponseFuture, Target, Transport};
use crate::error::{Error, Outcome, Reason, Result};
use crate::lifecycle::Handle;
use budget::Budget;
use connection::{Connection, Failed};
use pool::{Pool, fraction};
use replay::Replay;
use table::Wanted;

/// However often a call is not begun, it is not sent more often.
const ATTEMPTS_MAX: usize = 4;

/// A call that was given less time says nothing about the instance when the time is over.
const TELLING_TIMEOUT: Duration = Duration::from_secs(1);

/// How the instances of a service share its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// Any of them takes any call.
    Any,
    /// One of them takes all calls, the same for all callers; another one only when it cannot be reached.
    One,
}

/// A service elsewhere.
pub(super) struct Remote {
    calls: Arc<Calls>,
    token: TokenSource,
    takers: Takers,
    /// Ends the connections with the last channel.
    end: Arc<DropGuard>,
}

/// Which instances take the calls of a channel.
#[derive(Clone, Copy)]
enum Takers {
    Of(Instances),
    Only(SocketAddr),
}

/// What calls under way share.
struct Calls {
    pool: Arc<Pool>,
    budget: Mutex<Budget>,
}

impl Remote {
    pub(super) fn start(target: &Target, instances: Instances, token: TokenSource, tasks: &Handle) -> Self {
        let end: CancellationToken = tasks.soft().child_token();
        let calls = Calls { pool: Pool::start(target, tasks, end.clone()), budget: Mutex::default() };
        Self { calls: Arc::new(calls), token, takers: Takers::Of(instances), end: Arc::new(end.drop_guard()) }
    }

    fn authorization(&self) -> Result<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", (self.token)()?)).map_err(Error::internal)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn prepare(&self, request: &mut http::Request<Body>) -> Result<Option<Duration>> {
        request.headers_mut().insert(AUTHORIZATION, self.authorization()?);
        crate::auth::grpc_timeout(request.headers())
    }
}

impl Transport for Remote {
    fn call(&self, mut request: http::Request<Body>) -> ResponseFuture {
        let timeout = match self.prepare(&mut request) {
            Ok(timeout) => timeout,
            Err(error) => return Box::pin(std::future::ready(Ok(Status::from(error).into_http()))),
        };
        let wanted = match self.takers {
            Takers::Of(Instances::Any) => request.extensions_mut().remove().map_or(Wanted::Any, Wanted::Near),
            Takers::Of(Instances::One) => Wanted::Near(Affinity::ONE),
            Takers::Only(address) => Wanted::Only(address),
        };
        let calls = self.calls.clone();
        Box::pin(async move {
            let answered = calls.call(request, wanted, timeout).await;
            Ok(answered.unwrap_or_else(|error| Status::from(error).into_http()))
        })
    }

    fn addresses(&self) -> Option<watch::Receiver<Option<Vec<SocketAddr>>>> {
        match self.takers {
            Takers::Of(Instances::Any) => Some(self.calls.pool.addresses.subscribe()),
            // Whichever it is, for those who call it is the only one.
            Takers::Of(Instances::One) | Takers::Only(_) => None,
        }
    }

    fn only(&self, address: SocketAddr) -> Option<Channel> {
        let Self { calls, token, end, .. } = self;
        let takers = Takers::Only(address);
        let one = Self { calls: calls.clone(), token: token.clone(), takers, end: end.clone() };
        Some(Channel(Arc::new(one)))
    }
}

impl Calls {
    /// Sends the request to one instance after the other, until one may have begun with it.
    async fn call(&self, request: http::Request<Body>, wanted: Wanted, timeout: Option<Duration>) -> Result<Response> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.budget.lock().call();
        let mut tried = Vec::new();
        let mut place = self.place(wanted, &tried, deadline).await?;
        // Not earlier: what a stream has ready is taken out of it here.
        let mut request = Replay::of(request);
        for _ in 0..ATTEMPTS_MAX {
            let Some(sent) = request.attempt() else { break };
            let address = place.verdict.address;
            let may_retry = |request: &Replay| request.is_there() && self.budget.lock().retry();
            match self.attempt(place, sent, deadline, timeout).await? {
                Attempt::Answered(response) if !is_draining(&response) || !may_retry(&request) => return Ok(response),
                Attempt::Refused if !may_retry(&request) => break,
                Attempt::Answered(_) | Attempt::Refused => tried.push(address),
                Attempt::Unsent(back) => request.give_back(back),
            }
            place = self.place(wanted, &tried, deadline).await?;
        }
        Err(unreachable_service())
    }

    async fn place(&self, wanted: Wanted, tried: &[SocketAddr], deadline: Option<Instant>) -> Result<Picked<'_>> {
        let picked = until(deadline, self.pool.pick(wanted, tried)).await.map_err(|()| late())?;
        let (address, connection) = picked.ok_or_else(unreachable_service)?;
        Ok(Picked { connection, verdict: Verdict { pool: &self.pool, address, is_given: false } })
    }

    async fn attempt(
        &self,
        Picked { connection, mut verdict }: Picked<'_>,
        request: http::Request<Body>,
        deadline: Option<Instant>,
        timeout: Option<Duration>,
    ) -> Result<Attempt> {
        match until(deadline, connection.call(request)).await {
            Ok(Ok(response)) => {
                verdict.succeeded();
                Ok(Attempt::Answered(response))
            }
            Ok(Err(Failed::Unsent(request))) => Ok(Attempt::Unsent(*request)),
            Ok(Err(Failed::Refused)) => {
                verdict.failed();
                Ok(Attempt::Refused)
            }
            Ok(Err(Failed::Lost(error))) => {
                tracing::debug!(address = %verdict.address, %error, "a call was lost");
                verdict.failed();
                Err(lost())
            }
            Err(()) => {
                if timeout.is_some_and(|timeout| timeout >= TELLING_TIMEOUT) {
                    verdict.failed();
                }
                Err(late())
            }
        }
    }
}

/// What became of sending a request, as far as it can be tried again.
enum Attempt {
    Answered(Response),
    /// It never left.
    Unsent(http::Request<Body>),
    Refused,
}

/// An instance for a call. Whoever has it says what became of it, also by not calling.
struct Picked<'a> {
    connection: Connection,
    verdict: Verdict<'a>,
}

/// What a call says about its instance. Dropped without a word, nothing.
struct Verdict<'a> {
    pool: &'a Pool,
    address: SocketAddr,
    is_given: bool,
}

impl Verdict<'_> {
    fn succeeded(&mut self) {
        self.is_given = true;
        self.pool.table.lock().succeeded(self.address);
    }

    fn failed(&mut self) {
        self.is_given = true;
        let is_out = self.pool.table.lock().failed(self.address, Instant::now(), fraction());
        if is_out {
            tracing::warn!(address = %self.address, "an instance does not answer and is left out for a while");
        }
    }
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        if !self.is_given {
            self.pool.table.lock().abandoned(self.address, Instant::now());
        }
    }
}

async fn until<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> std::result::Result<T, ()> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work).await.map_err(drop),
        None => Ok(work.await),
    }
}

/// An instance that stops says so and has not begun with the call.
fn is_draining(response: &Response) -> bool {
    let unavailable =
        Status::from_header_map(response.headers()).filter(|status| status.code() == tonic::Code::Unavailable);
    unavailable.is_some_and(|status| {
        let error = Error::from_status(&status);
        error.reason == Reason::Draining && error.outcome == Outcome::NotAttempted
    })
}

fn late() -> Error {
    Error::new(Reason::DeadlineExceeded, "the call did not end in time")
}

fn lost() -> Error {
    Error::new(Reason::StoreUnavailable, "a service that is needed was lost before it answered")
        .with_outcome(Outcome::Unknown)
}

fn unreachable_service() -> Error {
    Error::new(Reason::StoreUnavailable, "a service that is needed cannot be reached")
}
