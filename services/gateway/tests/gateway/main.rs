//! The gateway over real sockets, against scripted services.

mod hostile;
mod http;
mod sockets;
mod support;
