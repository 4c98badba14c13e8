//! Faults that tests ask for, compiled in only with the feature `testing`.
//!
//! A mutant is a defect that is really in the code and asleep; the history checker has to notice each of them. A kill
//! point is a place where the process may end at once, as by `kill -9`. Without the feature both are constants that the
//! compiler removes. `surroundings` has what is wrong around a process; `vfs` the file layer of SQLite.

mod surroundings;
#[cfg(feature = "testing")]
#[expect(unsafe_code, reason = "SQLite's file layer is a table of C functions")]
mod vfs;

#[cfg(feature = "testing")]
use std::sync::LazyLock;

#[cfg(feature = "testing")]
pub use self::surroundings::bad_bus;
pub use self::surroundings::{
    BAD_BUS_VARIABLE, BUCKET_SHIFT_VARIABLE, CLOCK_AHEAD_VARIABLE, bucket_shift, clock_ahead,
};

/// Every mutant, and what is broken when it is awake.
pub const MUTANTS: &[(&str, &str)] = &[
    ("ack_before_write", "A send is acknowledged before the store has it."),
    ("dedup_off", "A repeated request id is not looked up and stored once more."),
    ("condition_ignored", "An append does not check that the head is the one it was decided on."),
    ("rules_not_redecided", "After a lost condition the rules of an entry are not decided again."),
    ("stream_gap_unnoticed", "A live stream pushes on after a missing seq."),
    ("fanout_order_swapped", "Two neighbouring entries change places on the way to a subscriber."),
    ("resume_off_by_one", "A resume begins one entry too late."),
    ("position_backwards", "A read position takes every value, lower ones too."),
    ("removed_member_served", "A removed member is still answered."),
    ("deletion_leaves_text", "A deletion leaves the text of the message where it is."),
    ("conflict_ids_not_redecided", "After a lost condition the request ids are not looked up again."),
    (
        "hidden_history_served",
        "Members see the whole log, also what was before they joined and what they have cleared.",
    ),
    ("block_ignored", "A block between the two users of a direct stops nothing."),
    ("delivered_backwards", "A delivered position takes every value, lower ones too."),
    ("typing_leaks", "Typing is pushed to every session of a gateway."),
    ("position_pushed_backwards", "After a position a lower one of the same user is pushed."),
    ("hidden_target_pushed", "What touches a message that a user may not see is pushed to them as it is."),
    ("direct_pair_not_unique", "Two first contacts at once make two direct conversations of one pair."),
    ("presence_shown_to_strangers", "Who shares no conversation with a user sees their presence."),
    ("invisible_shown", "An invisible user is shown to others as they are."),
];

/// Every kill point, and where it lies.
pub const KILL_POINTS: &[(&str, &str)] = &[
    ("message.log_committed", "After the commit of log entries, before the ack."),
    ("message.log_unprojected", "After an append to Cassandra, before what it does to messages is written."),
    ("conversation.change_committed", "After the commit of a membership change, before it is relayed to the log."),
];

/// Names the mutant that is awake.
pub const MUTANT_VARIABLE: &str = "VIBERCHAT_TEST_MUTANT";
/// Names the kill point and the pass at which the process ends, as `name:3`; `name` alone is the first.
pub const KILL_POINT_VARIABLE: &str = "VIBERCHAT_TEST_KILL_POINT";
/// `unsynced`: SQLite writes reach the file system only when they are synced.
pub const SQLITE_VFS_VARIABLE: &str = "VIBERCHAT_TEST_SQLITE_VFS";
/// `OFF`: stores do not sync what they commit.
pub const SQLITE_SYNCHRONOUS_VARIABLE: &str = "VIBERCHAT_TEST_SQLITE_SYNCHRONOUS";

