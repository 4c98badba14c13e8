//! Whether the users of a stream are still members.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use viberchat_kit::error::Result;
use viberchat_kit::id::{ConversationId, UserId};

use super::{Subscription, start};
use crate::authorize::{FRESH, Need};
use crate::convert::Viewer;

/// How often users of a stream are asked about again. With the age that an answer may have this stays below a second.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(400);
const CHECK_AGE_MAX: Duration = Duration::from_millis(400);
const CHECKS_AT_ONCE: usize = 32;
const _: () = assert!(
    CHECK_INTERVAL.as_millis() + CHECK_AGE_MAX.as_millis() < FRESH.as_millis(),
    "a removal ends a stream within a second"
);

/// The version at which each user is a member, or why they are none.
pub(super) type Checked = Vec<(ConversationId, u64, Result<u64>)>;

impl Subscription {
    /// Asks again whether the users of this stream are members. Their entries come by the bus, which knows of a removal
    /// only when the log has it.
    pub(super) fn begin_check(&mut self) {
        if self.checking.is_some() {
            return;
        }
        let users: Vec<(ConversationId, u64, UserId)> = self
            .follows
            .iter()
            .filter(|(_, follow)| follow.is_started())
            .filter_map(|(conversation_id, follow)| match &follow.viewer {
                Viewer::User(user) => Some((*conversation_id, follow.generation, user.clone())),
                Viewer::Relay => None,
            })
            .collect();
        let app = self.app.clone();
        let questions = users.into_iter().map(move |(conversation_id, generation, user)| {
            let app = app.clone();
            async move {
                let need = Need::younger_than(CHECK_AGE_MAX);
                let version = start::admit_user(&app, conversation_id, &user, need, None).await;
                (conversation_id, generation, version)
            }
        });
        self.checking = Some(futures::stream::iter(questions).buffer_unordered(CHECKS_AT_ONCE).collect().boxed());
    }

    pub(super) fn checked(&mut self, checked: Checked) {
        for (conversation_id, generation, version) in checked {
            let Some(follow) = self.follows.get_mut(&conversation_id).filter(|f| f.generation == generation) else {
                continue;
            };
            match version {
                Ok(version) => follow.member_version = version,
                Err(error) => {
                    let push = self.end(conversation_id, &error);
                    self.out.push_back(push);
                }
            }
        }
    }
}
