use std::collections::BTreeMap;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::caller::{Caller, Scope, ScopeSet, ServiceIdentity};
use crate::clock::{SharedClock, Timestamp};
use crate::error::{Error, Reason, Result};
use crate::id::UserId;
use crate::keys::Secret;

/// Clock skew at most that a deployment may allow.
pub const LEEWAY_MAX: Duration = Duration::from_secs(60);

/// Audience of the service tokens that we issue.
pub(crate) const AUDIENCE_SERVICE: &str = "viberchat";
/// Audience of the user tokens that we issue.
pub(crate) const AUDIENCE_USER: &str = "viberchat-user";
/// What the subject of a service token begins with.
pub(crate) const SERVICE_PREFIX: &str = "service:";
/// The only `token_type` that is ever taken.
pub(crate) const TOKEN_TYPE_ACCESS: &str = "access";

const TOKEN_BYTES_MAX: usize = 8 * 1024;
const SERVICE_NAME_BYTES_MAX: usize = 64;
/// Integers beyond it are not exact in JavaScript, so two of them may be the same user to a host application.
const USER_NUMBER_MAX: i64 = 1 << 53;

/// How tokens are verified.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// HS256 secrets of the host application, for its users.
    pub user_secrets: Vec<Secret>,
    /// Claims that may hold the user id; the first one that the token has counts.
    pub user_id_claims: Vec<String>,
    /// What `iss` of a user token has to be.
    pub issuer: Option<String>,
    /// What `aud` of a user token has to be or contain. `None`: a token that names an audience is refused.
    pub audience: Option<String>,
    /// Claims that a user token has to have, with these values.
    pub required_claims: BTreeMap<String, String>,
    /// Clock skew that is tolerated, at most [`LEEWAY_MAX`].
    pub leeway: Duration,
    /// Our own secrets (`keys.tokens`, the present and the previous one).
    pub service_secrets: Vec<Secret>,
}

impl Default for VerifierConfig {
    fn default() -> Self {
        Self {
            user_secrets: Vec::new(),
            user_id_claims: vec!["user_id".to_owned(), "sub".to_owned()],
            issuer: None,
            audience: None,
            required_claims: BTreeMap::new(),
            leeway: Duration::from_secs(5),
            service_secrets: Vec::new(),
        }
    }
}

/// A [`VerifierConfig`] that would not keep users and services apart, or tolerate too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVerifier {
    /// More than [`LEEWAY_MAX`].
    #[error("leeway is more than 60 s")]
    LeewayTooLong,
    /// One secret for both: whoever signs user tokens could make services.
    #[error("a secret of the host application is also one of keys.tokens")]
    SharedSecret,
    /// No claim to take the user id from.
    #[error("no claim is named to take the user id from")]
    NoUserIdClaim,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// Who it is.
    pub caller: Caller,
    /// From then on [`TokenVerifier::verify`] refuses it: `exp` and the tolerated skew.
    pub expires_at: Timestamp,
}

/// Verifies the tokens of users and services.
///
/// Signed with one of `service_secrets`: `aud = viberchat` and `sub = service:<name>` make a service,
/// `aud = viberchat-user` and `sub = <user id>` a user. Signed with one of `user_secrets`: always a user.
pub struct TokenVerifier {
    config: VerifierConfig,
    user_keys: Vec<DecodingKey>,
    own_keys: Vec<DecodingKey>,
    validation: Validation,
    clock: SharedClock,
}

type Claims = Map<String, Value>;

impl TokenVerifier {
    /// Verifies by this clock.
    ///
    /// # Errors
    /// [`InvalidVerifier`].
    pub fn new(config: VerifierConfig, clock: SharedClock) -> std::result::Result<Self, InvalidVerifier> {
        if config.leeway > LEEWAY_MAX {
            return Err(InvalidVerifier::LeewayTooLong);
        }
        if config.user_secrets.iter().any(|secret| config.service_secrets.contains(secret)) {
            return Err(InvalidVerifier::SharedSecret);
        }
        if config.user_id_claims.is_empty() {
            return Err(InvalidVerifier::NoUserIdClaim);
        }
        let keys = |secrets: &[Secret]| secrets.iter().map(|s| DecodingKey::from_secret(s.as_bytes())).collect();
        Ok(Self {
            user_keys: keys(&config.user_secrets),
            own_keys: keys(&config.service_secrets),
            config,
            validation: signature_only(),
            clock,
        })
    }

