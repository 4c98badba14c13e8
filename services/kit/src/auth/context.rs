use std::time::Duration;

use tokio::time::Instant;

use super::caller::Caller;
use crate::error::{Error, Reason, Result};
use crate::id::UserId;

/// What a handler knows about a call besides the request.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Who calls; the table has admitted them.
    pub caller: Caller,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl CallContext {
    /// A call without a deadline.
    pub fn new(caller: Caller) -> Self {
        Self { caller, deadline: None, traceparent: None }
    }

    /// The context that [`super::AuthLayer`] left with the request.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when there is none: the server was reached around the layer.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self> {
        let extensions = request.extensions();
        if let Some(context) = extensions.get::<Self>() {
            return Ok(context.clone());
        }
        match extensions.get::<Caller>() {
            Some(caller) => Ok(Self::new(caller.clone())),
            None => Err(Error::new(Reason::Unauthenticated, "the call was not authorized")),
        }
    }

    /// The user who acts, or who is acted for.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for the anonymous, `PERMISSION_DENIED` for a service that acts for nobody.
    pub fn user(&self) -> Result<&UserId> {
        self.caller.user().ok_or_else(|| match self.caller {
            Caller::Anonymous => Error::new(Reason::Unauthenticated, "the call carries no identity"),
            _ => Error::new(Reason::PermissionDenied, "the call needs a user to act for"),
        })
    }

    /// Time until the caller stops waiting; zero when it has.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}
