//! The harness of ViberChat's tests: real processes, real sockets, and a judge.
//!
//! Map:
//! - [`history`] the judge: reads what all clients saw and says where the delivery contract was broken. Pure.
//! - [`cluster`] starts the binary under test as a process, kills, stops and restarts it.
//! - [`client`] the three doors of a user: the client protocol, JSON over HTTP, gRPC. Writes everything into the history.
//! - [`workload`] many users who chat at random from a seed, and the reads at the end.
//!
//! Real engines come from `viberchat_engines`.
//!
//! Invariants: only processes that the harness started are ever signalled, by their id; everything listens on loopback, on
//! ports that the system chose; what is random comes from a printed seed; data of a failed test is kept and named.

pub mod client;
pub mod cluster;
pub mod history;
pub mod workload;
