//! What is served over HTTP besides the socket.
//!
//! Map: `methods` is the table of unary methods for users; `door` takes JSON, calls them and answers JSON; `origin`
//! says which pages may call; `respond` is the one place where an error becomes an HTTP response; `files` serves the
//! web client.

pub(crate) mod door;
pub(crate) mod files;
pub(crate) mod methods;
pub(crate) mod origin;
pub(crate) mod respond;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;

use crate::gateway::Gateway;
use crate::transport::upgrade;

/// Everything on the public listener. `extra` is what the process adds.
pub(crate) fn router(gateway: Arc<Gateway>, extra: Router) -> Router {
    let door = door::Door::new(gateway.clone());
    Router::new().route("/v1/connect", any(upgrade::connect)).with_state(gateway).merge(extra).fallback(
        move |request: axum::extract::Request| {
            let door = door.clone();
            async move {
                if request.method() == http::Method::GET || request.method() == http::Method::HEAD {
                    files::serve(&request)
                } else {
                    door.call(request).await
                }
            }
        },
    )
}
