//! The other instances of this service, by the bus between processes.
//!
//! Of a status it is said whose it is, and it is read in the store; of typing all there is, and nothing is done about what
//! is lost. Two topics: typing, which is the more by far, cannot push statuses out of a queue, nor is its loss a reason to
//! read rows.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use viberchat_kit::bus::{self, BusError, Heard, Listener, Publisher};
use viberchat_kit::id::{ConversationId, Entropy, UserId};
use viberchat_proto::presence::v1::{StatusHint, TypingHint};

use crate::app::App;

const STATUSES: &str = "presence";
const TYPING: &str = "typing";

/// Those who are told.
pub(crate) struct Others {
    bus: bus::Bus,
    statuses: Publisher,
    typing: Publisher,
}

impl Others {
    /// Speaks to them.
    pub(crate) fn new(bus: &bus::Bus, entropy: &dyn Entropy) -> Self {
        let publisher = |topic| bus.publisher(topic, entropy);
        Self { bus: bus.clone(), statuses: publisher(STATUSES), typing: publisher(TYPING) }
    }

    /// Whether the bus is there.
    pub(crate) fn are_heard(&self) -> bool {
        self.bus.is_connected()
    }

    /// The user has set a status, and the store has it or may have it.
    pub(crate) fn tell_status(&self, user: &UserId) {
        let hint = StatusHint { user_id: user.to_string() };
        self.statuses.publish(shard_of(user), &hint.encode_to_vec());
    }

    /// The user, who does not hide, types for so long from now on; zero: no more.
    pub(crate) fn tell_typing(&self, conversation: ConversationId, user: &UserId, lifetime: Duration) {
        let hint = TypingHint {
            conversation_id: conversation.to_string(),
            user_id: user.to_string(),
            lifetime_ms: u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX),
        };
        self.typing.publish(shard_of(user), &hint.encode_to_vec());
    }
}

fn shard_of(user: &UserId) -> u8 {
    bus::shard_of(user.as_str().as_bytes())
}

/// What the others say.
pub(crate) struct Listeners {
    statuses: Listener,
    typing: Listener,
}

impl Listeners {
    /// Hears them from now on.
    pub(crate) async fn open(bus: &bus::Bus) -> Result<Self, BusError> {
        Ok(Self { statuses: bus.listen(STATUSES).await?, typing: bus.listen(TYPING).await? })
    }

    /// Starts the tasks that listen, until the service ends.
    pub(crate) fn start(self, app: &Arc<App>) {
        app.lifecycle.spawn("presence.hear_statuses", hear_statuses(Arc::clone(app), self.statuses));
        app.lifecycle.spawn("presence.hear_typing", hear_typing(Arc::clone(app), self.typing));
    }
}

async fn hear_statuses(app: Arc<App>, mut statuses: Listener) {
    let soft = app.lifecycle.soft();
    // Cancel safe: what is not heard any more is a hint.
    while let Some(heard) = soft.run_until_cancelled(statuses.next()).await {
        match heard {
            Heard::Hint(bytes) => {
                let user = StatusHint::decode(bytes).ok().and_then(|hint| UserId::parse(&hint.user_id).ok());
                // Of others nothing is known that could be wrong.
                if let Some(user) = user.filter(|user| app.presences.keeps(user) || app.typings.types(user)) {
                    app.rereads.mark(user);
                }
            }
            Heard::Missed(shards) => {
                app.rereads.mark_missed(app.presences.kept(|user| shards.contains(shard_of(user))));
            }
        }
    }
}

async fn hear_typing(app: Arc<App>, mut typing: Listener) {
    let soft = app.lifecycle.soft();
    // Cancel safe: what is not heard or shown any more ends by itself.
    while let Some(heard) = soft.run_until_cancelled(typing.next()).await {
        // What was missed ends by itself.
        let Heard::Hint(bytes) = heard else { continue };
        let Ok(hint) = TypingHint::decode(bytes) else { continue };
        if soft.run_until_cancelled(take_typing(&app, &hint)).await.is_none() {
            return;
        }
    }
}

async fn take_typing(app: &Arc<App>, hint: &TypingHint) {
    let Ok(conversation) = ConversationId::parse(&hint.conversation_id) else { return };
    let Ok(user) = UserId::parse(&hint.user_id) else { return };
    if hint.lifetime_ms == 0 {
        return app.typings.stop_elsewhere(conversation, &user);
    }
    // Of those with a session the row is known; of who has none it is read.
    let Ok(_admitted) = app.presences.admit(vec![user.clone()]).await else { return };
    let lifetime = Duration::from_millis(hint.lifetime_ms.into());
    app.typings.start_elsewhere(conversation, &user, lifetime, || app.presences.is_invisible(&user));
}
