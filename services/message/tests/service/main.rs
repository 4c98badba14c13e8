//! The message service through its RPCs, on a real SQLite file, or in the target
//! `service_on_cassandra` on a real Cassandra, with a conversation service of the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod close;
mod content;
mod delivered;
mod pins;
mod positions;
mod race;
mod reactions;
mod read;
mod redaction;
mod send;
mod send_stream;
mod subscribe;
pub(crate) mod support;
mod system;
mod visibility;
