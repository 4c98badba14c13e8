use super::*;
use crate::auth::ServiceIdentity;
use crate::id::UserId;

fn user() -> Caller {
    Caller::User(UserId::parse("u1").unwrap())
}

fn service(scopes: &[Scope]) -> Caller {
    Caller::Service { identity: ServiceIdentity::new("s", scopes), on_behalf_of: None }
}

fn acting(scopes: &[Scope]) -> Caller {
    let on_behalf_of = Some(UserId::parse("u1").unwrap());
    Caller::Service { identity: ServiceIdentity::new("s", scopes), on_behalf_of }
}

fn reason(result: Result<()>) -> Option<Reason> {
    result.err().map(|error| error.reason)
}

const DENIED: Option<Reason> = Some(Reason::PermissionDenied);
const UNKNOWN: Option<Reason> = Some(Reason::Unauthenticated);

#[test]
fn each_access_takes_whom_it_names_and_nobody_else() {
    use Scope::{ActForUsers, Admin, Relay};
    let relay = Access::service(Relay);
    let both = Access::users_or_service(Relay);
    let callers = [
        (Caller::Anonymous, [UNKNOWN, UNKNOWN, UNKNOWN, None]),
        (user(), [None, DENIED, None, None]),
        (service(&[]), [DENIED, DENIED, DENIED, None]),
        (service(&[Admin]), [DENIED, DENIED, DENIED, None]),
        (service(&[ActForUsers]), [DENIED, DENIED, DENIED, None]),
        (service(&[Relay]), [DENIED, None, None, None]),
        (acting(&[]), [DENIED, DENIED, DENIED, DENIED]),
        (acting(&[Relay]), [DENIED, DENIED, DENIED, DENIED]),
        (acting(&[ActForUsers]), [None, DENIED, None, None]),
        (acting(&[ActForUsers, Relay]), [None, DENIED, None, None]),
    ];
    for (caller, expected) in callers {
        for (access, expected) in [Access::USERS, relay, both, Access::ANONYMOUS].into_iter().zip(expected) {
            assert_eq!(reason(access.check(&caller)), expected, "{access:?} {caller:?}");
        }
    }
}

#[test]
fn the_public_door_carries_what_users_may_call() {
    assert!(Access::USERS.is_public() && Access::users_or_service(Scope::Relay).is_public());
    assert!(!Access::service(Scope::Relay).is_public() && !Access::ANONYMOUS.is_public());
}

#[test]
fn a_refusal_attempts_nothing() {
    let error = Access::USERS.check(&service(&[])).unwrap_err();
    assert_eq!(error.outcome, crate::error::Outcome::NotAttempted);
}

#[test]
fn a_service_that_may_act_for_users_may_open_a_stream_for_them() {
    use Scope::{ActForUsers, Relay};
    let open = |access: Access, caller: &Caller| reason(access.check_opening(caller));
    assert_eq!(open(Access::USERS, &service(&[ActForUsers])), None);
    assert_eq!(open(Access::USERS, &acting(&[ActForUsers])), None);
    assert_eq!(open(Access::USERS, &user()), None);
    assert_eq!(open(Access::USERS, &service(&[Relay])), DENIED);
    assert_eq!(open(Access::USERS, &acting(&[Relay])), DENIED);
    assert_eq!(open(Access::USERS, &Caller::Anonymous), UNKNOWN);
    assert_eq!(open(Access::service(Relay), &service(&[ActForUsers])), DENIED);
    assert_eq!(open(Access::service(Relay), &service(&[Relay])), None);
}

const A: &[MethodRule] = &[MethodRule::unary("/s.A/One", Access::USERS)];
const B: &[MethodRule] = &[MethodRule::streaming("/s.B/One", Access::service(Scope::Relay))];

#[test]
fn a_table_finds_exactly_what_it_names() {
    let table = MethodTable::new(&[A, B, OPEN_METHODS]);
    assert_eq!(table.find("/s.A/One"), Some(&A[0]));
    assert_eq!(table.find("/s.B/One"), Some(&B[0]));
    for path in ["", "/", "s.A/One", "/s.A/one", "/s.A/One/", "/s.A/Two", "//s.A/One"] {
        assert_eq!(table.find(path), None, "{path}");
    }
    assert_eq!(table.iter().count(), 2 + OPEN_METHODS.len());
}

#[test]
#[should_panic(expected = "two access rules for /s.A/One")]
fn two_rules_for_a_method_are_a_defect() {
    MethodTable::new(&[A, A]);
}

#[test]
fn only_health_and_reflection_are_open() {
    for rule in OPEN_METHODS {
        assert!(rule.path.starts_with("/grpc.health.") || rule.path.starts_with("/grpc.reflection."), "{}", rule.path);
    }
}
