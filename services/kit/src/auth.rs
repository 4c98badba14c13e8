//! Who calls, and what they may call.
//!
//! Map: `caller` says who; `access` what a method takes, in one table; `layer` brings both together in front of every
//! server and denies by default; `context` is what a handler gets; `stream` does the same for each request of a stream;
//! `token` verifies tokens, by secrets and by the public keys of `jwks`, and `signer` makes ours.
//!
//! Invariants:
//! - A path that is in no table is refused, whoever calls.
//! - A user's token never makes a service, and a service's never a user: the keys are apart, and so are the audiences.
//! - A secret verifies HS256 only, a public key only the algorithm of its kind.
//! - Acting for a user needs the scope `act_for_users`, everywhere.
//! - A [`Caller`] in the extensions of a request is believed: nothing can put one there through a network.

mod access;
mod caller;
mod context;
mod jwks;
mod layer;
mod signer;
mod stream;
#[cfg(test)]
mod test_keys;
mod token;

pub use access::{Access, MethodRule, MethodTable, OPEN_METHODS};
pub use caller::{Caller, Scope, ScopeSet, ServiceIdentity, UnknownScope};
pub use context::CallContext;
pub use jwks::{InvalidJwks, InvalidJwksUrl, JWKS_BYTES_MAX, Jwks, JwksError, JwksSource, JwksTiming, JwksUrl};
pub(crate) use layer::grpc_timeout;
pub use layer::{Auth, AuthLayer, ON_BEHALF_OF, ON_BEHALF_OF_BIN};
pub use signer::TokenSigner;
pub use stream::{AuthorizedStream, StreamEnd, Streamed, StreamedRequest, authorized_stream};
pub use token::{InvalidVerifier, LEEWAY_MAX, TOKEN_BYTES_MAX, TokenVerifier, VerifiedToken, VerifierConfig};
