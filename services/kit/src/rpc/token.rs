use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::auth::{Scope, TOKEN_BYTES_MAX, TokenSigner};
use crate::clock::{SharedClock, Timestamp};
use crate::error::Result;

/// Gives the token of the calling service, anew for each call.
pub type TokenSource = Arc<dyn Fn() -> Result<String> + Send + Sync>;

/// How often a file is looked at.
const FILE_INTERVAL: Duration = Duration::from_secs(10);

/// The token of a service, signed anew when half of its time is over.
pub struct ServiceToken {
    signer: TokenSigner,
    name: String,
    scopes: Vec<Scope>,
    ttl: Duration,
    clock: SharedClock,
    current: Mutex<Option<(String, Timestamp)>>,
}

impl ServiceToken {
    /// For the service `name`.
    pub fn new(signer: TokenSigner, name: &str, scopes: &[Scope], ttl: Duration, clock: SharedClock) -> Self {
        Self { signer, name: name.to_owned(), scopes: scopes.to_vec(), ttl, clock, current: Mutex::new(None) }
    }

    /// A token with at least half of its time left.
    ///
    /// # Errors
    /// As [`TokenSigner::sign_service`].
    pub fn get(&self) -> Result<String> {
        let now = self.clock.now();
        let mut current = self.current.lock();
        if let Some((token, renew_at)) = current.as_ref()
            && now < *renew_at
        {
            return Ok(token.clone());
        }
        let token = self.signer.sign_service(&self.name, &self.scopes, self.ttl)?;
        *current = Some((token.clone(), now.saturating_add(self.ttl / 2)));
        Ok(token)
    }

    /// For [`super::Channel::connect`].
    pub fn into_source(self) -> TokenSource {
        Arc::new(move || self.get())
    }
}

/// A token in a file that somebody else keeps fresh. Looked at every 10 s; while it cannot be read, the last one serves.
pub struct TokenFile {
    path: PathBuf,
    /// What was read, and when.
    current: Mutex<(String, Instant)>,
}

/// A file that holds no token.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTokenFile {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{} holds no token: one line of printable ASCII", path.display())]
    NoToken {
        /// As it was named.
        path: PathBuf,
    },
}

impl TokenFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// [`InvalidTokenFile`].
    pub fn open(path: &Path) -> std::result::Result<Self, InvalidTokenFile> {
        Ok(Self { path: path.to_owned(), current: Mutex::new((read(path)?, Instant::now())) })
    }

    fn get(&self, now: Instant) -> String {
        let mut current = self.current.lock();
        if now.saturating_duration_since(current.1) >= FILE_INTERVAL {
            current.1 = now;
            // A few hundred bytes of a local file: not worth a task.
            match read(&self.path) {
                Ok(token) => current.0 = token,
                Err(error) => tracing::warn!(%error, "the service token is not read anew"),
            }
        }
        current.0.clone()
    }

    /// For [`super::Channel::connect`].
    pub fn into_source(self) -> TokenSource {
        Arc::new(move || Ok(self.get(Instant::now())))
    }
}

fn read(path: &Path) -> std::result::Result<String, InvalidTokenFile> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| InvalidTokenFile::Unreadable { path: path.to_owned(), source })?;
    let token = text.trim();
    let is_token = (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(token.to_owned()) } else { Err(InvalidTokenFile::NoToken { path: path.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::id::SystemEntropy;
    use crate::keys::Secret;

    #[test]
    fn a_service_token_is_signed_anew_after_half_its_time() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let secret = Secret::generate(&SystemEntropy);
        let signer = TokenSigner::new(&secret, clock.clone());
        let token = ServiceToken::new(signer, "gateway", &[], Duration::from_secs(60), clock.clone());
        let first = token.get().unwrap();
        clock.advance(Duration::from_secs(29));
        assert_eq!(token.get().unwrap(), first);
        clock.advance(Duration::from_secs(1));
        assert_ne!(token.get().unwrap(), first);
    }

    #[test]
    fn a_token_file_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(TokenFile::open(&path), Err(InvalidTokenFile::Unreadable { .. })));
        for bad in ["", "two words", "ü"] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(TokenFile::open(&path), Err(InvalidTokenFile::NoToken { .. })), "{bad:?}");
        }
        std::fs::write(&path, "one\n").unwrap();
        let file = TokenFile::open(&path).unwrap();
        std::fs::write(&path, "two").unwrap();
        let opened = Instant::now();
        assert_eq!(file.get(opened), "one");
        assert_eq!(file.get(opened + FILE_INTERVAL), "two");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.get(opened + FILE_INTERVAL * 2), "two");
    }
}
