use super::*;
use crate::id::SeededEntropy;

#[test]
fn a_secret_is_not_printed() {
    let secret = Secret::parse("correct horse battery staple correct").unwrap();
    let keys = Keys { tokens: secret.clone(), ..Keys::generate(&SeededEntropy::new(1)) };
    for text in [format!("{secret:?}"), format!("{keys:?}"), serde_json::to_string(&keys).unwrap()] {
        assert!(!text.contains("horse") && !text.contains("base64"), "{text}");
    }
}

#[test]
fn short_and_empty_secrets_are_refused() {
    assert_eq!(Secret::new([]), Err(InvalidSecret::Empty));
    assert_eq!(Secret::parse(""), Err(InvalidSecret::Empty));
    assert_eq!(Secret::parse("base64:"), Err(InvalidSecret::Empty));
    assert_eq!(Secret::parse(&"x".repeat(31)), Err(InvalidSecret::TooShort));
    assert!(Secret::parse(&"x".repeat(32)).is_ok());
    assert_eq!(Secret::parse("base64:?"), Err(InvalidSecret::NotBase64));
    assert_eq!(Secret::parse("base64:c2hvcnQ=").unwrap().as_bytes(), b"short");
}

#[test]
fn what_is_refused_is_not_repeated() {
    let error = serde_json::from_str::<Secret>("\"hunter2\"").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_written_secret_is_read_back() {
    let secret = Secret::generate(&SeededEntropy::new(3));
    assert_eq!(Secret::parse(&secret.to_base64()), Ok(secret.clone()));
    assert_eq!(secret.as_bytes().len(), 32);
    assert_ne!(secret, Secret::generate(&SeededEntropy::new(4)));
}

#[test]
fn secrets_are_equal_when_all_bytes_are() {
    let secret = |bytes: &[u8]| Secret::new(bytes).unwrap();
    assert_eq!(secret(b"ab"), secret(b"ab"));
    for other in [&b"aa"[..], b"bb", b"a", b"abc"] {
        assert_ne!(secret(b"ab"), secret(other));
    }
}

#[test]
fn no_two_lists_of_parts_have_the_same_mac() {
    let secret = Secret::generate(&SeededEntropy::new(1));
    let macs = [secret.hmac(&[b"ab", b"c"]), secret.hmac(&[b"a", b"bc"]), secret.hmac(&[b"abc"])];
    assert!(macs[0] != macs[1] && macs[1] != macs[2] && macs[0] != macs[2]);
    assert_eq!(macs[0], secret.hmac(&[b"ab", b"c"]));
    assert_ne!(macs[0], Secret::generate(&SeededEntropy::new(2)).hmac(&[b"ab", b"c"]));
}

#[test]
fn keys_name_what_is_too_short() {
    let short = Secret::new("short").unwrap();
    let good = Keys::generate(&SeededEntropy::new(1));
    assert!(good.too_short().is_empty());
    let bad = Keys { pages: short.clone(), tokens_previous: Some(short), ..good };
    assert_eq!(bad.too_short(), ["keys.tokens_previous", "keys.pages"]);
}

#[test]
fn the_present_token_secret_comes_first() {
    let good = Keys::generate(&SeededEntropy::new(1));
    let old = Secret::generate(&SeededEntropy::new(2));
    assert_eq!(good.token_secrets(), std::slice::from_ref(&good.tokens));
    let rotated = Keys { tokens_previous: Some(old.clone()), ..good.clone() };
    assert_eq!(rotated.token_secrets(), [good.tokens, old]);
}
