//! The real engines that tests run against, found, started and stopped.
//!
//! Map:
//! - [`Server`] a database or a bus: at an address in the environment, else started from what is installed.
//! - [`CassandraCluster`] three nodes for one test, which may end some.
//! - [`Program`] a program that a test calls.
//! - [`namespace`] a name for what a test keeps in a shared server.
//! - `postgres`, `nats`, `cassandra` how each server is started; `supervised` the process that ends with the one that started it.
//! - `main.rs` runs a command with all servers up, so that the suites of `make test` share them.
//!
//! Invariants: servers listen on loopback, on ports that the system chose, with their data in a temporary folder; each
//! ends with the process that started it, however that one ends; what is missing is said on one line that begins with
//! `SKIPPED:`, and is a failure where engines are required.

mod cassandra;
mod namespace;
mod nats;
mod postgres;
mod programs;
mod server;
mod supervised;

pub use self::{
    cassandra::CassandraCluster,
    namespace::namespace,
    programs::{Program, say, skip},
    server::{Running, Server},
};
