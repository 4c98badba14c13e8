use std::collections::BTreeMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use viberchat_proto::types::v1 as proto;

use super::{Error, FieldViolation, Outcome, Reason};

/// The domain of our `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "viberchat";

/// Name of the outcome in the metadata of `ErrorInfo`.
const OUTCOME: &str = "outcome";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let retry_delay = error.retry_delay();
        let mut metadata: std::collections::HashMap<_, _> = error.metadata.into_iter().collect();
        metadata.insert(OUTCOME.to_owned(), error.outcome.as_str().to_owned());
        let mut details = ErrorDetails::with_error_info(error.reason.as_str(), DOMAIN, metadata);
        for violation in error.violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if retry_delay.is_some() {
            details.set_retry_info(retry_delay);
        }
        Self::with_error_details(error.reason.code(), error.message, details)
    }
}

impl From<&Status> for Error {
    fn from(status: &Status) -> Self {
        Self::from_status(status)
    }
}

impl Error {
    /// Reads a status back. What is not ours keeps neither text nor metadata: it may hold tokens or the inside of a
    /// service.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
            return Self::of_foreign_code(status.code());
        };
        let outcome = info.metadata.get(OUTCOME).and_then(|text| Outcome::parse(text));
        let mut error = match Reason::parse(&info.reason) {
            Some(reason) => Self::new(reason, status.message()),
            // A reason of a later release: its code says enough to go on.
            None => Self::of_foreign_code(status.code()),
        };
        error.outcome = outcome.unwrap_or(Outcome::Unknown);
        error.metadata =
            info.metadata.iter().filter(|(name, _)| *name != OUTCOME).map(|(n, v)| (n.clone(), v.clone())).collect();
        if let Some(request) = details.bad_request() {
            error.violations = request
                .field_violations
                .iter()
                .map(|v| FieldViolation { field: v.field.clone(), description: v.description.clone() })
                .collect();
        }
        error.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        error
    }

    fn of_foreign_code(code: Code) -> Self {
        let (reason, message) = match code {
            // tonic answers CANCELLED, not DEADLINE_EXCEEDED, when its own timer ends a call.
            Code::DeadlineExceeded | Code::Cancelled => (Reason::DeadlineExceeded, "the call did not end in time"),
            Code::Unavailable => (Reason::StoreUnavailable, "a service that is needed cannot be reached"),
            _ => {
                tracing::warn!(?code, "a service answered with an error that is not ours");
                (Reason::Internal, super::INTERNAL_MESSAGE)
            }
        };
        Self::new(reason, message).with_outcome(Outcome::Unknown)
    }

    /// For streams and sockets, where no status can be sent.
    pub fn to_proto(&self) -> proto::Error {
        proto::Error {
            reason: self.reason.as_str().to_owned(),
            message: self.message.clone(),
            outcome: proto::Outcome::from(self.outcome).into(),
            code: self.reason.code() as u32,
            field_violations: self
                .violations
                .iter()
                .map(|v| proto::FieldViolation { field: v.field.clone(), description: v.description.clone() })
                .collect(),
            metadata: self.metadata.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
            retry_after_ms: self.retry_delay().map_or(0, millis_rounded_up),
        }
    }

    /// The inverse of [`Error::to_proto`].
    pub fn from_proto(proto: &proto::Error) -> Self {
        let mut error = match Reason::parse(&proto.reason) {
            Some(reason) => Self::new(reason, proto.message.clone()),
            None => Self::of_foreign_code(Code::from_i32(i32::try_from(proto.code).unwrap_or(Code::Unknown as i32))),
        };
        error.outcome = match proto.outcome() {
            proto::Outcome::Rejected => Outcome::Rejected,
            proto::Outcome::NotAttempted => Outcome::NotAttempted,
            proto::Outcome::Unknown | proto::Outcome::Unspecified => Outcome::Unknown,
        };
        error.violations = proto
            .field_violations
            .iter()
            .map(|v| FieldViolation { field: v.field.clone(), description: v.description.clone() })
            .collect();
        error.metadata = proto.metadata.iter().map(|(n, v)| (n.clone(), v.clone())).collect::<BTreeMap<_, _>>();
        error.retry_after = (proto.retry_after_ms > 0).then(|| Duration::from_millis(u64::from(proto.retry_after_ms)));
        error
    }
}

impl From<Outcome> for proto::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Rejected => Self::Rejected,
            Outcome::NotAttempted => Self::NotAttempted,
            Outcome::Unknown => Self::Unknown,
        }
    }
}

/// Zero means "not to be retried" on the wire, so a wait of less than a millisecond becomes one.
fn millis_rounded_up(delay: Duration) -> u32 {
    u32::try_from(delay.as_millis()).unwrap_or(u32::MAX).max(1)
}
