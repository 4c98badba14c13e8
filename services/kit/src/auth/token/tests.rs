use std::sync::Arc;

use jsonwebtoken::{EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::auth::caller::ScopeSet;
use crate::auth::{Scope, ServiceIdentity, TokenSigner};
use crate::clock::ManualClock;

pub(super) const NOW_S: i64 = 1_800_000_000;
pub(super) const HOST: &[u8] = b"the secret of the host application";
const OURS: &[u8] = b"the secret in keys.tokens of ours!";

fn secret(bytes: &[u8]) -> Secret {
    Secret::new(bytes).unwrap()
}

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(NOW_S * 1_000)))
}

pub(super) fn config() -> VerifierConfig {
    VerifierConfig {
        user_secrets: vec![secret(HOST)],
        service_secrets: vec![secret(OURS)],
        leeway: Duration::from_secs(5),
        ..VerifierConfig::default()
    }
}

fn verifier() -> TokenVerifier {
    TokenVerifier::new(config(), clock()).unwrap()
}

fn sign_with(header: &Header, key: &[u8], claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(key)).unwrap()
}

pub(super) fn sign(key: &[u8], claims: impl std::borrow::Borrow<Value>) -> String {
    sign_with(&Header::new(Algorithm::HS256), key, claims.borrow())
}

fn host(claims: impl std::borrow::Borrow<Value>) -> String {
    sign(HOST, claims)
}

pub(super) fn user(id: &str) -> Caller {
    Caller::User(UserId::parse(id).unwrap())
}

pub(super) fn caller(verifier: &TokenVerifier, token: &str) -> Result<Caller> {
    verifier.verify(token).map(|verified| verified.caller)
}

pub(super) fn refused(verifier: &TokenVerifier, token: &str) -> bool {
    matches!(verifier.verify(token), Err(error) if error.reason == Reason::Unauthenticated)
}

#[test]
fn a_token_of_the_host_application_makes_a_user() {
    let token = host(json!({"user_id": "u1", "exp": NOW_S + 60}));
    let verified = verifier().verify(&token).unwrap();
    assert_eq!(verified.caller, user("u1"));
    assert_eq!(verified.expires_at.millis(), (NOW_S + 65) * 1_000);
    assert_eq!(verifier().time_left(&verified), Duration::from_secs(65));
}

#[test]
fn the_first_claim_that_is_there_names_the_user() {
    let of = |claims: Value| caller(&verifier(), &host(claims));
    assert_eq!(of(json!({"sub": "u2", "exp": NOW_S + 60})), Ok(user("u2")));
    assert_eq!(of(json!({"sub": "u2", "user_id": "u1", "exp": NOW_S + 60})), Ok(user("u1")));
    assert!(of(json!({"sub": "u2", "user_id": null, "exp": NOW_S + 60})).is_err(), "no falling through");
    assert!(of(json!({"name": "u2", "exp": NOW_S + 60})).is_err());
}

#[test]
fn numbers_are_user_ids_in_their_canonical_spelling_only() {
    let of = |number: &str| {
        let payload = format!("{{\"user_id\":{number},\"exp\":{}}}", NOW_S + 60);
        caller(&verifier(), &sign_raw(HOST, &payload))
    };
    assert_eq!(of("7"), Ok(user("7")));
    assert_eq!(of("-7"), Ok(user("-7")));
    assert_eq!(of("9007199254740992"), Ok(user("9007199254740992")));
    assert_eq!(of("-9007199254740992"), Ok(user("-9007199254740992")));
    let others =
        ["9007199254740993", "-9007199254740993", "18446744073709551615", "7.0", "7e0", "0.5", "-0", "true", "[7]"];
    for number in others {
        assert!(of(number).is_err(), "{number}");
    }
}

/// For payloads that a JSON library would not write.
fn sign_raw(key: &[u8], payload: &str) -> String {
    sign_raw_with(&json!({"alg": "HS256", "typ": "JWT"}), key, payload)
}

