//! What is around a process, as tests bend it: its clock, its bus, and how small the partitions of its log are.

#[cfg(feature = "testing")]
use std::sync::LazyLock;
use std::time::Duration;

/// By how many seconds the clock of the process is ahead.
pub const CLOCK_AHEAD_VARIABLE: &str = "VIBERCHAT_TEST_CLOCK_AHEAD_S";
/// `on`: of what a listener of the bus hears, some is lost, some comes twice, and some comes late.
pub const BAD_BUS_VARIABLE: &str = "VIBERCHAT_TEST_BAD_BUS";
/// How many entries a bucket of a log on Cassandra holds, as a power of two. The same for all processes on one keyspace.
pub const BUCKET_SHIFT_VARIABLE: &str = "VIBERCHAT_TEST_BUCKET_SHIFT";

/// By how much the clock of the process is ahead.
///
/// # Panics
/// When the variable is no number.
#[cfg(feature = "testing")]
pub fn clock_ahead() -> Duration {
    static AHEAD: LazyLock<Option<u64>> = LazyLock::new(|| number(CLOCK_AHEAD_VARIABLE));
    Duration::from_secs(AHEAD.unwrap_or(0))
}

/// By how much the clock of the process is ahead: not at all in a build without the feature `testing`.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn clock_ahead() -> Duration {
    Duration::ZERO
}

/// Whether the bus is bad.
///
/// # Panics
/// When the variable says anything but `on`.
#[cfg(feature = "testing")]
pub fn bad_bus() -> bool {
    static BAD: LazyLock<bool> = LazyLock::new(|| match std::env::var(BAD_BUS_VARIABLE).as_deref() {
        Err(_) | Ok("") => false,
        Ok("on") => true,
        Ok(other) => panic!("{BAD_BUS_VARIABLE} knows only `on`: {other}"),
    });
    *BAD
}

/// How many entries a bucket holds, as a power of two; `None`: as many as ever.
///
/// # Panics
/// When the variable is no number.
#[cfg(feature = "testing")]
pub fn bucket_shift() -> Option<u32> {
    static SHIFT: LazyLock<Option<u32>> = LazyLock::new(|| number(BUCKET_SHIFT_VARIABLE));
    *SHIFT
}

/// How many entries a bucket holds: as many as ever in a build without the feature `testing`.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn bucket_shift() -> Option<u32> {
    None
}

#[cfg(feature = "testing")]
fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
