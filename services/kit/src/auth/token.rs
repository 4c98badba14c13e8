mod claims;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode_header};

use super::caller::Caller;
use super::jwks::Jwks;
use crate::clock::{SharedClock, Timestamp};
use crate::error::{Error, Reason, Result};
use crate::id::UserId;
use crate::keys::Secret;

pub(crate) use claims::is_service_name;
use claims::{
    Claims, audience_matches, check_token_type, is_text, refused, service_caller, text_claim, time_claim, user_id,
};

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

/// Bytes of a token at most.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How tokens are verified.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// HS256 secrets of the host application, for its users.
    pub user_secrets: Vec<Secret>,
    /// Public keys of the host application, for its users: RS256, ES256 and EdDSA.
    pub jwks: Option<Arc<Jwks>>,
    /// Claims that may hold the user id; the first one that the token has counts.
    pub user_id_claims: Vec<String>,
    /// One of them has to be `iss` of a user token. Empty: any, or none.
    pub issuers: Vec<String>,
    /// One of them has to be `aud` of a user token, or in it. Empty: a token that names an audience is refused.
    pub audiences: Vec<String>,
    /// Claims that a user token has to have, with these values.
    pub required_claims: BTreeMap<String, String>,
    /// How long a user token may be good in all, from `iat`, or from now where it has none. `None`: as long as it says.
    pub token_lifetime_max: Option<Duration>,
    /// Clock skew that is tolerated, at most [`LEEWAY_MAX`].
    pub leeway: Duration,
    /// Our own secrets (`keys.tokens`, the present and the previous one).
    pub service_secrets: Vec<Secret>,
}

impl Default for VerifierConfig {
    fn default() -> Self {
        Self {
            user_secrets: Vec::new(),
            jwks: None,
            user_id_claims: vec!["user_id".to_owned(), "sub".to_owned()],
            issuers: Vec::new(),
            audiences: Vec::new(),
            required_claims: BTreeMap::new(),
            token_lifetime_max: None,
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
    /// An empty issuer or audience, which a token without one would not match.
    #[error("an issuer or audience is empty")]
    EmptyName,
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
/// `aud = viberchat-user` and `sub = <user id>` a user. Signed with one of `user_secrets`, or a key of `jwks`: always a
/// user. HS256 is only ever checked with secrets and the others only with public keys, each with its one algorithm, so
/// that no public key can be passed off as a secret.
pub struct TokenVerifier {
    config: VerifierConfig,
    user_keys: Vec<DecodingKey>,
    own_keys: Vec<DecodingKey>,
    clock: SharedClock,
}

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
        if config.issuers.iter().chain(&config.audiences).any(String::is_empty) {
            return Err(InvalidVerifier::EmptyName);
        }
        let keys = |secrets: &[Secret]| secrets.iter().map(|s| DecodingKey::from_secret(s.as_bytes())).collect();
        Ok(Self { user_keys: keys(&config.user_secrets), own_keys: keys(&config.service_secrets), config, clock })
    }

    /// Says who a token makes its bearer.
    ///
    /// # Errors
    /// `TOKEN_EXPIRED` when it was good once, `STORE_UNAVAILABLE` while its key is being looked for, else
    /// `UNAUTHENTICATED`.
    pub fn verify(&self, token: &str) -> Result<VerifiedToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("the token is longer than 8 KiB"));
        }
        // No header says `none`: the type has no such algorithm.
        let header = decode_header(token).map_err(|_| refused("the token is not a JWT signed as configured"))?;
        if header.crit.is_some() {
            return Err(refused("the token has critical extensions"));
        }
        match (header.alg, &self.config.jwks) {
            (Algorithm::HS256, _) => self.verify_by_secrets(token),
            (algorithm @ (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA), Some(jwks)) => {
                let claims = jwks.with_key(header.kid.as_deref(), algorithm, |public| {
                    claims_signed_by(public.key(), algorithm, token)?.ok_or_else(unknown_key)
                })?;
                self.accept_user(&claims)
            }
            _ => Err(refused("the algorithm of the token is not taken here")),
        }
    }

    fn verify_by_secrets(&self, token: &str) -> Result<VerifiedToken> {
        for key in &self.own_keys {
            if let Some(claims) = claims_signed_by(key, Algorithm::HS256, token)? {
                return self.accept(&claims, Self::own_caller(&claims)?);
            }
        }
        for key in &self.user_keys {
            if let Some(claims) = claims_signed_by(key, Algorithm::HS256, token)? {
                return self.accept_user(&claims);
            }
        }
        Err(unknown_key())
    }

    /// Time until [`TokenVerifier::verify`] refuses the token.
    pub fn time_left(&self, token: &VerifiedToken) -> Duration {
        token.expires_at.since(self.clock.now())
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

    fn accept_user(&self, claims: &Claims) -> Result<VerifiedToken> {
        let verified = self.accept(claims, self.user_caller(claims)?)?;
        let Some(lifetime_max) = self.config.token_lifetime_max else { return Ok(verified) };
        // A token that says that it comes from the future does not live longer by it.
        let now = self.clock.now();
        let issued_at = time_claim(claims, "iat")?.map_or(now, |issued_at| issued_at.min(now));
        if verified.expires_at.since(issued_at) > lifetime_max.saturating_add(self.config.leeway) {
            return Err(refused("the token is good for longer than allowed"));
        }
        Ok(verified)
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
        let issuers = &self.config.issuers;
        if !issuers.is_empty() && !text_claim(claims, "iss").is_some_and(|iss| issuers.iter().any(|name| name == iss)) {
            return Err(refused("the token is of another issuer"));
        }
        if !audience_matches(claims.get("aud"), &self.config.audiences) {
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

/// `None`: this key did not sign it.
fn claims_signed_by(key: &DecodingKey, algorithm: Algorithm, token: &str) -> Result<Option<Claims>> {
    match jsonwebtoken::decode::<Claims>(token, key, &signature_only(algorithm)) {
        Ok(data) => Ok(Some(data.claims)),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => Ok(None),
        Err(_) => Err(refused("the token is not a JWT signed as configured")),
    }
}

fn unknown_key() -> Error {
    refused("the token is not signed by a known key")
}

/// Times are checked against the clock that was given, audiences by the rules above.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

#[cfg(test)]
mod public_key_tests;
#[cfg(test)]
mod tests;
