//! What operators may ask of a running gateway over the internal gRPC door: one file for each method. What is done stands in
//! `operations`.

mod disconnect_user;
mod drain;
mod get_session;
mod list_sessions;

use tonic::service::Routes;
use tonic::{Request, Response, Status};
use viberchat_kit::auth::{Access, CallContext, MethodRule, Scope};
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{SharedEntropy, UserId};
use viberchat_kit::keys::Keys;
use viberchat_kit::page::PageSealer;
use viberchat_kit::rpc::into_status;
use viberchat_proto::gateway::v1::gateway_admin_service_server::{GatewayAdminService, GatewayAdminServiceServer};
use viberchat_proto::gateway::v1::*;

use crate::operations::Operations;

macro_rules! path {
    ($method:literal) => {
        concat!("/viberchat.gateway.v1.GatewayAdminService/", $method)
    };
}

/// Who may call what: operators only.
pub const METHODS: &[MethodRule] = &[
    MethodRule::unary(path!("ListSessions"), Access::service(Scope::Admin)),
    MethodRule::unary(path!("GetSession"), Access::service(Scope::Admin)),
    MethodRule::unary(path!("DisconnectUser"), Access::service(Scope::Admin)),
    MethodRule::unary(path!("Drain"), Access::service(Scope::Admin)),
];

/// The service as routes for the internal door; an [`viberchat_kit::auth::AuthLayer`] with [`METHODS`] belongs around them.
pub fn admin_routes(operations: Operations, keys: &Keys, entropy: SharedEntropy) -> Routes {
    let admin = Admin { operations, pages: PageSealer::new(keys, entropy) };
    Routes::new(GatewayAdminServiceServer::new(admin))
}

struct Admin {
    operations: Operations,
    pages: PageSealer,
}

type Reply<T> = std::result::Result<Response<T>, Status>;

/// A handler's way from a request to an answer; the name is the caller's.
fn answer<Q, A>(request: Request<Q>, handle: impl FnOnce(&str, Q) -> Result<A>) -> Reply<A> {
    let context = CallContext::of(&request).map_err(into_status)?;
    let caller = context.caller.service_name().unwrap_or_default();
    handle(caller, request.into_inner()).map(Response::new).map_err(into_status)
}

fn user_id(text: &str) -> Result<UserId> {
    UserId::parse(text).map_err(|invalid| Error::invalid_argument("user_id", invalid.to_string()))
}

#[tonic::async_trait]
impl GatewayAdminService for Admin {
    async fn list_sessions(&self, request: Request<ListSessionsRequest>) -> Reply<ListSessionsResponse> {
        answer(request, |caller, message| list_sessions::handle(self, caller, &message))
    }

    async fn get_session(&self, request: Request<GetSessionRequest>) -> Reply<GetSessionResponse> {
        answer(request, |_, message| get_session::handle(self, &message))
    }

    async fn disconnect_user(&self, request: Request<DisconnectUserRequest>) -> Reply<DisconnectUserResponse> {
        answer(request, |caller, message| disconnect_user::handle(self, caller, &message))
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Reply<DrainResponse> {
        answer(request, |caller, _| Ok(drain::handle(self, caller)))
    }
}
