//! Pages of lists: their size, and tokens that say where the next one begins.
//!
//! A token is the cursor, encrypted (XChaCha20-Poly1305, draft-irtf-cfrg-xchacha-03) under a key made from `keys.pages`,
//! and bound to the method, the caller and the filters. It is good on every instance, and nobody can read, change or
//! lend it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Reason, Result};
use crate::id::SharedEntropy;
use crate::keys::{Keys, Secret};

/// Characters of a token at most. A cursor may hold a name of 255 characters of four bytes each.
pub const TOKEN_BYTES_MAX: usize = 2 * 1024;

const KEY_PURPOSE: &[u8] = b"viberchat page token v1";
const NONCE_BYTES: usize = 24;

/// Items on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageSize(u32);

impl PageSize {
    /// What 0 stands for.
    pub const DEFAULT: Self = Self(50);
    /// What more than this becomes.
    pub const MAX: Self = Self(200);

    /// What a request says: 0 or less is the default, more than the limit is the limit.
    pub fn clamp(requested: impl Into<i64>) -> Self {
        match requested.into() {
            ..=0 => Self::DEFAULT,
            size => Self(u32::try_from(size).unwrap_or(u32::MAX)).min(Self::MAX),
        }
    }

    /// As a number of items.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Makes and opens page tokens. Cheap to clone.
#[derive(Clone)]
pub struct PageSealer {
    /// The present key first; the others only open.
    ciphers: Arc<[XChaCha20Poly1305]>,
    entropy: SharedEntropy,
    method: &'static str,
}

impl PageSealer {
    /// Seals with `keys.pages`, opens what its predecessor sealed too.
    pub fn new(keys: &Keys, entropy: SharedEntropy) -> Self {
        let cipher = |secret: &Secret| XChaCha20Poly1305::new(&secret.hmac(&[KEY_PURPOSE]).into());
        let ciphers = std::iter::once(&keys.pages).chain(&keys.pages_previous).map(cipher).collect();
        Self { ciphers, entropy, method: "" }
    }

    /// For the tokens of one method: no other opens them.
    #[must_use]
    pub fn for_method(&self, method: &'static str) -> Self {
        Self { method, ..self.clone() }
    }

    /// A token that opens to `cursor` for the same caller and filters.
    ///
    /// # Errors
    /// `INTERNAL` when the cursor does not fit into [`TOKEN_BYTES_MAX`].
    pub fn seal<C: Serialize>(&self, caller: &str, filters: &impl Serialize, cursor: &C) -> Result<String> {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let plain = serde_json::to_vec(cursor).map_err(Error::internal)?;
        let aad = self.bound_to(caller, filters)?;
        let sealed = self.ciphers[0]
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: &plain, aad: &aad })
            .map_err(Error::internal)?;
        let mut token = URL_SAFE_NO_PAD.encode(nonce);
        URL_SAFE_NO_PAD.encode_string(&sealed, &mut token);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::internal("a page cursor is too long for a token"));
        }
        Ok(token)
    }

    /// The cursor of a token.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID` for a token of another method, caller or filters, and for everything else that we did not
    /// seal.
    pub fn open<C: DeserializeOwned>(&self, caller: &str, filters: &impl Serialize, token: &str) -> Result<C> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(invalid)?;
        let aad = self.bound_to(caller, filters)?;
        let payload = || Payload { msg: sealed, aad: &aad };
        let open = |cipher: &XChaCha20Poly1305| cipher.decrypt(XNonce::from_slice(nonce), payload()).ok();
        let plain = self.ciphers.iter().find_map(open).ok_or_else(invalid)?;
        // A cursor of another release may have another shape.
        serde_json::from_slice(&plain).map_err(|_| invalid())
    }

    /// A JSON array, so that no part can run into the next.
    fn bound_to(&self, caller: &str, filters: &impl Serialize) -> Result<Vec<u8>> {
        serde_json::to_vec(&(self.method, caller, filters)).map_err(Error::internal)
    }
}

fn invalid() -> Error {
    Error::new(Reason::PageTokenInvalid, "the page token is not one for this call")
        .with_field("page_token", "is not one that was given for this call")
}

#[cfg(test)]
mod tests;
