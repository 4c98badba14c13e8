use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

const KEYS_MAX: usize = 64;
const RSA_BITS_MIN: usize = 2_048;
/// What the library verifies at most.
const RSA_BITS_MAX: usize = 4_096;
/// Larger exponents only cost time.
const RSA_EXPONENT_BYTES_MAX: usize = 4;
const COORDINATE_BYTES: usize = 32;
const USE_SIGNATURE: &str = "sig";
const OPERATION_VERIFY: &str = "verify";

/// A document that is no set of keys that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwks {
    /// Not JSON, or without a list of keys.
    #[error("it is not a JWK set")]
    NotJwks,
    /// More than 64.
    #[error("it has more than 64 keys")]
    TooManyKeys,
    /// None that verifies RS256, ES256 or EdDSA.
    #[error("it has no key for RS256 (2048 to 4096 bits), ES256 or EdDSA (Ed25519)")]
    NoUsableKey,
    /// Two keys that no token can tell apart.
    #[error("two of its keys have the same kid and algorithm")]
    SameKid,
}

/// A key and the one algorithm that it verifies.
pub(in crate::auth) struct PublicKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl PublicKey {
    pub(in crate::auth) fn key(&self) -> &DecodingKey {
        &self.key
    }
}

/// The keys of a document that can be used. Others are passed over.
#[derive(Default)]
pub(super) struct KeySet(Vec<PublicKey>);

/// What a set says about the key of a token.
pub(super) enum Lookup<'set, 'kid> {
    Found(&'set PublicKey),
    /// A later set may have it.
    Unknown(&'kid str),
    /// The set has it for another algorithm, or the token names none and there is more than one that it could be.
    Refused,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The members that matter, all of them public.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    pub(super) fn parse(document: &[u8]) -> Result<Self, InvalidJwks> {
        let document: Document = serde_json::from_slice(document).map_err(|_| InvalidJwks::NotJwks)?;
        if document.keys.len() > KEYS_MAX {
            return Err(InvalidJwks::TooManyKeys);
        }
        let mut keys: Vec<PublicKey> = Vec::new();
        for value in document.keys {
            let Some(key) = serde_json::from_value(value).ok().and_then(usable) else { continue };
            if keys.iter().any(|other| other.kid.is_some() && other.kid == key.kid && other.algorithm == key.algorithm)
            {
                return Err(InvalidJwks::SameKid);
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(InvalidJwks::NoUsableKey) } else { Ok(Self(keys)) }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    pub(super) fn find<'kid>(&self, kid: Option<&'kid str>, algorithm: Algorithm) -> Lookup<'_, 'kid> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm);
        match kid {
            Some(kid) => match fitting.find(|key| key.kid.as_deref() == Some(kid)) {
                Some(key) => Lookup::Found(key),
                None if self.has(kid) => Lookup::Refused,
                None => Lookup::Unknown(kid),
            },
            None => match (fitting.next(), fitting.next()) {
                (Some(key), None) => Lookup::Found(key),
                _ => Lookup::Refused,
            },
        }
    }
}

/// The key, if it verifies signatures by one of our algorithms. Secrets (`oct`) in a public document never do.
fn usable(jwk: Jwk) -> Option<PublicKey> {
    let signs = jwk.usage.as_deref().is_none_or(|usage| usage == USE_SIGNATURE)
        && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == OPERATION_VERIFY));
    if !signs {
        return None;
    }
    let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Algorithm::RS256, rsa(&decode(jwk.n)?, &decode(jwk.e)?)?),
        ("EC", Some("P-256")) => (Algorithm::ES256, p256(&decode(jwk.x)?, &decode(jwk.y)?)?),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, ed25519(&decode(jwk.x)?)?),
        _ => return None,
    };
    let names_it = match (jwk.alg.as_deref(), algorithm) {
        (None, _) => true,
        (Some(name), Algorithm::RS256) => name == "RS256",
        (Some(name), Algorithm::ES256) => name == "ES256",
        // The second is the name of RFC 9864.
        (Some(name), _) => name == "EdDSA" || name == "Ed25519",
    };
    names_it.then_some(PublicKey { kid: jwk.kid, algorithm, key })
}

fn decode(text: Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    let bits = modulus
        .iter()
        .position(|byte| *byte != 0)
        .map(|zeros| (modulus.len() - zeros) * 8 - modulus[zeros].leading_zeros() as usize)?;
    let fits = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) && (1..=RSA_EXPONENT_BYTES_MAX).contains(&exponent.len());
    fits.then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}

/// As an uncompressed point (SEC 1, 2.3.3).
fn p256(x: &[u8], y: &[u8]) -> Option<DecodingKey> {
    let fits = x.len() == COORDINATE_BYTES && y.len() == COORDINATE_BYTES;
    fits.then(|| DecodingKey::from_ec_der(&[&[4], x, y].concat()))
}

fn ed25519(x: &[u8]) -> Option<DecodingKey> {
    (x.len() == COORDINATE_BYTES).then(|| DecodingKey::from_ed_der(x))
}

#[cfg(test)]
mod tests;
