use std::collections::BTreeSet;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;

fn full(reason: Reason) -> Error {
    Error::new(reason, "what went wrong")
        .with_outcome(Outcome::NotAttempted)
        .with_metadata("limit", "16384")
        .with_field("text", "is too long")
        .with_field("name", "is empty")
        .with_retry_after(Duration::from_millis(1_250))
}

#[test]
fn every_reason_survives_a_status() {
    for &reason in Reason::ALL {
        let status = Status::from(full(reason));
        assert_eq!(status.code(), reason.code(), "{reason}");
        assert_eq!(Error::from_status(&status), full(reason), "{reason}");
    }
}

#[test]
fn every_reason_survives_the_protobuf_form() {
    for &reason in Reason::ALL {
        assert_eq!(Error::from_proto(&full(reason).to_proto()), full(reason), "{reason}");
    }
}

#[test]
fn every_outcome_survives() {
    for outcome in [Outcome::Rejected, Outcome::NotAttempted, Outcome::Unknown] {
        let error = Error::new(Reason::Blocked, "x").with_outcome(outcome);
        assert_eq!(Error::from_status(&Status::from(error.clone())).outcome, outcome);
        assert_eq!(Error::from_proto(&error.to_proto()).outcome, outcome);
        assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
    }
    assert_eq!(Outcome::parse("maybe"), None);
}

#[test]
fn the_names_are_those_of_the_contract() {
    let contract = "UNAUTHENTICATED TOKEN_EXPIRED PERMISSION_DENIED ROLE_REQUIRED BLOCKED PEER_GONE \
        CONVERSATION_NOT_FOUND MESSAGE_NOT_FOUND SESSION_NOT_FOUND USER_NOT_FOUND MEMBER_EXISTS DIRECT_IS_FIXED SELF_CONVERSATION \
        INVALID_ARGUMENT TEXT_EMPTY TEXT_TOO_LONG LIMIT_EXCEEDED RATE_LIMITED IDEMPOTENCY_KEY_REUSED \
        IDEMPOTENCY_WINDOW PREDECESSOR_FAILED PAGE_TOKEN_INVALID ETAG_MISMATCH ALREADY_DELETED IMPORTING \
        SLOW_CONSUMER DRAINING MEMBERSHIP_PENDING VERSION_GAP METHOD_NOT_FOUND STORE_UNAVAILABLE OUTCOME_UNKNOWN \
        DEADLINE_EXCEEDED INTERNAL";
    let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names, contract.split_whitespace().collect::<Vec<_>>());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for &reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        assert!(reason.description().ends_with('.'), "{reason}");
    }
    assert_eq!(Reason::parse("internal"), None);
}

#[test]
fn nothing_is_both_decided_for_ever_and_to_be_retried() {
    for &reason in Reason::ALL {
        assert!(!(reason.retryable() && reason.outcome() == Outcome::Rejected), "{reason}");
    }
}

#[test]
fn what_can_be_retried_says_when() {
    for &reason in Reason::ALL {
        let error = Error::new(reason, "x");
        let details = Status::from(error.clone()).get_error_details();
        assert_eq!(details.retry_info().is_some(), reason.retryable(), "{reason}");
        assert_eq!(error.to_proto().retry_after_ms > 0, reason.retryable(), "{reason}");
    }
    let soon = Error::new(Reason::Draining, "x").with_retry_after(Duration::from_micros(1));
    assert_eq!(soon.to_proto().retry_after_ms, 1, "zero would mean: not at all");
}

#[test]
fn a_foreign_status_keeps_neither_text_nor_metadata() {
    let cases = [
        (Code::DeadlineExceeded, Reason::DeadlineExceeded),
        (Code::Cancelled, Reason::DeadlineExceeded),
        (Code::Unavailable, Reason::StoreUnavailable),
        (Code::Unauthenticated, Reason::Internal),
        (Code::PermissionDenied, Reason::Internal),
        (Code::NotFound, Reason::Internal),
        (Code::Ok, Reason::Internal),
        (Code::Unknown, Reason::Internal),
    ];
    for (code, reason) in cases {
        let mut foreign = Status::new(code, "token=abc");
        foreign.metadata_mut().insert("authorization", "Bearer abc".parse().unwrap());
        let error = Error::from_status(&foreign);
        assert_eq!((error.reason, error.outcome), (reason, Outcome::Unknown), "{code:?}");
        assert!(!error.message.contains("abc"));
        let passed_on = Status::from(error);
        assert!(passed_on.metadata().get("authorization").is_none());
    }
}

#[test]
fn error_info_of_another_domain_is_foreign() {
    let info = ErrorDetails::with_error_info("TEXT_EMPTY", "example.com", [("outcome".into(), "rejected".into())]);
    let error = Error::from_status(&Status::with_error_details(Code::InvalidArgument, "theirs", info));
    assert_eq!((error.reason, error.outcome), (Reason::Internal, Outcome::Unknown));
    assert!(error.metadata.is_empty());
}

#[test]
fn a_reason_of_a_later_release_keeps_its_outcome() {
    let info = ErrorDetails::with_error_info("NOT_YET_KNOWN", DOMAIN, [("outcome".into(), "rejected".into())]);
    let error = Error::from_status(&Status::with_error_details(Code::FailedPrecondition, "x", info));
    assert_eq!((error.reason, error.outcome), (Reason::Internal, Outcome::Rejected));
}

#[test]
fn details_that_cannot_be_read_are_foreign() {
    let status = Status::with_details(Code::NotFound, "x", b"\xff\xff".as_slice().into());
    assert_eq!(Error::from_status(&status).reason, Reason::Internal);
}

#[test]
fn what_is_internal_stays_inside() {
    let error = Error::internal("password=hunter2 in /var/lib");
    assert_eq!((error.reason, error.outcome), (Reason::Internal, Outcome::Unknown));
    assert!(!error.to_string().contains("hunter2"));
    assert!(!format!("{:?}", Status::from(error)).contains("hunter2"));
}

#[test]
fn a_wrong_field_is_named_in_text_and_details() {
    let error = Error::invalid_argument("page_size", "is negative");
    assert_eq!(error.message, "page_size is negative");
    let details = Status::from(error).get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_size");
    assert_eq!(details.error_info().unwrap().metadata["outcome"], "rejected");
}