pub(super) fn sign_raw_with(header: &Value, key: &[u8], payload: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let key = EncodingKey::from_secret(key);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn an_id_that_is_no_user_id_is_refused() {
    for id in [json!(""), json!("a\nb"), json!("x".repeat(129)), json!({}), json!(null)] {
        assert!(refused(&verifier(), &host(json!({"user_id": id, "exp": NOW_S + 60}))), "{id}");
    }
}

#[test]
fn a_token_ends_at_exp_and_the_tolerated_skew() {
    let clock = clock();
    let verifier = TokenVerifier::new(config(), clock.clone()).unwrap();
    let token = host(json!({"user_id": "u1", "exp": NOW_S + 60}));
    clock.set(Timestamp::from_millis((NOW_S + 65) * 1_000 - 1));
    assert!(verifier.verify(&token).is_ok());
    clock.advance(Duration::from_millis(1));
    assert_eq!(verifier.verify(&token).unwrap_err().reason, Reason::TokenExpired);
}

#[test]
fn a_token_without_a_good_exp_is_refused() {
    assert!(refused(&verifier(), &host(json!({"user_id": "u1"}))));
    for exp in [json!("1900000000"), json!(null), json!([1])] {
        assert!(refused(&verifier(), &host(json!({"user_id": "u1", "exp": exp}))), "{exp}");
    }
    assert!(verifier().verify(&host(json!({"user_id": "u1", "exp": NOW_S as f64 + 0.5}))).is_ok());
    for exp in [json!(-1), json!(i64::MIN), json!(-1e300), json!(0)] {
        let token = host(json!({"user_id": "u1", "exp": exp}));
        assert_eq!(verifier().verify(&token).unwrap_err().reason, Reason::TokenExpired, "{exp}");
    }
    assert!(verifier().verify(&host(json!({"user_id": "u1", "exp": i64::MAX}))).is_ok(), "no overflow");
}

#[test]
fn a_token_that_is_good_for_too_long_is_refused() {
    let lifetime = |seconds| VerifierConfig { token_lifetime_max: Some(Duration::from_secs(seconds)), ..config() };
    let verifier = TokenVerifier::new(lifetime(3_600), clock()).unwrap();
    let token = |iat: Value, exp: i64| host(json!({"user_id": "u1", "iat": iat, "exp": NOW_S + exp}));
    assert!(verifier.verify(&token(json!(NOW_S), 3_600)).is_ok());
    assert!(refused(&verifier, &token(json!(NOW_S), 3_601)));
    assert!(verifier.verify(&token(json!(NOW_S - 3_590), 10)).is_ok());
    assert!(refused(&verifier, &token(json!(NOW_S - 3_591), 10)), "its last seconds count, too");
    assert!(refused(&verifier, &token(json!(NOW_S + 100_000), 3_601)), "from the future");
    assert!(refused(&verifier, &token(json!("yesterday"), 10)));
    let without_iat = |exp: i64| host(json!({"user_id": "u1", "exp": NOW_S + exp}));
    assert!(verifier.verify(&without_iat(3_600)).is_ok());
    assert!(refused(&verifier, &without_iat(3_601)));
    let minute = TokenVerifier::new(lifetime(60), clock()).unwrap();
    let ours =
        TokenSigner::new(&secret(OURS), clock()).sign_user(&UserId::parse("u").unwrap(), Duration::from_secs(3_600));
    assert!(minute.verify(&ours.unwrap()).is_ok(), "what we signed ourselves is good for as long as we said");
}

#[test]
fn a_token_is_not_good_before_nbf() {
    let token = |nbf: i64| host(json!({"user_id": "u1", "exp": NOW_S + 60, "nbf": nbf}));
    assert!(verifier().verify(&token(NOW_S + 5)).is_ok());
    assert!(refused(&verifier(), &token(NOW_S + 6)));
}

#[test]
fn only_access_tokens_are_taken() {
    let token = |kind: Value| host(json!({"user_id": "u1", "exp": NOW_S + 60, "token_type": kind}));
    assert!(verifier().verify(&token(json!("access"))).is_ok());
    for kind in [json!("refresh"), json!("Access"), json!(""), json!(null), json!(1)] {
        assert!(refused(&verifier(), &token(kind.clone())), "{kind}");
    }
    let ours = sign(OURS, json!({"sub": "service:s", "aud": "viberchat", "exp": NOW_S + 9, "token_type": "refresh"}));
    assert!(refused(&verifier(), &ours));
}

#[test]
fn other_algorithms_and_keys_are_refused() {
    let claims = json!({"user_id": "u1", "exp": NOW_S + 60});
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        assert!(refused(&verifier(), &sign_with(&Header::new(algorithm), HOST, &claims)), "{algorithm:?}");
    }
    assert!(refused(&verifier(), &sign(b"another secret of thirty-two bytes", claims.clone())));
    let good = host(claims);
    let (_, rest) = good.split_once('.').unwrap();
    let none = format!("eyJhbGciOiJub25lIn0.{rest}");
    assert!(refused(&verifier(), &none), "alg none with a signature");
    let (unsigned, _) = none.rsplit_once('.').unwrap();
    assert!(refused(&verifier(), &format!("{unsigned}.")), "alg none without one");
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert!(refused(&verifier(), &format!("{signed}.")), "HS256 without a signature");
}

