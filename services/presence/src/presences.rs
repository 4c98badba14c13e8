//! The registry of who is there, with the store behind it and those who follow it in front.
//!
//! A user is admitted first: pinned, so that they are not forgotten in between, and their row read. What is done to a user
//! that was not admitted shows nothing of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use viberchat_kit::clock::{SharedClock, Timestamp};
use viberchat_kit::fault;
use viberchat_kit::id::UserId;

use crate::config::Config;
use crate::domain::name::IncarnationId;
use crate::domain::registry::{Attachment, Registry, Reloaded, Report, Row, TooManyGateways, Touched};
use crate::domain::status::{Minute, Presence, Setting, Status, Views};
use crate::hub::{Hub, Inbox};
use crate::metrics::ServiceMetrics;
use crate::store::{PresenceStore, StoreError};

/// Users read from the store at a time.
pub(crate) const LOAD_MAX: usize = 500;

/// Who is there.
pub(crate) struct Presences {
    /// Written by gateways' streams, the saver and the sweep; read by those who look. Never held across an await.
    state: Mutex<State>,
    store: Arc<dyn PresenceStore>,
    clock: SharedClock,
    load_timeout: Duration,
    metrics: ServiceMetrics,
}

struct State {
    registry: Registry,
    hub: Hub<UserId>,
}

impl State {
    fn publish(&self, touched: &Touched) {
        touched.iter().for_each(|user| self.hub.publish(user));
    }
}

/// Users who are kept in memory, and whose rows are known, until this is dropped.
pub(crate) struct Admitted {
    presences: Arc<Presences>,
    users: Vec<UserId>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.presences.state.lock();
        self.users.iter().for_each(|user| state.registry.unpin(user));
    }
}

impl Presences {
    /// Knows nobody yet.
    pub(crate) fn new(
        config: &Config,
        store: Arc<dyn PresenceStore>,
        clock: SharedClock,
        metrics: ServiceMetrics,
    ) -> Self {
        let state = State { registry: Registry::new(config.registry_limits()), hub: Hub::default() };
        Self { state: Mutex::new(state), store, clock, load_timeout: config.call_timeout(), metrics }
    }

    /// Pins users and reads the rows that are not known yet.
    ///
    /// # Errors
    /// When the store does not answer; then nobody is pinned.
    pub(crate) async fn admit(self: &Arc<Self>, users: Vec<UserId>) -> Result<Admitted, StoreError> {
        let mut unloaded = {
            let mut state = self.state.lock();
            users.iter().for_each(|user| state.registry.pin(user));
            state.registry.unloaded(&users)
        };
        let admitted = Admitted { presences: Arc::clone(self), users };
        unloaded.sort_unstable();
        unloaded.dedup();
        for chunk in unloaded.chunks(LOAD_MAX) {
            let mut rows = self.read(chunk).await?;
            let mut state = self.state.lock();
            for user in chunk {
                state.registry.load(user, rows.remove(user).unwrap_or_default());
            }
        }
        Ok(admitted)
    }

    async fn read(&self, users: &[UserId]) -> Result<HashMap<UserId, Row>, StoreError> {
        match timeout(self.load_timeout, self.store.load(users)).await {
            Ok(rows) => rows,
            Err(_) => Err(StoreError::Unavailable("the store took too long".into())),
        }
    }

