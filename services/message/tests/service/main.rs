//! The message service through its RPCs, on a real SQLite file, with a conversation service of the tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod positions;
mod race;
mod read;
mod redaction;
mod send;
mod send_stream;
mod subscribe;
mod support;
mod system;
