//! The binary under test as a process: started on ports that the system chooses, killed, stopped, paused and restarted.
//!
//! Map: `settings` what a server is started with, `server` its process, `split` one process for each service, `tokens` whose tokens it takes and which not.

mod server;
mod settings;
mod split;
mod tokens;

use self::split::Role;
pub use self::{
    server::{Addresses, Server},
    settings::Settings,
    split::{Services, Split},
    tokens::{Tokens, UserClaims},
};
