//! Who is there and who types: sessions of gateways, statuses, last seen, typing. Soft state; nothing else depends on it.
//!
//! Map
//! - [`Config`] the settings; [`build`] makes a [`Service`] of them; [`METHODS`] says who may call what.
//! - `domain` types and pure rules: what is shown of whom, which session belongs to which gateway, who types where.
//! - `presences` the registry in memory and who follows it; `typings` the same for typing; `hub` tells streams that something
//!   changed; `sweep` ends what is over by time.
//! - `attach` a gateway's stream; `watch` and `watch_typing` those of the ones who look.
//! - `visibility` who shares a conversation and `membership` who belongs to one, asked of the conversation service.
//! - `others` tells the other instances and hears them; `reread` reads what they wrote.
//! - `saver` writes what outlives a restart; `store` what is wanted of a store, and those on SQLite and
//!   PostgreSQL.
//! - `rpc` the gRPC methods, one a file; `convert` protobuf ⇄ domain; `error` refusals → status, once.
//!
//! Invariants
//! - Others see an invisible user exactly as one without a session: status, last seen, typing, and when they hear of changes.
//! - Nothing is shown of a user before their row was read: a restart does not show who is invisible.
//! - Who shares no conversation with a user sees nothing of them, and an answer to that serves for a minute at most.
//! - Until all gateways had the time to report nobody is offline.
//! - Sessions are known to every instance by its own streams; the bus carries hints about statuses, and typing.
//! - A stream holds what it follows and no queue: it is told *of whom* there is news, and reads the latest when it can push.
//!
//! Where things are refused: callers in `rpc` ([`METHODS`], enforced by `viberchat_kit::auth`), malformed fields in
//! `rpc::field`, strangers in `visibility` and `membership`, settings in `config`.

#![forbid(unsafe_code)]

mod app;
mod attach;
mod config;
mod convert;
mod domain;
mod error;
mod hub;
mod membership;
mod metrics;
mod others;
mod presences;
mod reread;
mod rpc;
mod saver;
mod service;
mod store;
mod sweep;
mod typings;
mod visibility;
mod watch;
mod watch_typing;

pub use config::Config;
pub use rpc::METHODS;
pub use service::{BuildError, Deps, Service, build, examine, migrate_schema};
