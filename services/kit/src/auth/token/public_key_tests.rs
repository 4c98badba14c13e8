//! Tokens that are signed with the keys of a key set.

use serde_json::{Value, json};

use super::tests::{HOST, NOW_S, caller, clock, config, refused, sign, sign_raw_with, user};
use super::*;
use crate::auth::jwks::{JwksSource, JwksTiming};
use crate::auth::test_keys::{TestKey, ec_1, ed_1, jwks, rsa_1, rsa_2, rsa_small};
use crate::telemetry::Metrics;

async fn verifier_of(keys: &[&TestKey], config: VerifierConfig) -> TokenVerifier {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks(keys)).unwrap();
    let timing = JwksTiming {
        refresh: Duration::from_secs(300),
        refresh_min: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
    };
    let jwks = Jwks::new(JwksSource::File(file.path().to_owned()), timing, &Metrics::new());
    jwks.refresh().await.unwrap();
    TokenVerifier::new(VerifierConfig { jwks: Some(jwks), ..config }, clock()).unwrap()
}

fn claims() -> Value {
    json!({"sub": "u1", "exp": NOW_S + 60})
}

#[tokio::test]
async fn each_algorithm_makes_a_user() {
    let keys = [rsa_1(), ec_1(), ed_1()];
    let verifier = verifier_of(&[&keys[0], &keys[1], &keys[2]], config()).await;
    for key in &keys {
        assert_eq!(caller(&verifier, &key.sign(&claims())), Ok(user("u1")), "{}", key.kid);
        assert_eq!(caller(&verifier, &key.sign_as(None, &claims())), Ok(user("u1")), "{} without kid", key.kid);
    }
}

#[tokio::test]
async fn a_key_of_the_host_application_never_makes_a_service() {
    let verifier =
        verifier_of(&[&ed_1()], VerifierConfig { audiences: vec!["viberchat".to_owned()], ..config() }).await;
    let like_ours = json!({"sub": "service:gateway", "aud": "viberchat", "scope": "admin", "exp": NOW_S + 60});
    assert_eq!(caller(&verifier, &ed_1().sign(&like_ours)), Ok(user("service:gateway")));
}

#[tokio::test]
async fn another_key_of_the_same_name_is_refused() {
    let verifier = verifier_of(&[&rsa_1(), &ec_1()], config()).await;
    assert!(refused(&verifier, &rsa_2().sign_as(Some("rsa-1"), &claims())));
    assert!(refused(&verifier, &rsa_1().sign_as(Some("ec-1"), &claims())), "a name of another algorithm");
    assert!(refused(&verifier, &ed_1().sign_as(None, &claims())));
    assert!(refused(&verifier, &ec_1().sign_as(Some("rsa-1"), &claims())));
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let keys = [rsa_1(), ec_1(), ed_1()];
    let verifier = verifier_of(&[&keys[0], &keys[1], &keys[2]], config()).await;
    for key in &keys {
        let header = json!({"alg": "HS256", "kid": key.kid});
        let jwk = key.jwk().to_string();
        for secret in [key.public_bytes(), jwk.into_bytes()] {
            let confused = sign_raw_with(&header, &secret, &claims().to_string());
            assert!(refused(&verifier, &confused), "{}", key.kid);
        }
    }
    assert_eq!(caller(&verifier, &sign(HOST, claims())), Ok(user("u1")), "secrets still work");
}

#[tokio::test]
async fn other_algorithms_and_none_are_refused() {
    let verifier = verifier_of(&[&rsa_1(), &ec_1(), &ed_1()], config()).await;
    for key in [rsa_1(), ec_1(), ed_1()] {
        let good = key.sign(&claims());
        let (_, rest) = good.split_once('.').unwrap();
        for algorithm in ["none", "None", "RS384", "RS512", "PS256", "ES384", "ES256K", "HS384", ""] {
            use base64::Engine as _;
            let header = json!({"alg": algorithm, "kid": key.kid}).to_string();
            let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
            assert!(refused(&verifier, &format!("{header}.{rest}")), "{algorithm}");
            let (unsigned, _) = rest.split_once('.').unwrap();
            assert!(refused(&verifier, &format!("{header}.{unsigned}.")), "{algorithm} unsigned");
        }
    }
}

#[tokio::test]
async fn a_changed_body_is_refused() {
    let verifier = verifier_of(&[&rsa_1(), &ec_1(), &ed_1()], config()).await;
    for key in [rsa_1(), ec_1(), ed_1()] {
        let mine = key.sign(&claims());
        let theirs = key.sign(&json!({"sub": "u2", "exp": NOW_S + 60}));
        let [mine, theirs] = [&mine, &theirs].map(|token| token.split('.').collect::<Vec<_>>());
        assert!(refused(&verifier, &format!("{}.{}.{}", mine[0], theirs[1], mine[2])), "{}", key.kid);
    }
}

#[tokio::test]
async fn without_a_key_set_public_keys_are_refused() {
    let verifier = TokenVerifier::new(config(), clock()).unwrap();
    for key in [rsa_1(), ec_1(), ed_1()] {
        assert!(refused(&verifier, &key.sign(&claims())), "{}", key.kid);
    }
}

#[tokio::test]
async fn a_key_that_is_too_small_is_never_looked_at() {
    let verifier = verifier_of(&[&rsa_small(), &ec_1()], config()).await;
    assert!(caller(&verifier, &rsa_small().sign(&claims())).is_err());
    assert!(refused(&verifier, &rsa_small().sign_as(None, &claims())));
}

#[tokio::test]
async fn all_other_rules_hold_for_them() {
    let config = VerifierConfig {
        issuers: vec!["https://id.example.org".to_owned(), "https://id2.example.org".to_owned()],
        audiences: vec!["chat".to_owned(), "chat2".to_owned()],
        token_lifetime_max: Some(Duration::from_secs(3_600)),
        ..config()
    };
    let verifier = verifier_of(&[&ed_1()], config).await;
    let good = json!({
        "sub": "u1", "exp": NOW_S + 60, "iat": NOW_S - 60, "iss": "https://id2.example.org", "aud": ["web", "chat2"],
        "token_type": "access",
    });
    assert_eq!(caller(&verifier, &ed_1().sign(&good)), Ok(user("u1")));
    let bad = [
        ("iss", json!("https://elsewhere.example.org")),
        ("aud", json!("web")),
        ("token_type", json!("refresh")),
        ("exp", json!(NOW_S + 3_600)),
        ("nbf", json!(NOW_S + 30)),
        ("sub", json!("")),
    ];
    for (name, value) in bad {
        let mut claims = good.clone();
        claims[name] = value;
        assert!(refused(&verifier, &ed_1().sign(&claims)), "{name}");
    }
    let mut expired = good.clone();
    expired["exp"] = json!(NOW_S - 6);
    assert_eq!(verifier.verify(&ed_1().sign(&expired)).unwrap_err().reason, Reason::TokenExpired);
}