    /// Reads the rows of at most [`LOAD_MAX`] users again, as far as these are kept. Returns those who hide since then, and
    /// those who are not kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn reread(&self, users: &[UserId]) -> Result<Vec<UserId>, StoreError> {
        let reading = self.state.lock().registry.begin_reading();
        let mut rows = self.read(users).await?;
        self.metrics.reread_rows.inc_by(users.len() as u64);
        let at = self.clock.now();
        let mut state = self.state.lock();
        let mut hidden = Vec::new();
        for user in users {
            let row = rows.remove(user).unwrap_or_default();
            let reloaded = state.registry.reload(user, row, reading, at);
            if reloaded == Reloaded::Changed {
                state.hub.publish(user);
            }
            if reloaded != Reloaded::Same && state.registry.is_invisible(user) {
                hidden.push(user.clone());
            }
        }
        Ok(hidden)
    }

    /// Whether anybody asks for the user.
    pub(crate) fn keeps(&self, user: &UserId) -> bool {
        self.state.lock().registry.keeps(user)
    }

    /// Users who are kept and of whom `is_wanted` says so.
    pub(crate) fn kept(&self, is_wanted: impl Fn(&UserId) -> bool) -> Vec<UserId> {
        self.state.lock().registry.kept(is_wanted)
    }

    /// What is shown of each of these users, who were admitted.
    pub(crate) fn views<'a>(&self, users: impl IntoIterator<Item = &'a UserId>) -> Vec<Views> {
        let state = self.state.lock();
        users.into_iter().map(|user| Self::view_of(&state, user)).collect()
    }

    fn view_of(state: &State, user: &UserId) -> Views {
        let mut views = state.registry.views(user);
        if fault::mutant("invisible_shown") && views.to_oneself.status == Status::Invisible {
            views.to_others = Presence { status: Status::Online, last_seen: None };
        }
        views
    }

    /// Whether others take the user, who was admitted, for absent whatever they do.
    pub(crate) fn is_invisible(&self, user: &UserId) -> bool {
        self.state.lock().registry.is_invisible(user) && !fault::mutant("invisible_shown")
    }

    /// From now on the stream hears of a user, who was admitted and is kept for it. Returns what is shown at this moment.
    pub(crate) fn follow(&self, user: &UserId, inbox: &Arc<Inbox<UserId>>) -> Views {
        let mut state = self.state.lock();
        state.registry.pin(user);
        state.hub.follow(user.clone(), inbox);
        Self::view_of(&state, user)
    }

    /// Undoes [`Presences::follow`].
    pub(crate) fn unfollow(&self, user: &UserId, inbox: &Arc<Inbox<UserId>>) {
        let mut state = self.state.lock();
        state.hub.unfollow(user, inbox);
        state.registry.unpin(user);
    }

    pub(crate) fn attach(&self, incarnation: &IncarnationId) -> Result<Attachment, TooManyGateways> {
        self.state.lock().registry.attach(incarnation, Instant::now().into_std())
    }

    /// The gateway lives.
    pub(crate) fn hear(&self, incarnation: &IncarnationId, attachment: Attachment) {
        self.state.lock().registry.hear(incarnation, attachment, Instant::now().into_std());
    }

    /// Sessions changed, of users who were admitted.
    pub(crate) fn report(
        &self,
        incarnation: &IncarnationId,
        attachment: Attachment,
        reports: Vec<Report>,
        complete: bool,
    ) {
        let at = self.clock.now();
        let mut state = self.state.lock();
        let (touched, too_many) = state.registry.report(incarnation, attachment, reports, complete, at);
        state.publish(&touched);
        self.metrics.shed_sessions.inc_by(too_many as u64);
    }

    /// The gateway ended, and said so.
    pub(crate) fn detach(&self, incarnation: &IncarnationId, attachment: Attachment) {
        let at = self.clock.now();
        let mut state = self.state.lock();
        let touched = state.registry.detach(incarnation, attachment, at);
        state.publish(&touched);
    }

    /// The stream of the gateway ended, and nobody knows why.
    pub(crate) fn lose(&self, incarnation: &IncarnationId, attachment: Attachment) {
        if self.state.lock().registry.lose(incarnation, attachment) {
            self.metrics.lost_gateways.inc();
        }
    }

    /// Ends what is over by time.
    pub(crate) fn expire(&self) {
        let at = self.clock.now();
        let mut state = self.state.lock();
        let touched = state.registry.expire(Instant::now().into_std(), at);
        state.publish(&touched);
        let (sessions, gateways, users) = state.registry.counts();
        self.metrics.sessions.set(sessions as i64);
        self.metrics.gateways.set(gateways as i64);
        self.metrics.users.set(users as i64);
    }

    /// All gateways had the time to report.
    pub(crate) fn settle(&self) {
        let mut state = self.state.lock();
        let touched = state.registry.settle();
        state.publish(&touched);
    }

    /// The store has the status of a user who was admitted. Returns what they see of themselves.
    pub(crate) fn set(&self, user: &UserId, setting: Setting) -> Presence {
        let at = self.clock.now();
        let mut state = self.state.lock();
        let touched = state.registry.set(user, setting, at);
        state.publish(&touched);
        state.registry.views(user).to_oneself
    }

    /// Last-seen times that the store does not have.
    pub(crate) fn unsaved(&self) -> Vec<(UserId, Minute)> {
        self.state.lock().registry.unsaved()
    }

    /// The store has them.
    pub(crate) fn saved(&self, rows: &[(UserId, Minute)]) {
        let mut state = self.state.lock();
        rows.iter().for_each(|(user, minute)| state.registry.saved(user, *minute));
    }

    /// At the end: others saw until now all who are there.
    pub(crate) fn see_all(&self) {
        let at: Timestamp = self.clock.now();
        self.state.lock().registry.see_all(at);
    }
}
