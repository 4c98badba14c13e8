use super::super::status::{Activity, Known, Minute, Setting, Views};

/// What the store knows of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) setting: Setting,
    pub(crate) last_seen: Option<Minute>,
}

/// What is known of a user.
#[derive(Debug, Default)]
pub(super) struct User {
    /// `None`: not read yet; nothing is shown of the user until it is.
    pub(super) row: Option<Row>,
    pub(super) pins: u32,
    /// Readings that began no later than this say nothing new.
    pub(super) as_of: u64,
    active: u32,
    idle: u32,
}

impl User {
    /// Nothing is known of the user, and no reading that has begun yet says anything new.
    pub(super) fn new(as_of: u64) -> Self {
        Self { as_of, ..Self::default() }
    }

    pub(super) fn count(&mut self, activity: Activity, by: i32) {
        let count = match activity {
            Activity::Active => &mut self.active,
            Activity::Idle => &mut self.idle,
        };
        *count = count.saturating_add_signed(by);
    }

    pub(super) fn sessions(&self) -> u32 {
        self.active.saturating_add(self.idle)
    }

    /// Whether others may see the sessions. Not before it is known that they may.
    pub(super) fn is_visible(&self) -> bool {
        self.row.is_some_and(|row| row.setting != Setting::Invisible)
    }

    /// Whether others lose sight of the user by this status.
    pub(super) fn leaves_by(&self, setting: Setting) -> bool {
        setting == Setting::Invisible && self.is_visible() && self.sessions() > 0
    }

    pub(super) fn has_just_gone(&self) -> bool {
        self.sessions() == 0 && self.is_visible()
    }

    pub(super) fn views(&self, settled: bool) -> Views {
        let Some(Row { setting, last_seen }) = self.row else { return Views::default() };
        Known { setting, active: self.active, idle: self.idle, last_seen, settled }.views()
    }
}