#[test]
fn nonsense_is_refused() {
    for token in ["", ".", "..", "...", "a.b.c", "a.b", "ey.ey.ey", "é.é.é"] {
        assert!(refused(&verifier(), token), "{token}");
    }
    assert!(refused(&verifier(), &sign_raw(HOST, "[1]")));
    assert!(refused(&verifier(), &sign_raw(HOST, "\"text\"")));
}

#[test]
fn a_token_longer_than_8_kib_is_refused() {
    let token = |bytes| host(json!({"user_id": "u1", "exp": NOW_S + 60, "pad": "x".repeat(bytes)}));
    assert!(token(5_900).len() <= TOKEN_BYTES_MAX && verifier().verify(&token(5_900)).is_ok());
    assert!(token(6_100).len() > TOKEN_BYTES_MAX && refused(&verifier(), &token(6_100)));
}

#[test]
fn critical_extensions_are_refused() {
    let header = Header { crit: Some(vec!["exp".to_owned()]), ..Header::new(Algorithm::HS256) };
    assert!(refused(&verifier(), &sign_with(&header, HOST, &json!({"user_id": "u1", "exp": NOW_S + 60}))));
}

#[test]
fn a_token_of_the_host_application_never_makes_a_service() {
    let claims = json!({"sub": "service:gateway", "aud": "viberchat", "scope": "admin", "exp": NOW_S + 60});
    assert!(refused(&verifier(), &host(claims)));
    let audiences = vec!["viberchat".to_owned()];
    let careless = TokenVerifier::new(VerifierConfig { audiences, ..config() }, clock()).unwrap();
    let claims = json!({"sub": "service:gateway", "aud": "viberchat", "scope": "admin", "exp": NOW_S + 60});
    assert_eq!(caller(&careless, &host(claims)), Ok(user("service:gateway")), "a strange name, still a user");
}

#[test]
fn a_service_token_never_makes_a_user() {
    let base = json!({"sub": "service:gateway", "user_id": "u1", "scope": "relay", "exp": NOW_S + 60});
    for audience in [json!(null), json!("other"), json!(["viberchat"]), json!("")] {
        let mut claims = base.clone();
        claims["aud"] = audience.clone();
        assert!(refused(&verifier(), &sign(OURS, claims)), "{audience}");
    }
    assert!(refused(&verifier(), &sign(OURS, base)), "no audience");
}

#[test]
fn a_service_token_names_a_service() {
    let of = |sub: &str| caller(&verifier(), &sign(OURS, json!({"sub": sub, "aud": "viberchat", "exp": NOW_S + 60})));
    let expected = ServiceIdentity { name: "gateway-1".into(), scopes: ScopeSet::EMPTY };
    assert_eq!(of("service:gateway-1"), Ok(Caller::Service { identity: expected, on_behalf_of: None }));
    for sub in
        ["", "gateway", "service:", "service:a b", "service:A", "service:é", &format!("service:{}", "x".repeat(65))]
    {
        assert!(of(sub).is_err(), "{sub}");
    }
}

#[test]
fn unknown_scopes_give_nothing() {
    let claims = json!({"sub": "service:s", "aud": "viberchat", "scope": "relay root  Admin", "exp": NOW_S + 60});
    let caller = caller(&verifier(), &sign(OURS, claims)).unwrap();
    assert!(caller.has_scope(Scope::Relay));
    for scope in [Scope::Admin, Scope::ActForUsers, Scope::Authorize, Scope::Directory] {
        assert!(!caller.has_scope(scope), "{scope}");
    }
}

#[test]
fn the_signer_makes_what_the_verifier_takes() {
    let signer = TokenSigner::new(&secret(OURS), clock());
    let minute = Duration::from_secs(60);
    let token = signer.sign_user(&UserId::parse("ü 1").unwrap(), minute).unwrap();
    let verified = verifier().verify(&token).unwrap();
    assert_eq!(verified.caller, user("ü 1"));
    assert_eq!(verified.expires_at.millis(), (NOW_S + 65) * 1_000);

    let token = signer.sign_service("gateway", &[Scope::ActForUsers, Scope::Relay], minute).unwrap();
    let identity = ServiceIdentity::new("gateway", &[Scope::ActForUsers, Scope::Relay]);
    assert_eq!(caller(&verifier(), &token), Ok(Caller::Service { identity, on_behalf_of: None }));

    assert_eq!(signer.sign_service("no such name", &[], minute).unwrap_err().reason, Reason::InvalidArgument);
    let long = signer.sign_user(&UserId::parse("u").unwrap(), Duration::MAX).unwrap();
    assert!(verifier().verify(&long).is_ok());
}

