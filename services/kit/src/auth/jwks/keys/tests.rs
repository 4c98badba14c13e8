use serde_json::json;

use super::*;
use crate::auth::test_keys::{TestKey, ec_1, ed_1, jwks, rsa_1, rsa_2, rsa_small};

fn parse(document: &impl ToString) -> Result<KeySet, InvalidJwks> {
    KeySet::parse(document.to_string().as_bytes())
}

/// The key with some members changed; null takes one away.
fn changed(key: &TestKey, members: &[(&str, Value)]) -> Value {
    let mut jwk = key.jwk();
    for (name, value) in members {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().remove(*name)),
            value => jwk[*name] = value.clone(),
        }
    }
    jwk
}

fn is_usable(jwk: &Value) -> bool {
    parse(&json!({ "keys": [jwk] })).is_ok()
}

fn found(set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Option<bool> {
    match set.find(kid, algorithm) {
        Lookup::Found(_) => Some(true),
        Lookup::Refused => Some(false),
        Lookup::Unknown(_) => None,
    }
}

#[test]
fn a_key_is_found_by_its_name_for_its_algorithm_only() {
    let set = parse(&jwks(&[&rsa_1(), &rsa_2(), &ec_1(), &ed_1()])).unwrap();
    assert_eq!(set.len(), 4);
    assert_eq!(found(&set, Some("rsa-2"), Algorithm::RS256), Some(true));
    assert_eq!(found(&set, Some("ec-1"), Algorithm::ES256), Some(true));
    assert_eq!(found(&set, Some("ed-1"), Algorithm::EdDSA), Some(true));
    assert_eq!(found(&set, Some("rsa-1"), Algorithm::ES256), Some(false));
    assert_eq!(found(&set, Some("ed-1"), Algorithm::RS256), Some(false));
    assert_eq!(found(&set, Some("rsa-3"), Algorithm::RS256), None);
    assert_eq!(found(&set, Some(""), Algorithm::RS256), None);
}

#[test]
fn without_a_name_the_only_key_of_the_algorithm_is_meant() {
    let set = parse(&jwks(&[&rsa_1(), &rsa_2(), &ec_1()])).unwrap();
    assert_eq!(found(&set, None, Algorithm::ES256), Some(true));
    assert_eq!(found(&set, None, Algorithm::RS256), Some(false), "two");
    assert_eq!(found(&set, None, Algorithm::EdDSA), Some(false), "none");
    let nameless = json!({"keys": [changed(&rsa_1(), &[("kid", Value::Null)])]});
    assert_eq!(found(&parse(&nameless).unwrap(), Some("rsa-1"), Algorithm::RS256), None);
}

#[test]
fn optional_members_may_be_missing() {
    for key in [rsa_1(), ec_1(), ed_1()] {
        let bare = changed(&key, &[("use", Value::Null), ("alg", Value::Null), ("kid", Value::Null)]);
        assert!(is_usable(&bare), "{bare}");
        assert!(is_usable(&changed(&key, &[("key_ops", json!(["verify"])), ("x5c", json!(["?"]))])));
    }
    assert!(is_usable(&changed(&ed_1(), &[("alg", json!("Ed25519"))])));
}

#[test]
fn keys_for_anything_else_are_passed_over() {
    let others = [
        changed(&rsa_1(), &[("use", json!("enc"))]),
        changed(&rsa_1(), &[("key_ops", json!(["encrypt"]))]),
        changed(&rsa_1(), &[("alg", json!("RS512"))]),
        changed(&rsa_1(), &[("alg", json!("HS256"))]),
        changed(&rsa_1(), &[("alg", json!("none"))]),
        changed(&ec_1(), &[("alg", json!("RS256"))]),
        changed(&ec_1(), &[("crv", json!("P-384"))]),
        changed(&ed_1(), &[("crv", json!("X25519"))]),
        json!({"kty": "oct", "kid": "secret", "alg": "HS256", "k": "c2VjcmV0"}),
        json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}),
        json!({"kty": "new"}),
        json!("text"),
    ];
    for jwk in others {
        assert!(!is_usable(&jwk), "{jwk}");
        let beside_a_good_one = parse(&json!({ "keys": [jwk, ec_1().jwk()] })).unwrap();
        assert_eq!(beside_a_good_one.len(), 1);
    }
}

#[test]
fn keys_of_a_wrong_size_are_passed_over() {
    let mut long = vec![0xff; 513];
    long[0] = 1;
    let sizes = [
        rsa_small().jwk(),
        changed(&rsa_1(), &[("n", json!(URL_SAFE_NO_PAD.encode(long)))]),
        changed(&rsa_1(), &[("n", json!(URL_SAFE_NO_PAD.encode([0; 256])))]),
        changed(&rsa_1(), &[("n", json!(""))]),
        changed(&rsa_1(), &[("e", json!(""))]),
        changed(&rsa_1(), &[("e", json!("AQABAQAB"))]),
        changed(&rsa_1(), &[("n", Value::Null)]),
        changed(&rsa_1(), &[("n", json!("no/base64url+="))]),
        changed(&ec_1(), &[("x", json!("AQAB"))]),
        changed(&ec_1(), &[("y", Value::Null)]),
        changed(&ed_1(), &[("x", json!("AQAB"))]),
        changed(&ed_1(), &[("x", json!(""))]),
    ];
    for jwk in sizes {
        assert!(!is_usable(&jwk), "{jwk}");
    }
}

#[test]
fn what_is_no_set_is_refused() {
    let refusal = |text: &str| KeySet::parse(text.as_bytes()).err();
    for text in ["", "[]", "{}", "\u{0}", r#"{"keys": {}}"#, r#"{"keys": null}"#] {
        assert_eq!(refusal(text), Some(InvalidJwks::NotJwks), "{text}");
    }
    assert_eq!(refusal(r#"{"keys": []}"#), Some(InvalidJwks::NoUsableKey));
    let many: Vec<_> = (0..=KEYS_MAX).map(|number| changed(&ec_1(), &[("kid", json!(number.to_string()))])).collect();
    assert_eq!(parse(&json!({ "keys": many })).err(), Some(InvalidJwks::TooManyKeys));
    let twice = json!({"keys": [changed(&rsa_1(), &[("kid", json!("k"))]), changed(&rsa_2(), &[("kid", json!("k"))])]});
    assert_eq!(parse(&twice).err(), Some(InvalidJwks::SameKid));
    let of_two_kinds =
        json!({"keys": [changed(&rsa_1(), &[("kid", json!("k"))]), changed(&ec_1(), &[("kid", json!("k"))])]});
    assert!(parse(&of_two_kinds).is_ok());
}
