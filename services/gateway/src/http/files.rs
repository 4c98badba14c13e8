//! The web client: files that the build embeds.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use viberchat_kit::error::{Error, Reason};

use super::respond;

/// A file of the web client.
struct File {
    path: &'static str,
    content_type: &'static str,
    etag: &'static str,
    bytes: &'static [u8],
}

const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

const INDEX: &str = "/app/index.html";

/// Scripts, styles and connections of the gateway itself, pictures from anywhere, and nothing may frame the page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob: https:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// Answers `GET` and `HEAD`.
pub(crate) fn serve(request: &Request) -> Response {
    let path = if request.uri().path() == "/" { INDEX } else { request.uri().path() };
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return respond::error(StatusCode::NOT_FOUND, &Error::new(Reason::MethodNotFound, "there is nothing here"));
    };
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|etags| etags.to_str().ok());
    let is_known =
        known.is_some_and(|etags| etags.split(',').any(|etag| etag.trim().trim_start_matches("W/") == file.etag));
    let is_bodiless = is_known || request.method() == Method::HEAD;
    let body = if is_bodiless { Body::empty() } else { Body::from(Bytes::from_static(file.bytes)) };
    let mut response = Response::new(body);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, file.content_type),
        (header::ETAG, file.etag),
        // Asked for again each time, and answered without a body as long as it is the same.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
