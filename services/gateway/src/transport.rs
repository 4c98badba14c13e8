//! From a TCP connection to a session.
//!
//! Map: `accept` takes connections and speaks HTTP/1.1; `upgrade` turns a request into a socket; `socket` is a WebSocket
//! that keeps no buffer while it is idle; `driver` moves frames between a socket and its session, `driver::steps` does what the session asks for.
//!
//! Invariants: one task per socket, no timer of its own; a turn reads all that is ready, feeds all, and flushes once.

pub(crate) mod accept;
mod driver;
mod socket;
pub(crate) mod upgrade;
