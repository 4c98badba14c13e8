//! Keys of a host application that exists in tests only. The files were made for that with OpenSSL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

const ALL: &str = include_str!("test_keys/jwks.json");

/// A private key and how tokens are signed with it.
pub(super) struct TestKey {
    pub(super) kid: &'static str,
    pub(super) algorithm: Algorithm,
    key: EncodingKey,
}

pub(super) fn rsa_1() -> TestKey {
    rsa("rsa-1", include_str!("test_keys/rsa1.pem"))
}

pub(super) fn rsa_2() -> TestKey {
    rsa("rsa-2", include_str!("test_keys/rsa2.pem"))
}

/// 1024 bits, which nobody takes any more.
pub(super) fn rsa_small() -> TestKey {
    rsa("rsa-small", include_str!("test_keys/rsa_small.pem"))
}

pub(super) fn ec_1() -> TestKey {
    let key = EncodingKey::from_ec_der(&der(include_str!("test_keys/ec.pem")));
    TestKey { kid: "ec-1", algorithm: Algorithm::ES256, key }
}

pub(super) fn ed_1() -> TestKey {
    let key = EncodingKey::from_ed_der(&der(include_str!("test_keys/ed.pem")));
    TestKey { kid: "ed-1", algorithm: Algorithm::EdDSA, key }
}

fn rsa(kid: &'static str, pem: &str) -> TestKey {
    TestKey { kid, algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(&der(pem)) }
}

fn der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(lines).unwrap()
}

impl TestKey {
    /// The public half.
    pub(super) fn jwk(&self) -> Value {
        let all: Value = serde_json::from_str(ALL).unwrap();
        let found = all["keys"].as_array().unwrap().iter().find(|key| key["kid"] == self.kid);
        found.unwrap().clone()
    }

    /// The public half as DER of its kind, which a confused verifier would take for a secret.
    pub(super) fn public_bytes(&self) -> Vec<u8> {
        let jwk = self.jwk();
        let member = jwk.get("n").or(jwk.get("x")).unwrap().as_str().unwrap();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(member).unwrap()
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(Some(self.kid), claims)
    }

    pub(super) fn sign_as(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// A document with the public halves.
pub(super) fn jwks(keys: &[&TestKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}
