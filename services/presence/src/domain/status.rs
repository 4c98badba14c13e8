//! What is shown of a user: to others, and to themselves.

use viberchat_kit::clock::Timestamp;

const MILLIS_PER_MINUTE: i64 = 60_000;

/// What a user has set for themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Setting {
    #[default]
    Online,
    Away,
    Busy,
    /// Offline to all others.
    Invisible,
}

/// Whether somebody uses a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Activity {
    Active,
    Idle,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    /// Not known, or not for the one who looks.
    #[default]
    Unknown,
    Offline,
    Online,
    Away,
    Busy,
    /// To oneself only.
    Invisible,
}

/// A moment to the minute: minutes since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Minute(pub(crate) i64);

impl Minute {
    /// The minute that this moment lies in.
    pub(crate) fn of(at: Timestamp) -> Self {
        Self(at.millis().div_euclid(MILLIS_PER_MINUTE))
    }

    /// Its begin.
    pub(crate) fn begin(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(MILLIS_PER_MINUTE))
    }
}

/// What is shown of one user to one kind of viewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) status: Status,
    /// With `Offline` only.
    pub(crate) last_seen: Option<Minute>,
}

impl Presence {
    /// For those who may not know, and for what nobody knows.
    pub(crate) const UNKNOWN: Self = Self { status: Status::Unknown, last_seen: None };

    fn of(status: Status) -> Self {
        Self { status, last_seen: None }
    }
}

/// What is shown of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Views {
    pub(crate) to_oneself: Presence,
    pub(crate) to_others: Presence,
}

/// What is known of one user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) setting: Setting,
    /// Sessions that are used, and that are not.
    pub(crate) active: u32,
    pub(crate) idle: u32,
    /// When others last saw the user.
    pub(crate) last_seen: Option<Minute>,
    /// Whether all gateways had the time to report: before that nobody is offline.
    pub(crate) settled: bool,
}

impl Known {
    /// What follows from it. An invisible user looks to others exactly as one without a session.
    pub(crate) fn views(&self) -> Views {
        let absent = match self.settled {
            true => Presence { status: Status::Offline, last_seen: self.last_seen },
            false => Presence::UNKNOWN,
        };
        let shown = match (self.setting, self.active, self.idle) {
            (Setting::Invisible, _, _) => {
                return Views { to_oneself: Presence::of(Status::Invisible), to_others: absent };
            }
            (_, 0, 0) => absent,
            (Setting::Away, _, _) => Presence::of(Status::Away),
            (Setting::Busy, _, _) => Presence::of(Status::Busy),
            (Setting::Online, 0, _) => Presence::of(Status::Away),
            (Setting::Online, _, _) => Presence::of(Status::Online),
        };
        Views { to_oneself: shown, to_others: shown }
    }
}

#[cfg(test)]
mod tests;
