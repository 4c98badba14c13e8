//! Who may talk to whom: conversations, members, roles, each member's own settings, and the directory of users.
//!
//! Map:
//! - [`Config`] the settings; [`build`] makes a [`Service`] of them; [`METHODS`] says who may call what.
//! - `domain` types and pure rules. `store` what is wanted of a store, and those on
//!   SQLite and PostgreSQL.
//! - `rpc` the gRPC methods, one a file; `convert` protobuf ⇄ domain; `error` refusals → status, once.
//! - `relay` brings system entries from the outbox into the message service's `log`; `watch` tells streams what changed;
//!   `others` tells other instances that there is something; `activity` writes newest messages in batches; `upkeep` throws away what has expired.
//!
//! Invariants:
//! - A change, its version, its request row, its outbox row and what watchers have to hear commit together.
//! - Each pair of users has at most one direct conversation; its row decides, not what was read before.
//! - The log gets each version of a conversation once and in order; who was added may read once the log has the entry,
//!   who was removed may not from the commit on.
//! - A group with members has an owner; one that was deleted has nobody.
//! - A stranger gets `CONVERSATION_NOT_FOUND`, whatever exists. Nobody is told who has blocked them.
//! - A user who was deactivated is refused everywhere, and so is one whom a strict directory does not know.
//!
//! Where things are refused: callers in `rpc::access` (enforced by `viberchat_kit::auth`) and in `rpc::caller`,
//! malformed fields in `rpc::field`, changes in `domain::group`, users in `domain::user`, settings in `config`.

#![forbid(unsafe_code)]

mod activity;
mod config;
mod convert;
mod domain;
mod error;
mod log;
mod metrics;
mod others;
mod relay;
mod rpc;
mod service;
mod store;
#[cfg(test)]
mod testing;
mod upkeep;
mod watch;

pub use config::{Config, Directory, Search};
pub use rpc::METHODS;
pub use service::{BuildError, Deps, Service, build, examine, migrate_schema};
