//! Who calls, and what they may call.
//!
//! Map: `caller` says who; `access` what a method takes, in one table; `layer` brings both together in front of every
//! server and denies by default; `context` is what a handler gets; `stream` does the same for each request of a stream;
//! `token` verifies tokens and `signer` makes ours.
//!
//! Invariants:
//! - A path that is in no table is refused, whoever calls.
//! - A user's token never makes a service, and a service's never a user: the keys are apart, and so are the audiences.
//! - Acting for a user needs the scope `act_for_users`, everywhere.
//! - A [`Caller`] in the extensions of a request is believed: nothing can put one there through a network.

mod access;
mod caller;
mod context;
mod layer;
mod signer;
mod stream;
mod token;

pub use access::{Access, MethodRule, MethodTable, OPEN_METHODS};
pub use caller::{Caller, Scope, ScopeSet, ServiceIdentity, UnknownScope};
pub use context::CallContext;
pub(crate) use layer::grpc_timeout;
pub use layer::{Auth, AuthLayer, ON_BEHALF_OF, ON_BEHALF_OF_BIN};
pub use signer::TokenSigner;
pub use stream::{AuthorizedStream, StreamEnd, Streamed, StreamedRequest, authorized_stream};
pub use token::{InvalidVerifier, LEEWAY_MAX, TokenVerifier, VerifiedToken, VerifierConfig};
