//! `POST /dev/token {"user": "alice"}` for the demo page. Served by `viberchat dev` only.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use viberchat_kit::auth::TokenSigner;
use viberchat_kit::id::UserId;

use super::TOKEN_TTL;

#[derive(Deserialize)]
struct TokenRequest {
    user: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenResponse {
    token: String,
    user_id: String,
}

pub(super) fn router(signer: Arc<TokenSigner>) -> Router {
    Router::new().route("/dev/token", post(token)).layer(middleware::from_fn(same_machine_only)).with_state(signer)
}

async fn token(State(signer): State<Arc<TokenSigner>>, Json(request): Json<TokenRequest>) -> Response {
    let Ok(user) = UserId::parse(&request.user) else {
        return (StatusCode::BAD_REQUEST, "user: not a user id").into_response();
    };
    match signer.sign_user(&user, TOKEN_TTL) {
        Ok(token) => Json(TokenResponse { token, user_id: user.to_string() }).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A page of another site that a developer has open must not get a token either: its requests carry its origin, or, if its
/// name was rebound to this machine, a foreign host.
async fn same_machine_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or("");
    let same_origin =
        text(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://").is_some_and(|rest| rest == host));
    if is_loopback_host(host) && same_origin { next.run(request).await } else { StatusCode::FORBIDDEN.into_response() }
}

fn is_loopback_host(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::is_loopback_host;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["127.0.0.1:8080", "localhost", "localhost:1", "[::1]:8080"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com:80", "", "localhost.example.com", "10.0.0.1:8080"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
