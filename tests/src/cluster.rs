//! The binary under test as a process: started on ports that the system chooses, killed, stopped, paused and restarted.
//!
//! Map: `settings` what a server is started with, `server` its process, `tokens` whose tokens it takes and which not.

mod server;
mod settings;
mod tokens;

pub use self::{
    server::{Addresses, Server},
    settings::Settings,
    tokens::{Tokens, UserClaims},
};
