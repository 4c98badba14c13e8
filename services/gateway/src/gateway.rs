//! What all connections of a gateway share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use viberchat_kit::auth::{Caller, TokenVerifier, VerifiedToken};
use viberchat_kit::clock::SharedClock;
use viberchat_kit::error::{Error, Outcome, Reason, Result};
use viberchat_kit::id::{Entropy, SharedEntropy, UserId};
use viberchat_kit::lifecycle;
use viberchat_proto::gateway::v1::{Hello, Limits, Welcome};

use crate::admission::Admission;
use crate::config::Config;
use crate::fanout::Registry;
use crate::frames::{self, Answer, ServerFrame};
use crate::metrics::GatewayMetrics;
use crate::rate::SendRate;
use crate::session::{Identity, RESUME_PART_CURSORS_MAX};
use crate::upstream::Upstream;
use crate::upstream::attach::Reports;
use crate::upstream::sends::Sends;
use crate::wheel::Wheel;

const DEVICE_ID_BYTES_MAX: usize = 64;
const CLIENT_BYTES_MAX: usize = 128;
const FEATURES_MAX: usize = 32;

/// The message service's limit, told to clients.
const TEXT_BYTES_MAX: u32 = 16 * 1024;
/// The services' limit, told to clients.
const PAGE_ITEMS_MAX: u32 = 200;

/// See the module.
pub(crate) struct Gateway {
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) upstream: Upstream,
    pub(crate) sends: Arc<Sends>,
    pub(crate) rate: SendRate,
    pub(crate) wheel: Wheel,
    pub(crate) verifier: Arc<TokenVerifier>,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) lifecycle: lifecycle::Handle,
    pub(crate) metrics: GatewayMetrics,
    /// What the presence service is told of sessions.
    pub(crate) reports: Arc<Reports>,
    pub(crate) admission: Admission,
    /// Set when an operator asks for a drain; see `drain`.
    pub(crate) draining: CancellationToken,
    /// One permit a connection.
    pub(crate) connections: Arc<Semaphore>,
}

/// A user whose token is good.
pub(crate) struct VerifiedUser {
    pub(crate) user: UserId,
    pub(crate) token: VerifiedToken,
}

impl Gateway {
    /// Checks a hello and its token. A service has no session, whatever its scopes.
    pub(crate) fn verify_hello(&self, hello: &Hello) -> Result<VerifiedUser> {
        let checks = [
            ("hello.device_id", hello.device_id.len() <= DEVICE_ID_BYTES_MAX, "is longer than 64 bytes"),
            ("hello.client", hello.client.len() <= CLIENT_BYTES_MAX, "is longer than 128 bytes"),
            ("hello.features", hello.features.len() <= FEATURES_MAX, "are more than 32"),
        ];
        for (field, holds, problem) in checks {
            if !holds {
                return Err(Error::invalid_argument(field, problem).with_outcome(Outcome::NotAttempted));
            }
        }
        self.verify_user(&hello.token)
    }

    /// Checks a token, which has to be a user's.
    pub(crate) fn verify_user(&self, token: &str) -> Result<VerifiedUser> {
        let token = self.verifier.verify(token)?;
        match &token.caller {
            Caller::User(user) => Ok(VerifiedUser { user: user.clone(), token }),
            Caller::Anonymous | Caller::Service { .. } => {
                Err(Error::new(Reason::Unauthenticated, "the token is not a user's"))
            }
        }
    }

    /// Who has the session that begins.
    pub(crate) fn identity(&self, hello: &Hello) -> Identity {
        Identity {
            session_id: random_id(self.entropy.as_ref()).into(),
            device_id: hello.device_id.as_str().into(),
            client: hello.client.as_str().into(),
            connected_at: self.clock.now(),
        }
    }

    /// The answer to a hello.
    pub(crate) fn welcome(&self, id: u32, verified: &VerifiedUser, identity: &Identity) -> ServerFrame {
        let config = &self.config;
        let limits = Limits {
            text_bytes_max: TEXT_BYTES_MAX,
            frame_bytes_max: config.frame_bytes_max,
            page_items_max: PAGE_ITEMS_MAX,
            resume_part_cursors_max: u32::try_from(RESUME_PART_CURSORS_MAX).expect("a small constant"),
            resume_entries_max: config.resume_entries_max,
        };
        let welcome = Welcome {
            session_id: identity.session_id.to_string(),
            user_id: verified.user.as_str().to_owned(),
            server_time: Some(identity.connected_at.to_proto()),
            heartbeat_ms: config.heartbeat_ms,
            limits: Some(limits),
            features: Vec::new(),
            token_expire_time: Some(verified.token.expires_at.to_proto()),
        };
        frames::reply(id, Some(Answer::Welcome(welcome)))
    }

    /// A random part of the interval, so that sockets that came together do not beat together.
    pub(crate) fn first_heartbeat(&self) -> Duration {
        let mut random = [0; 4];
        self.entropy.fill(&mut random);
        Duration::from_millis(u64::from(u32::from_ne_bytes(random) % self.config.heartbeat_ms))
    }
}

/// 96 bits.
pub(crate) fn random_id(entropy: &dyn Entropy) -> String {
    let mut random = [0; 12];
    entropy.fill(&mut random);
    random.iter().fold(String::with_capacity(24), |mut text, byte| {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
        text
    })
}
