//! The presence service in process, behind authorization, with a conversation service of the tests behind it.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod access;
mod attach;
mod herd;
mod others;
mod status;
mod support;
mod typing;
mod watch;
