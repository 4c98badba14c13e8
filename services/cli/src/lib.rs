//! The binary `viberchat`: puts the services together and runs them.
//!
//! Map: [`command`] is the command line, [`config`] the whole configuration; `role` says what a process runs, `assemble`
//! builds that, `listener` its gRPC and admin doors, `serve` runs it until a signal; `dev` adds people, a bot and a page to
//! talk to; `migrate` brings schemas up to date; `doctor` looks at what the configuration names; `token` and
//! `config_command` are the small commands; `bench` measures.
//!
//! Invariants: services know nothing of each other's crates, only this one does; keys that `dev` made are taken by no other
//! mode; what is printed on standard output is for people or scripts, logs go to standard error.

#![forbid(unsafe_code)]

mod assemble;
mod bench;
pub mod command;
pub mod config;
mod config_command;
mod dev;
mod doctor;
mod listener;
mod migrate;
mod role;
mod serve;
mod token;

pub use command::main;
