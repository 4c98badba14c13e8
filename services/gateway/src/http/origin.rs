//! Which pages may call from a browser.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};

/// Whether the page that calls is one of the gateway's own, or of an origin that the configuration names. What is not a
/// browser names no origin.
pub(crate) fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    match headers.get(ORIGIN) {
        None => true,
        Some(origin) => is_same(origin, headers.get(HOST)) || is_listed(origin, allowed),
    }
}

/// Whether the configuration names the origin.
pub(crate) fn is_listed(origin: &HeaderValue, allowed: &[String]) -> bool {
    origin.to_str().is_ok_and(|origin| allowed.iter().any(|listed| listed.eq_ignore_ascii_case(origin)))
}

fn is_same(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let host = host.and_then(|host| host.to_str().ok());
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("chat.example.org:8080"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    #[test]
    fn own_pages_listed_pages_and_programs_may_call() {
        let allowed = vec!["https://app.example.org".to_owned()];
        for origin in [None, Some("http://chat.example.org:8080"), Some("https://app.example.org")] {
            assert!(is_allowed(&headers(origin), &allowed), "{origin:?}");
        }
        for origin in
            ["https://evil.example", "null", "http://chat.example.org", "https://app.example.org.evil.example"]
        {
            assert!(!is_allowed(&headers(Some(origin)), &allowed), "{origin}");
        }
    }
}
