//! The public keys of a host application (JWK Set, RFC 7517) and how they are kept fresh.
//!
//! Map: `keys` reads a set and finds the key of a token; `source` says where sets come from, `fetch` gets one over HTTP;
//! `unknown` remembers the names of keys that were asked for and are not there; `metrics` counts.
//!
//! Invariants:
//! - One task reads the source, so there is at most one read at a time, and between the beginnings of two there is at
//!   least `refresh_min`, whoever asks for how many unknown keys.
//! - A source that fails leaves the last good set in place.
//! - Verification takes no lock, except for a token whose key is not known.

mod fetch;
mod keys;
mod metrics;
mod source;
mod unknown;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Reason, Result};
use crate::telemetry::Metrics;

use keys::{KeySet, Lookup};
use metrics::JwksMetrics;
use unknown::{Unknown, Verdict};

pub use keys::InvalidJwks;
pub(super) use keys::PublicKey;
pub use source::{InvalidJwksUrl, JWKS_BYTES_MAX, JwksError, JwksSource, JwksUrl};

/// After a failure the source is asked again this soon, or with `refresh` if that is sooner.
const RETRY: Duration = Duration::from_secs(30);
/// A file costs nothing to read: what is written there holds this soon.
const FILE_REFRESH_MAX: Duration = Duration::from_secs(10);

/// How often the source is read.
#[derive(Clone, Copy, Debug)]
pub struct JwksTiming {
    /// Without anybody asking.
    pub refresh: Duration,
    /// At most this often because of keys that are not known.
    pub refresh_min: Duration,
    /// How long one reading may take.
    pub timeout: Duration,
}

/// The keys of the host application. Shared by the verifier, which looks keys up, and [`Jwks::run`], which replaces them.
pub struct Jwks {
    source: JwksSource,
    timing: JwksTiming,
    /// Written by `refresh` only.
    keys: ArcSwap<KeySet>,
    /// What the present set was read from; compared, so that a log line means a change.
    document: Mutex<Bytes>,
    unknown: Mutex<Unknown>,
    /// Wakes `run` for a key that is not known.
    wanted: Notify,
    metrics: JwksMetrics,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks").field("source", &self.source).field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl Jwks {
    /// Without keys yet. A file is read every 10 s at least.
    pub fn new(source: JwksSource, mut timing: JwksTiming, metrics: &Metrics) -> Arc<Self> {
        if matches!(source, JwksSource::File(_)) {
            timing.refresh = timing.refresh.min(FILE_REFRESH_MAX);
        }
        Arc::new(Self {
            source,
            timing,
            keys: ArcSwap::default(),
            document: Mutex::default(),
            unknown: Mutex::default(),
            wanted: Notify::new(),
            metrics: JwksMetrics::new(metrics),
        })
    }

    /// Reads the source once; for the start, before [`Jwks::run`].
    ///
    /// # Errors
    /// [`JwksError`]. The keys stay as they were.
    pub async fn refresh(&self) -> std::result::Result<(), JwksError> {
        self.unknown.lock().begin();
        let read = match timeout(self.timing.timeout, self.source.read()).await {
            Ok(read) => read.and_then(|document| Ok((KeySet::parse(&document)?, document))),
            Err(_) => Err(JwksError::Timeout),
        };
        match read {
            Ok((set, document)) => {
                self.metrics.refreshed(set.len());
                self.replace(set, document);
                let keys = self.keys.load();
                self.unknown.lock().settle(Instant::now(), |kid| keys.has(kid));
                Ok(())
            }
            Err(error) => {
                self.unknown.lock().give_up();
                self.metrics.failed();
                Err(error)
            }
        }
    }

    fn replace(&self, set: KeySet, document: Bytes) {
        let mut present = self.document.lock();
        if *present != document {
            tracing::info!(source = %self.source, keys = set.len(), "the key set of the host application was read");
            self.keys.store(Arc::new(set));
            *present = document;
        }
    }

    /// Keeps the keys fresh until `end`.
    pub async fn run(self: Arc<Self>, end: CancellationToken) {
        end.run_until_cancelled(self.keep_fresh()).await;
    }

    async fn keep_fresh(&self) {
        let mut began = Instant::now();
        let mut wait = if self.keys.load().len() == 0 { self.after_failure() } else { self.timing.refresh };
        loop {
            // Cancel safe: a wish that was heard is served by the refresh below.
            tokio::select! {
                () = sleep_until(began + wait) => {}
                () = self.wanted.notified() => {}
            }
            sleep_until(began + self.timing.refresh_min).await;
            began = Instant::now();
            wait = match self.refresh().await {
                Ok(()) => self.timing.refresh,
                Err(error) => {
                    let keys = self.keys.load().len();
                    tracing::warn!(source = %self.source, %error, keys, "the key set cannot be read; the last good one stays");
                    self.after_failure()
                }
            };
        }
    }

    fn after_failure(&self) -> Duration {
        self.timing.refresh.min(RETRY)
    }

    /// Lends the key of a token to `verify`.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a key that is not there, or is for another algorithm; `STORE_UNAVAILABLE` while it is being
    /// looked for.
    pub(super) fn with_key<T>(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        verify: impl FnOnce(&PublicKey) -> Result<T>,
    ) -> Result<T> {
        let keys = self.keys.load();
        match keys.find(kid, algorithm) {
            Lookup::Found(key) => verify(key),
            Lookup::Unknown(kid) => Err(self.ask_for(kid)),
            Lookup::Refused => Err(not_known()),
        }
    }

    fn ask_for(&self, kid: &str) -> Error {
        let verdict = self.unknown.lock().ask(kid, Instant::now());
        if verdict == Verdict::Refused {
            return not_known();
        }
        if verdict == Verdict::Ask {
            // One permit is kept: a wish during a reading leads to the next one.
            self.wanted.notify_one();
        }
        Error::new(Reason::StoreUnavailable, "the key of the token is being looked for")
    }
}

fn not_known() -> Error {
    Error::new(Reason::Unauthenticated, "the token is not signed by a known key")
}

#[cfg(test)]
mod tests;
