use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::caller::Scope;
use super::token::{AUDIENCE_SERVICE, AUDIENCE_USER, SERVICE_PREFIX, TOKEN_TYPE_ACCESS, is_service_name};
use crate::clock::SharedClock;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::keys::Secret;

/// Makes the tokens that we issue, with `keys.tokens`.
pub struct TokenSigner {
    key: EncodingKey,
    clock: SharedClock,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    aud: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    token_type: &'static str,
    iat: i64,
    exp: i64,
}

impl TokenSigner {
    /// Signs with `secret`, the present one of `keys.tokens`.
    pub fn new(secret: &Secret, clock: SharedClock) -> Self {
        Self { key: EncodingKey::from_secret(secret.as_bytes()), clock }
    }

    /// A token of a user, good for `ttl`, whole seconds.
    ///
    /// # Errors
    /// `INTERNAL` when it cannot be signed.
    pub fn sign_user(&self, user: &UserId, ttl: Duration) -> Result<String> {
        self.sign(user.as_str(), AUDIENCE_USER, None, ttl)
    }

    /// A token of a service, good for `ttl`, whole seconds.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a name that is not 1 to 64 of lower-case letters, digits, `-`, `_` and `.`.
    pub fn sign_service(&self, name: &str, scopes: &[Scope], ttl: Duration) -> Result<String> {
        if !is_service_name(name) {
            return Err(Error::invalid_argument("service", "is not 1 to 64 of a-z, 0-9, -, _ and ."));
        }
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        self.sign(&format!("{SERVICE_PREFIX}{name}"), AUDIENCE_SERVICE, Some(scopes.join(" ")), ttl)
    }

    fn sign(&self, sub: &str, aud: &'static str, scope: Option<String>, ttl: Duration) -> Result<String> {
        let iat = self.clock.now().millis().div_euclid(1_000);
        let exp = iat.saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
        let claims = Claims { sub, aud, scope, token_type: TOKEN_TYPE_ACCESS, iat, exp };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key).map_err(Error::internal)
    }
}
