//! The binary under test as a process: started on ports that the system chooses, killed, stopped, paused and restarted.
//!
//! Map: `settings` what a server is started with, `server` its process, `split` one process for each service, `peers` several of the
//! message service, `presences` two of presence and two gateways, `tokens` whose tokens it takes and which not, `turn` which of
//! several on engines may run.

mod peers;
mod presences;
mod server;
mod settings;
mod split;
mod tokens;
mod turn;

use self::split::Role;
pub use self::{
    peers::Peers,
    presences::Presences,
    server::{Addresses, Server},
    settings::Settings,
    split::{Services, Split},
    tokens::{Tokens, UserClaims},
};
