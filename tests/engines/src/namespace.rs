use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A name that no test has used in a server that is shared: of small letters, digits and `_`, with this beginning.
#[must_use]
pub fn namespace(begin: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "a name that no earlier run has used")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    format!("{begin}_{now:x}_{:x}_{:x}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
