use serde_json::{Map, Value};

use super::{SERVICE_PREFIX, TOKEN_TYPE_ACCESS};
use crate::auth::caller::{Caller, Scope, ScopeSet, ServiceIdentity};
use crate::clock::Timestamp;
use crate::error::{Error, Reason, Result};
use crate::id::UserId;

const SERVICE_NAME_BYTES_MAX: usize = 64;
/// Integers beyond it are not exact in JavaScript, so two of them may be the same user to a host application.
const USER_NUMBER_MAX: i64 = 1 << 53;

/// What a token says, whoever signed it.
pub(super) type Claims = Map<String, Value>;

pub(super) fn refused(message: &str) -> Error {
    Error::new(Reason::Unauthenticated, message)
}

pub(super) fn text_claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A refresh token is for the host application only, whatever else it says.
pub(super) fn check_token_type(claims: &Claims) -> Result<()> {
    match claims.get("token_type") {
        None => Ok(()),
        Some(Value::String(kind)) if kind == TOKEN_TYPE_ACCESS => Ok(()),
        Some(_) => Err(refused("the token is not an access token")),
    }
}

/// A NumericDate (RFC 7519): seconds, possibly with a fraction.
pub(super) fn time_claim(claims: &Claims, name: &str) -> Result<Option<Timestamp>> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let millis = match value.as_i64() {
        Some(seconds) => seconds.saturating_mul(1_000),
        None => match value.as_f64() {
            // The cast saturates.
            Some(seconds) if seconds.is_finite() => (seconds * 1_000.0) as i64,
            _ => return Err(refused("a time of the token is no number")),
        },
    };
    Ok(Some(Timestamp::from_millis(millis)))
}

pub(super) fn service_caller(subject: &str, claims: &Claims) -> Result<Caller> {
    let name = subject.strip_prefix(SERVICE_PREFIX).ok_or_else(|| refused("sub names no service"))?;
    if !is_service_name(name) {
        return Err(refused("sub names no service"));
    }
    // A scope of a later release gives nothing here.
    let scopes: ScopeSet = text_claim(claims, "scope")
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|scope| scope.parse::<Scope>().ok())
        .collect();
    Ok(Caller::Service { identity: ServiceIdentity { name: name.into(), scopes }, on_behalf_of: None })
}

/// Lower-case letters, digits, `-`, `_` and `.`: it is stored, logged and compared.
pub(crate) fn is_service_name(name: &str) -> bool {
    (1..=SERVICE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

pub(super) fn audience_matches(claim: Option<&Value>, wanted: &[String]) -> bool {
    let is_wanted = |value: &Value| value.as_str().is_some_and(|text| wanted.iter().any(|name| name == text));
    match claim {
        None => wanted.is_empty(),
        Some(Value::Array(audiences)) => audiences.iter().any(is_wanted),
        Some(audience) => is_wanted(audience),
    }
}

pub(super) fn is_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(truth) => truth.to_string() == wanted,
        _ => false,
    }
}

/// A string, or an integer in its one canonical spelling: 7.0 or 7e0 would be a second name for user 7.
pub(super) fn user_id(claim: &Value) -> Option<UserId> {
    match claim {
        Value::String(text) => UserId::parse(text).ok(),
        Value::Number(number) => {
            let number = number.as_i64().filter(|n| (-USER_NUMBER_MAX..=USER_NUMBER_MAX).contains(n))?;
            UserId::parse(number.to_string()).ok()
        }
        _ => None,
    }
}
