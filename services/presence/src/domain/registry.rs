//! Gateways, their sessions, and the users of these: who is there. Pure: time comes as a parameter.
//!
//! Invariants
//! - A session belongs to the latest attachment of its gateway that listed it. Reports of earlier attachments change nothing.
//! - The counts of a user are the sessions of all gateways, exactly.
//! - A user is kept while there is a reason: a session, a pin, or a last-seen time that the store does not have.
//! - What the store knows of a user is learned while the user is pinned, and again when another instance says so; of two
//!   readings the one that began later wins, and a status that was set here in between.
//! - A last-seen time never goes back.
//! - The last-seen time of an invisible user stands still.

mod gateway;
mod user;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::UserId;

use self::gateway::Gateway;
pub(crate) use self::gateway::Report;
pub(crate) use self::user::Row;
use self::user::User;
use super::name::IncarnationId;
use super::status::{Minute, Setting, Views};

/// What may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) gateways_max: usize,
    pub(crate) sessions_max: usize,
    /// Last-seen times that the store does not have yet; more are lost.
    pub(crate) unsaved_max: usize,
    /// How long the sessions of a gateway count that is not heard of any more.
    pub(crate) grace: Duration,
}

/// One stream of a gateway. The latest one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attachment(u64);

/// Too many gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyGateways;

/// Users of whom others may now see something else. May name a user twice, or one of whom nothing has changed.
pub(crate) type Touched = Vec<UserId>;

/// When a reading of the store began, among all that changed rows here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reading(u64);

/// What a reading of the store has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reloaded {
    /// Others may now see something else.
    Changed,
    Same,
    /// Nobody asks for the user.
    NotKept,
}

/// Who is there.
#[derive(Debug)]
pub(crate) struct Registry {
    limits: Limits,
    gateways: HashMap<IncarnationId, Gateway>,
    users: HashMap<UserId, User>,
    /// Those with a last-seen time that the store does not have.
    unsaved: HashSet<UserId>,
    sessions: usize,
    attachments: u64,
    /// Counts readings and statuses that were set here, so that it can be said which came first.
    readings: u64,
    settled: bool,
}

