//! All sessions of the gateway: for operators, and for the presence service.

use std::sync::Arc;

use viberchat_kit::id::UserId;
use viberchat_proto::gateway::v1 as proto;
use viberchat_proto::presence::v1::SessionReport;

use super::{Registry, User};
use crate::close::Close;

impl Registry {
    pub(super) fn all_users(&self) -> Vec<Arc<User>> {
        self.users.lock().values().cloned().collect()
    }

    /// The sessions of a user, or of all, in no particular order.
    pub(crate) fn sessions(&self, user_id: Option<&UserId>) -> Vec<proto::Session> {
        let users = match user_id {
            Some(id) => self.user(id.as_str()).into_iter().collect(),
            None => self.all_users(),
        };
        let of_user = |user: Arc<User>| {
            let state = user.state();
            let described = |member: &Arc<super::Member>| member.session().describe(user.id());
            state.sessions.iter().filter_map(described).collect::<Vec<_>>()
        };
        users.into_iter().flat_map(of_user).collect()
    }

    /// Closes the sessions of a user, and says how many there were.
    pub(crate) fn close_user(&self, user_id: &UserId, close: Close) -> usize {
        let Some(user) = self.user(user_id.as_str()) else { return 0 };
        let state = user.state();
        for member in &state.sessions {
            let mut session = member.session();
            session.close(close);
            member.wake(&mut session);
        }
        state.sessions.len()
    }

    /// All sessions as the presence service is told of them.
    pub(crate) fn session_reports(&self) -> Vec<SessionReport> {
        let of_user = |user: Arc<User>| {
            let state = user.state();
            let reports = state.sessions.iter().filter_map(|member| member.session().report(user.id()));
            reports.collect::<Vec<_>>()
        };
        self.all_users().into_iter().flat_map(of_user).collect()
    }
}
