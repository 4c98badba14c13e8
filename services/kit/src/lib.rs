//! What at least two services of ViberChat need, and no chat noun beyond ids and error reasons.
//!
//! Map:
//! - [`id`] the names of users, conversations, messages and requests, and randomness; [`clock`] time. Both are parameters.
//! - [`error`] the one list of reasons and the one mapping to and from gRPC.
//! - [`auth`] who calls and what they may call: tokens, the access table, the layer in front of every server, streams.
//! - [`rpc`] the transport of generated clients, in this process and over the network.
//! - [`bus`] hints between the instances of a service, which may be lost and are missed then.
//! - [`keys`] the secrets of a deployment; [`page`] page tokens made with them.
//! - [`config`], [`telemetry`], [`lifecycle`] what a process needs before it serves.
//! - [`store`] what stores of several services need of an engine: PostgreSQL's settings, pool, retries and migrations.
//! - [`tls`] whom a process trusts that calls a server, and who it is: certificates and keys from files.
//! - [`fault`] mutants, kill points and the SQLite file layer of tests; asleep without the feature `testing`.
//!
//! What kit refuses: malformed ids in `id` and `keys`, callers in `auth::access` (the rules), `auth::layer` (metadata)
//! and `auth::token` (tokens), page tokens in `page`, unknown or malformed configuration in `config`.
//!
//! Invariants: nothing here reads the machine's clock or randomness except through `clock` and `id`; nothing is spawned
//! except by `lifecycle`; what is refused is refused by default; no secret, token or message text is logged.

#![cfg_attr(not(feature = "testing"), forbid(unsafe_code))]
#![cfg_attr(feature = "testing", deny(unsafe_code))]

pub mod auth;
pub mod bus;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod error;
pub mod fault;
mod hash;
pub mod id;
pub mod keys;
pub mod lifecycle;
pub mod page;
pub mod rpc;
pub mod store;
pub mod telemetry;
pub mod tls;
