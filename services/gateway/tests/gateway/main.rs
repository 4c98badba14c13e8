//! The gateway over real sockets, against scripted services.

mod admin;
mod hostile;
mod http;
mod support;

/// The client protocol in JSON.
#[path = "."]
mod json {
    const ENCODING: crate::support::client::Encoding = crate::support::client::Encoding::Json;

    #[path = "admission.rs"]
    mod admission;
    #[path = "frames.rs"]
    mod frames;
    #[path = "history.rs"]
    mod history;
    #[path = "presence.rs"]
    mod presence;
    #[path = "sockets.rs"]
    mod sockets;
}

/// The same in binary.
#[expect(clippy::duplicate_mod, reason = "the same stories are told in both encodings")]
#[path = "."]
mod binary {
    const ENCODING: crate::support::client::Encoding = crate::support::client::Encoding::Proto;

    #[path = "admission.rs"]
    mod admission;
    #[path = "frames.rs"]
    mod frames;
    #[path = "history.rs"]
    mod history;
    #[path = "presence.rs"]
    mod presence;
    #[path = "sockets.rs"]
    mod sockets;
}
