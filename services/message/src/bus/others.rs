//! The other instances of this service, by the bus between processes.

use std::sync::Arc;

use prost::Message as _;
use viberchat_kit::bus::{self, BusError, Heard, Listener, Publisher, ShardSet};
use viberchat_kit::id::{ConversationId, Entropy};
use viberchat_proto::message::v1::LogHint;

use crate::app::App;
use crate::audit;
use crate::convert::{position_from_proto, position_to_proto};
use crate::domain::position::Position;

const TOPIC: &str = "log";

/// Those who are told.
pub(crate) struct Others {
    bus: bus::Bus,
    publisher: Publisher,
}

impl Others {
    /// Speaks to them.
    pub(crate) fn new(bus: &bus::Bus, entropy: &dyn Entropy) -> Self {
        Self { bus: bus.clone(), publisher: bus.publisher(TOPIC, entropy) }
    }

    /// Whether the bus is there.
    pub(super) fn are_heard(&self) -> bool {
        self.bus.is_connected()
    }

    /// Hears them from now on.
    pub(crate) async fn listen(bus: &bus::Bus) -> Result<Listener, BusError> {
        bus.listen(TOPIC).await
    }

    /// The log goes up to `seq`, or 0, and these positions have moved.
    pub(super) fn tell(&self, conversation_id: ConversationId, seq: u64, positions: &[Position]) {
        let moved = positions.iter().map(|position| position_to_proto(conversation_id, position));
        let hint = LogHint { conversation_id: conversation_id.to_string(), seq, positions: moved.collect() };
        self.publisher.publish(bus::shard_of(conversation_id.as_bytes()), &hint.encode_to_vec());
    }
}

/// Passes on what the others say, until the process ends. Where something did not come, the store is asked.
pub(crate) async fn hear_others(app: Arc<App>, mut others: Listener) {
    let soft = app.lifecycle.soft();
    // Cancel safe: what is not passed on any more is a hint.
    while let Some(heard) = soft.run_until_cancelled(others.next()).await {
        match heard {
            Heard::Hint(bytes) => pass_on(&app, &bytes),
            Heard::Missed(shards) => {
                if let Some(Err(error)) = soft.run_until_cancelled(look_after(&app, shards)).await {
                    tracing::warn!(%error, "heads could not be audited");
                }
            }
        }
    }
}

fn pass_on(app: &App, bytes: &[u8]) {
    let Ok(hint) = LogHint::decode(bytes) else { return };
    let Ok(conversation_id) = ConversationId::parse(&hint.conversation_id) else { return };
    let positions: Vec<Position> = hint.positions.iter().filter_map(position_from_proto).collect();
    app.bus.publish_positions(conversation_id, &positions);
    if hint.seq > 0 {
        app.bus.publish_head(conversation_id, hint.seq);
    }
}

async fn look_after(app: &App, shards: ShardSet) -> crate::store::Result<()> {
    let mut followed = app.bus.followed();
    followed.retain(|conversation_id| shards.contains(bus::shard_of(conversation_id.as_bytes())));
    audit::read_heads(app, &followed).await
}