/// Whether this mutant is awake.
///
/// # Panics
/// With the feature `testing`, for a name that is not in [`MUTANTS`].
#[cfg(feature = "testing")]
pub fn mutant(name: &str) -> bool {
    static AWAKE: LazyLock<Option<String>> = LazyLock::new(|| {
        let awake = std::env::var(MUTANT_VARIABLE).ok().filter(|name| !name.is_empty())?;
        assert!(is_listed(MUTANTS, &awake), "{MUTANT_VARIABLE} names no mutant: {awake}");
        Some(awake)
    });
    assert!(is_listed(MUTANTS, name), "not in the list of mutants: {name}");
    AWAKE.as_deref() == Some(name)
}

/// Whether this mutant is awake: never in a build without the feature `testing`.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn mutant(_name: &str) -> bool {
    false
}

/// Ends the process here, if the test asked for it.
///
/// # Panics
/// With the feature `testing`, for a name that is not in [`KILL_POINTS`].
#[cfg(feature = "testing")]
pub fn kill_point(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: LazyLock<Option<(String, u64)>> =
        LazyLock::new(|| parse_kill_point(&std::env::var(KILL_POINT_VARIABLE).ok()?));
    static PASSES: AtomicU64 = AtomicU64::new(0);
    assert!(is_listed(KILL_POINTS, name), "not in the list of kill points: {name}");
    if let Some((armed, pass)) = ARMED.as_ref()
        && armed == name
        && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *pass
    {
        // No destructor runs and no buffer is flushed, as after SIGKILL.
        std::process::abort();
    }
}

/// Ends the process here, if the test asked for it: never in a build without the feature `testing`.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn kill_point(_name: &str) {}

/// The SQLite file layer to open databases with; `None`: SQLite's own.
///
/// # Panics
/// When the variable asks for a layer that is not there.
#[cfg(feature = "testing")]
pub fn sqlite_vfs() -> Option<&'static str> {
    static ASKED: LazyLock<bool> = LazyLock::new(|| match std::env::var(SQLITE_VFS_VARIABLE).as_deref() {
        Err(_) | Ok("") => false,
        Ok("unsynced") => true,
        Ok(other) => panic!("{SQLITE_VFS_VARIABLE} knows only `unsynced`: {other}"),
    });
    ASKED.then(vfs::register)
}

/// The SQLite file layer to open databases with: SQLite's own in a build without the feature `testing`.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn sqlite_vfs() -> Option<&'static str> {
    None
}

/// What stores set `synchronous` to: `FULL`, unless a test says `OFF`.
///
/// # Panics
/// When the variable asks for anything else.
#[cfg(feature = "testing")]
pub fn sqlite_synchronous() -> &'static str {
    static ASKED: LazyLock<&str> = LazyLock::new(|| match std::env::var(SQLITE_SYNCHRONOUS_VARIABLE).as_deref() {
        Err(_) | Ok("" | "FULL") => "FULL",
        Ok("OFF") => "OFF",
        Ok(other) => panic!("{SQLITE_SYNCHRONOUS_VARIABLE} knows only `FULL` and `OFF`: {other}"),
    });
    &ASKED
}

/// What stores set `synchronous` to: an ack means stored, so `FULL`.
#[cfg(not(feature = "testing"))]
#[inline(always)]
pub const fn sqlite_synchronous() -> &'static str {
    "FULL"
}

#[cfg(feature = "testing")]
fn is_listed(list: &[(&str, &str)], name: &str) -> bool {
    list.iter().any(|(listed, _)| *listed == name)
}

#[cfg(feature = "testing")]
fn parse_kill_point(text: &str) -> Option<(String, u64)> {
    let (name, pass) = match text.split_once(':') {
        Some((name, pass)) => (name, pass.parse().ok().filter(|pass| *pass > 0)),
        None => (text, Some(1)),
    };
    if name.is_empty() {
        return None;
    }
    assert!(is_listed(KILL_POINTS, name), "{KILL_POINT_VARIABLE} names no kill point: {name}");
    Some((name.to_owned(), pass.unwrap_or_else(|| panic!("{KILL_POINT_VARIABLE} counts passes from 1: {text}"))))
}

#[cfg(feature = "testing")]
#[cfg(test)]
mod tests;
