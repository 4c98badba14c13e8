//! The tests of the message service, on a real Cassandra. Where it is missing, which is said, they repeat those on a file.

#[path = "service/main.rs"]
mod service;

use service::support;