impl Registry {
    /// Knows nobody.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            gateways: HashMap::new(),
            users: HashMap::new(),
            unsaved: HashSet::new(),
            sessions: 0,
            attachments: 0,
            readings: 0,
            settled: false,
        }
    }

    /// A gateway comes, for the first time or again: then its sessions count on until it has listed them or the grace
    /// is over.
    pub(crate) fn attach(&mut self, incarnation: &IncarnationId, now: Instant) -> Result<Attachment, TooManyGateways> {
        if !self.gateways.contains_key(incarnation) && self.gateways.len() >= self.limits.gateways_max {
            return Err(TooManyGateways);
        }
        self.attachments += 1;
        let attachment = Attachment(self.attachments);
        let grace = self.limits.grace;
        match self.gateways.get_mut(incarnation) {
            Some(gateway) => gateway.attach_again(attachment, now, grace),
            None => drop(self.gateways.insert(incarnation.clone(), Gateway::new(attachment, now))),
        }
        Ok(attachment)
    }

    fn current(&mut self, incarnation: &IncarnationId, attachment: Attachment) -> Option<&mut Gateway> {
        self.gateways.get_mut(incarnation).filter(|gateway| gateway.attachment == attachment)
    }

    /// The gateway lives.
    pub(crate) fn hear(&mut self, incarnation: &IncarnationId, attachment: Attachment, now: Instant) {
        if let Some(gateway) = self.current(incarnation, attachment) {
            gateway.heard_at = now;
        }
    }

    /// Sessions came, went or changed; `complete` ends the list after an attach. The users are pinned and loaded. Returns
    /// how many sessions were too many.
    pub(crate) fn report(
        &mut self,
        incarnation: &IncarnationId,
        attachment: Attachment,
        reports: Vec<Report>,
        complete: bool,
        at: Timestamp,
    ) -> (Touched, usize) {
        let (mut touched, mut too_many) = (Touched::new(), 0);
        let room = self.limits.sessions_max;
        let Some(gateway) = self.gateways.get_mut(incarnation).filter(|gateway| gateway.attachment == attachment)
        else {
            return (touched, too_many);
        };
        let mut changes = Vec::with_capacity(reports.len());
        for report in reports {
            match gateway.report(report, self.sessions < room) {
                None => too_many += 1,
                Some(change) => {
                    self.sessions = self.sessions + usize::from(change.after.is_some()) - change.before.iter().count();
                    changes.push(change);
                }
            }
        }
        if complete {
            changes.extend(gateway.complete());
        }
        for change in changes {
            self.sessions -= usize::from(change.stale);
            self.apply(change, at, &mut touched);
        }
        (touched, too_many)
    }

    fn apply(&mut self, change: gateway::Change, at: Timestamp, touched: &mut Touched) {
        let gateway::Change { before, after, .. } = change;
        if let Some((user, activity)) = &after {
            self.users.entry(user.clone()).or_default().count(*activity, 1);
            touched.push(user.clone());
        }
        if let Some((user, activity)) = before {
            if let Some(known) = self.users.get_mut(&user) {
                known.count(activity, -1);
                if after.as_ref().is_none_or(|(now, _)| *now != user) && known.has_just_gone() {
                    self.see(&user, at);
                }
            }
            self.forget(&user);
            touched.push(user);
        }
    }

    /// The gateway ends, and its sessions with it.
    pub(crate) fn detach(&mut self, incarnation: &IncarnationId, attachment: Attachment, at: Timestamp) -> Touched {
        match self.current(incarnation, attachment) {
            Some(_) => self.drop_gateway(incarnation, at),
            None => Touched::new(),
        }
    }

    fn drop_gateway(&mut self, incarnation: &IncarnationId, at: Timestamp) -> Touched {
        let Some(mut gateway) = self.gateways.remove(incarnation) else { return Touched::new() };
        let gone = gateway.take_all();
        self.end_sessions(gone, at)
    }

    fn end_sessions(&mut self, gone: Vec<gateway::Change>, at: Timestamp) -> Touched {
        let mut touched = Touched::new();
        for change in gone {
            self.sessions -= 1;
            self.apply(change, at, &mut touched);
        }
        touched
    }

    /// The stream of a gateway ended without a word: its sessions count until the grace is over. Whether it was the latest
    /// stream of a gateway that is there.
    pub(crate) fn lose(&mut self, incarnation: &IncarnationId, attachment: Attachment) -> bool {
        let grace = self.limits.grace;
        let Some(gateway) = self.current(incarnation, attachment) else { return false };
        gateway.lost_until = Some(gateway.heard_at + grace);
        true
    }

    /// Ends the sessions whose grace is over.
    pub(crate) fn expire(&mut self, now: Instant, at: Timestamp) -> Touched {
        let mut touched = Touched::new();
        let lost = |gateway: &Gateway| gateway.lost_until.is_some_and(|until| until <= now);
        let gone: Vec<_> =
            self.gateways.iter().filter(|(_, gateway)| lost(gateway)).map(|(id, _)| id.clone()).collect();
        for incarnation in gone {
            touched.extend(self.drop_gateway(&incarnation, at));
        }
        let mut stale = Vec::new();
        for gateway in self.gateways.values_mut() {
            if gateway.stale_until.is_some_and(|until| until <= now) {
                stale.extend(gateway.complete());
            }
        }
        touched.extend(self.end_sessions(stale, at));
        touched
    }

    /// From now on those who are not known are offline.
    pub(crate) fn settle(&mut self) -> Touched {
        if std::mem::replace(&mut self.settled, true) { Touched::new() } else { self.users.keys().cloned().collect() }
    }

    /// Keeps the user until [`Registry::unpin`].
    pub(crate) fn pin(&mut self, user: &UserId) {
        // A reading that began before the user came may be older than what is about to be read.
        let as_of = self.readings;
        self.users.entry(user.clone()).or_insert_with(|| User::new(as_of)).pins += 1;
    }

    /// Undoes one [`Registry::pin`].
    pub(crate) fn unpin(&mut self, user: &UserId) {
        if let Some(known) = self.users.get_mut(user) {
            known.pins = known.pins.saturating_sub(1);
            self.forget(user);
        }
    }

    /// Those of them whose row has not been read from the store.
    pub(crate) fn unloaded(&self, users: &[UserId]) -> Vec<UserId> {
        let unloaded = |user: &&UserId| self.users.get(*user).is_none_or(|known| known.row.is_none());
        users.iter().filter(unloaded).cloned().collect()
    }

    /// Learns what the store knows of a user who is pinned.
    pub(crate) fn load(&mut self, user: &UserId, row: Row) {
        if let Some(known) = self.users.get_mut(user) {
            known.row.get_or_insert(row);
        }
    }

    /// The store is about to be read again.
    pub(crate) fn begin_reading(&mut self) -> Reading {
        self.readings += 1;
        Reading(self.readings)
    }

    /// What the store knows of a user, read again because another instance may have written it. A status that was set here,
    /// and what was read, since the reading began is newer.
    pub(crate) fn reload(&mut self, user: &UserId, row: Row, reading: Reading, at: Timestamp) -> Reloaded {
        let Some(known) = self.users.get_mut(user) else { return Reloaded::NotKept };
        if reading.0 <= known.as_of {
            return Reloaded::Same;
        }
        known.as_of = reading.0;
        let before = known.row;
        let leaves = known.leaves_by(row.setting);
        let last_seen = row.last_seen.max(before.and_then(|before| before.last_seen));
        let after = Row { last_seen, ..row };
        known.row = Some(after);
        if leaves {
            self.see(user, at);
        }
        if before == Some(after) { Reloaded::Same } else { Reloaded::Changed }
    }

    /// Whether the user is kept.
    pub(crate) fn keeps(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// All users who are kept and of whom `is_wanted` says so.
    pub(crate) fn kept(&self, is_wanted: impl Fn(&UserId) -> bool) -> Vec<UserId> {
        self.users.keys().filter(|user| is_wanted(user)).cloned().collect()
    }

    /// The user has set a status, and the store has it. The user is pinned and loaded.
    pub(crate) fn set(&mut self, user: &UserId, setting: Setting, at: Timestamp) -> Touched {
        let Some(known) = self.users.get_mut(user) else { return Touched::new() };
        let leaves = known.leaves_by(setting);
        self.readings += 1;
        known.as_of = self.readings;
        known.row.get_or_insert_default().setting = setting;
        if leaves {
            self.see(user, at);
        }
        vec![user.clone()]
    }

    /// Whether others take the user for absent whatever they do.
    pub(crate) fn is_invisible(&self, user: &UserId) -> bool {
        self.users.get(user).is_none_or(|known| !known.is_visible())
    }

    /// What is shown of a user.
    pub(crate) fn views(&self, user: &UserId) -> Views {
        self.users.get(user).map_or_else(Views::default, |known| known.views(self.settled))
    }

    /// Others saw the user until now.
    fn see(&mut self, user: &UserId, at: Timestamp) {
        let Some(known) = self.users.get_mut(user) else { return };
        let row = known.row.get_or_insert_default();
        // Another instance may have seen the user later.
        row.last_seen = row.last_seen.max(Some(Minute::of(at)));
        if self.unsaved.len() < self.limits.unsaved_max {
            self.unsaved.insert(user.clone());
        }
    }

    /// At the end of the service: until now others saw all who are there.
    pub(crate) fn see_all(&mut self, at: Timestamp) {
        let there = |known: &User| known.is_visible() && known.sessions() > 0;
        let users: Vec<_> = self.users.iter().filter(|(_, known)| there(known)).map(|(user, _)| user.clone()).collect();
        for user in users {
            self.see(&user, at);
        }
    }

    /// Last-seen times that the store does not have.
    pub(crate) fn unsaved(&self) -> Vec<(UserId, Minute)> {
        let last_seen = |user: &UserId| self.users.get(user)?.row?.last_seen;
        self.unsaved.iter().filter_map(|user| Some((user.clone(), last_seen(user)?))).collect()
    }

    /// The store has it.
    pub(crate) fn saved(&mut self, user: &UserId, minute: Minute) {
        if self.users.get(user).is_none_or(|known| known.row.is_none_or(|row| row.last_seen == Some(minute))) {
            self.unsaved.remove(user);
            self.forget(user);
        }
    }

    fn forget(&mut self, user: &UserId) {
        let idle = |known: &User| known.pins == 0 && known.sessions() == 0;
        if !self.unsaved.contains(user) && self.users.get(user).is_some_and(idle) {
            self.users.remove(user);
        }
    }

    /// How many sessions, gateways and users are known.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.sessions, self.gateways.len(), self.users.len())
    }
}

#[cfg(test)]
mod tests;