    /// Says who a token makes its bearer.
    ///
    /// # Errors
    /// `TOKEN_EXPIRED` when it was good once, else `UNAUTHENTICATED`.
    pub fn verify(&self, token: &str) -> Result<VerifiedToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("the token is longer than 8 KiB"));
        }
        if let Some(claims) = self.claims_signed_by(&self.own_keys, token)? {
            return self.accept(&claims, Self::own_caller(&claims)?);
        }
        if let Some(claims) = self.claims_signed_by(&self.user_keys, token)? {
            return self.accept(&claims, self.user_caller(&claims)?);
        }
        Err(refused("the token is not signed by a known key"))
    }

    /// Time until [`TokenVerifier::verify`] refuses the token.
    pub fn time_left(&self, token: &VerifiedToken) -> Duration {
        token.expires_at.since(self.clock.now())
    }

    fn claims_signed_by(&self, keys: &[DecodingKey], token: &str) -> Result<Option<Claims>> {
        for key in keys {
            match jsonwebtoken::decode::<Claims>(token, key, &self.validation) {
                Ok(data) if data.header.crit.is_some() => return Err(refused("the token has critical extensions")),
                Ok(data) => return Ok(Some(data.claims)),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(_) => return Err(refused("the token is not a JWT signed with HS256")),
            }
        }
        Ok(None)
    }

    fn accept(&self, claims: &Claims, caller: Caller) -> Result<VerifiedToken> {
        check_token_type(claims)?;
        let now = self.clock.now();
        let expiry = time_claim(claims, "exp")?.ok_or_else(|| refused("the token has no exp"))?;
        let expires_at = expiry.saturating_add(self.config.leeway);
        if now >= expires_at {
            return Err(Error::new(Reason::TokenExpired, "the token has expired"));
        }
        if let Some(not_before) = time_claim(claims, "nbf")?
            && now < not_before.saturating_sub(self.config.leeway)
        {
            return Err(refused("the token is not valid yet"));
        }
        Ok(VerifiedToken { caller, expires_at })
    }

    fn own_caller(claims: &Claims) -> Result<Caller> {
        let subject = text_claim(claims, "sub").ok_or_else(|| refused("the token has no sub"))?;
        match text_claim(claims, "aud") {
            Some(AUDIENCE_SERVICE) => service_caller(subject, claims),
            Some(AUDIENCE_USER) => UserId::parse(subject).map(Caller::User).map_err(|_| refused("sub is no user id")),
            _ => Err(refused("the token is for another audience")),
        }
    }

    fn user_caller(&self, claims: &Claims) -> Result<Caller> {
        if let Some(issuer) = &self.config.issuer
            && text_claim(claims, "iss") != Some(issuer)
        {
            return Err(refused("the token is of another issuer"));
        }
        if !audience_matches(claims.get("aud"), self.config.audience.as_deref()) {
            return Err(refused("the token is for another audience"));
        }
        for (name, wanted) in &self.config.required_claims {
            if !claims.get(name).is_some_and(|value| is_text(value, wanted)) {
                return Err(refused("the token lacks a required claim"));
            }
        }
        let claim = self.config.user_id_claims.iter().find_map(|name| claims.get(name));
        claim.and_then(user_id).map(Caller::User).ok_or_else(|| refused("the token names no user"))
    }
}

/// Times are checked against the clock that was given, audiences by the rules above.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn refused(message: &str) -> Error {
    Error::new(Reason::Unauthenticated, message)
}

fn text_claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A refresh token is for the host application only, whatever else it says.
fn check_token_type(claims: &Claims) -> Result<()> {
    match claims.get("token_type") {
        None => Ok(()),
        Some(Value::String(kind)) if kind == TOKEN_TYPE_ACCESS => Ok(()),
        Some(_) => Err(refused("the token is not an access token")),
    }
}

/// A NumericDate (RFC 7519): seconds, possibly with a fraction.
fn time_claim(claims: &Claims, name: &str) -> Result<Option<Timestamp>> {
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

fn service_caller(subject: &str, claims: &Claims) -> Result<Caller> {
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

fn audience_matches(claim: Option<&Value>, wanted: Option<&str>) -> bool {
    match (claim, wanted) {
        (None, None) => true,
        (Some(Value::String(audience)), Some(wanted)) => audience == wanted,
        (Some(Value::Array(audiences)), Some(wanted)) => audiences.iter().any(|audience| audience == wanted),
        _ => false,
    }
}

fn is_text(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.to_string() == wanted,
        Value::Bool(truth) => truth.to_string() == wanted,
        _ => false,
    }
}

/// A string, or an integer in its one canonical spelling: 7.0 or 7e0 would be a second name for user 7.
fn user_id(claim: &Value) -> Option<UserId> {
    match claim {
        Value::String(text) => UserId::parse(text).ok(),
        Value::Number(number) => {
            let number = number.as_i64().filter(|n| (-USER_NUMBER_MAX..=USER_NUMBER_MAX).contains(n))?;
            UserId::parse(number.to_string()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
