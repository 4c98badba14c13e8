//! Tokens: those that the server takes, and those that it must not take.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use viberchat_kit::{
    auth::{Scope, TokenSigner},
    clock::{Clock as _, SystemClock},
    id::SystemEntropy,
    keys::Keys,
};

/// How long good tokens are good: for longer than the clocks of a story are apart.
const TTL: Duration = Duration::from_secs(86_400);

/// The keys of a deployment and of its host application.
#[derive(Clone)]
pub struct Tokens {
    pub(super) keys: Arc<Keys>,
    pub(super) host_secret: &'static str,
}

/// What a user token of the host application says, for tokens that are not good.
#[derive(Clone, Debug, Default)]
pub struct UserClaims {
    /// The user.
    pub user: Value,
    /// How long it is good, in seconds; negative: it has expired.
    pub ttl_seconds: i64,
    /// The claim `token_type`, if any.
    pub token_type: Option<&'static str>,
}

impl Tokens {
    /// New keys.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            keys: Arc::new(Keys::generate(&SystemEntropy)),
            host_secret: "the host application signs with this secret",
        }
    }

    /// A token of the host application for a user.
    #[must_use]
    pub fn user(&self, user: &str) -> String {
        let ttl_seconds = i64::try_from(TTL.as_secs()).expect("a day");
        self.user_with(&UserClaims { user: user.into(), ttl_seconds, token_type: Some("access") })
    }

    /// A token of the host application as asked for.
    #[must_use]
    pub fn user_with(&self, claims: &UserClaims) -> String {
        let now = SystemClock.now().millis().div_euclid(1_000);
        let mut body = json!({"user_id": claims.user, "exp": now + claims.ttl_seconds});
        if let Some(token_type) = claims.token_type {
            body["token_type"] = token_type.into();
        }
        sign(&json!({"alg": "HS256", "typ": "JWT"}), &body, self.host_secret.as_bytes())
    }

    /// A token without a signature.
    #[must_use]
    pub fn unsigned(&self, user: &str) -> String {
        let now = SystemClock.now().millis().div_euclid(1_000);
        let encode = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let header = encode(json!({"alg": "none", "typ": "JWT"}));
        format!("{header}.{}.", encode(json!({"user_id": user, "exp": now + 600})))
    }

    /// A token of a service.
    ///
    /// # Panics
    /// If the name is none.
    #[must_use]
    pub fn service(&self, name: &str, scopes: &[Scope]) -> String {
        let signer = TokenSigner::new(&self.keys.tokens, Arc::new(SystemClock));
        signer.sign_service(name, scopes, TTL).expect("tests name services well")
    }

    /// What a service token says, signed with the host application's secret: it must not make a service.
    #[must_use]
    pub fn forged_service(&self, name: &str) -> String {
        let now = SystemClock.now().millis().div_euclid(1_000);
        let scope = "act_for_users authorize relay directory admin";
        let body = json!({"sub": format!("service:{name}"), "aud": "viberchat", "scope": scope, "exp": now + 600});
        sign(&json!({"alg": "HS256", "typ": "JWT"}), &body, self.host_secret.as_bytes())
    }

    /// A service's token that has expired.
    #[must_use]
    pub fn expired_service(&self, name: &str) -> String {
        let now = SystemClock.now().millis().div_euclid(1_000);
        let scope = "act_for_users authorize relay directory";
        let body = json!({"sub": format!("service:{name}"), "aud": "viberchat", "scope": scope, "exp": now - 600});
        sign(&json!({"alg": "HS256", "typ": "JWT"}), &body, self.keys.tokens.as_bytes())
    }
}

fn sign(header: &Value, body: &Value, secret: &[u8]) -> String {
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(body));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}