#[test]
fn a_user_named_like_a_service_stays_a_user() {
    let signer = TokenSigner::new(&secret(OURS), clock());
    let token = signer.sign_user(&UserId::parse("service:gateway").unwrap(), Duration::from_secs(9)).unwrap();
    assert_eq!(caller(&verifier(), &token), Ok(user("service:gateway")));
}

#[test]
fn a_previous_key_is_taken_while_it_is_configured() {
    let token = TokenSigner::new(&secret(OURS), clock()).sign_service("s", &[], Duration::from_secs(9)).unwrap();
    let new = secret(b"the new secret in keys.tokens of us");
    let rotated = VerifierConfig { service_secrets: vec![new.clone(), secret(OURS)], ..config() };
    assert!(TokenVerifier::new(rotated, clock()).unwrap().verify(&token).is_ok());
    let done = VerifierConfig { service_secrets: vec![new], ..config() };
    assert!(refused(&TokenVerifier::new(done, clock()).unwrap(), &token));
}

#[test]
fn issuer_audience_and_required_claims_are_checked() {
    let config = VerifierConfig {
        issuers: vec!["other app".to_owned(), "app".to_owned()],
        audiences: vec!["chat".to_owned(), "chat 2".to_owned()],
        required_claims: [("tier".to_owned(), "gold".to_owned()), ("v".to_owned(), "2".to_owned())].into(),
        ..config()
    };
    let verifier = TokenVerifier::new(config, clock()).unwrap();
    let good = json!({"user_id": "u", "exp": NOW_S + 9, "iss": "app", "aud": ["web", "chat"], "tier": "gold", "v": 2});
    assert_eq!(caller(&verifier, &host(good.clone())), Ok(user("u")));
    let bad = [
        ("iss", json!("other")),
        ("iss", json!(["app"])),
        ("aud", json!("web")),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("tier", json!("silver")),
        ("v", json!(3)),
        ("v", json!([2])),
    ];
    for (name, value) in bad {
        let mut claims = good.clone();
        claims[name] = value.clone();
        assert!(refused(&verifier, &host(claims)), "{name} = {value}");
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert!(refused(&verifier, &host(claims)), "no {name}");
    }
}

#[test]
fn a_token_for_an_audience_that_nobody_named_is_refused() {
    let claims = json!({"user_id": "u", "exp": NOW_S + 9, "aud": "elsewhere"});
    assert!(refused(&verifier(), &host(claims)));
}

#[test]
fn a_verifier_that_would_mix_users_and_services_is_refused() {
    let refusal = |config| TokenVerifier::new(config, clock()).err();
    let shared = VerifierConfig { user_secrets: vec![secret(HOST), secret(OURS)], ..config() };
    assert_eq!(refusal(shared), Some(InvalidVerifier::SharedSecret));
    let lax = VerifierConfig { leeway: Duration::from_secs(61), ..config() };
    assert_eq!(refusal(lax), Some(InvalidVerifier::LeewayTooLong));
    let nameless = VerifierConfig { user_id_claims: Vec::new(), ..config() };
    assert_eq!(refusal(nameless), Some(InvalidVerifier::NoUserIdClaim));
    for (issuers, audiences) in [(vec![String::new()], vec![]), (vec![], vec!["a".to_owned(), String::new()])] {
        let empty = VerifierConfig { issuers, audiences, ..config() };
        assert_eq!(refusal(empty), Some(InvalidVerifier::EmptyName));
    }
    assert_eq!(refusal(VerifierConfig::default()), None);
}

#[test]
fn without_keys_everything_is_refused() {
    let verifier = TokenVerifier::new(VerifierConfig::default(), clock()).unwrap();
    assert!(refused(&verifier, &host(json!({"user_id": "u", "exp": NOW_S + 9}))));
}

#[test]
fn a_refusal_repeats_nothing_of_the_token() {
    let token = host(json!({"user_id": "u1"}));
    let error = verifier().verify(&token).unwrap_err();
    let signature = token.rsplit('.').next().unwrap();
    assert!(!format!("{error:?}").contains(signature));
}

proptest! {
    #[test]
    fn a_changed_token_is_refused(at: prop::sample::Index, byte in prop::sample::select(b"AZaz09-_.".to_vec())) {
        let token = host(json!({"user_id": "u1", "exp": NOW_S + 60}));
        let mut bytes = token.clone().into_bytes();
        let index = at.index(bytes.len());
        prop_assume!(bytes[index] != byte);
        bytes[index] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(verifier().verify(&changed).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(token in "\\PC{0,60}") {
        prop_assert!(verifier().verify(&token).is_err());
    }
}
