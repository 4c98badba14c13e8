//! Whether the users of a stream are still members.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use viberchat_kit::error::Result;
use viberchat_kit::id::ConversationId;

use super::{Subscription, start};
use crate::authorize::{FRESH, Key, Need};
use crate::convert::Viewer;
use crate::domain::membership::Standing;

/// How often users of a stream are asked about again. With the age that an answer may have this stays below a second.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(400);
const CHECK_AGE_MAX: Duration = Duration::from_millis(400);
const _: () = assert!(
    CHECK_INTERVAL.as_millis() + CHECK_AGE_MAX.as_millis() < FRESH.as_millis(),
    "a removal ends a stream within a second"
);

/// What each user is, or why they are no member.
pub(super) type Checked = Vec<(ConversationId, u64, Result<Arc<Standing>>)>;

impl Subscription {
    /// Asks again whether the users of this stream are members. Their entries come by the bus, which knows of a removal
    /// only when the log has it.
    pub(super) fn begin_check(&mut self) {
        if self.checking.is_some() {
            return;
        }
        let (mut keys, mut generations): (Vec<Key>, Vec<u64>) = (Vec::new(), Vec::new());
        for (conversation_id, follow) in self.follows.iter().filter(|(_, follow)| follow.is_started()) {
            if let Viewer::User(user) = &follow.viewer {
                keys.push((*conversation_id, user.clone()));
                generations.push(follow.generation);
            }
        }
        let app = self.app.clone();
        let checking = async move {
            let standings = start::admit_users(&app, &keys, Need::younger_than(CHECK_AGE_MAX), None).await;
            let users = keys.into_iter().zip(generations).zip(standings);
            users
                .map(|(((conversation_id, _), generation), standing)| (conversation_id, generation, standing))
                .collect()
        };
        self.checking = Some(checking.boxed());
    }

    pub(super) fn checked(&mut self, checked: Checked) {
        for (conversation_id, generation, standing) in checked {
            let Some(follow) = self.follows.get_mut(&conversation_id).filter(|f| f.generation == generation) else {
                continue;
            };
            match standing {
                Ok(standing) => follow.standing = Some(standing),
                Err(error) => {
                    let push = self.end(conversation_id, &error);
                    self.out.push_back(push);
                }
            }
        }
    }
}
