//! Frames as JSON text, and pushes as the history knows them.

use tokio_websockets::Message;
use viberchat_proto::gateway::v1::{self as gateway, ClientFrame, client_frame, conversation_event, push, resumed};

use crate::history::{Push, Verdict, entry_of, position_of};

pub(super) fn encode(id: u32, request: client_frame::Request) -> Message {
    let frame = ClientFrame { id, request: Some(request) };
    Message::text(serde_json::to_string(&frame).expect("every frame has a JSON form"))
}

pub(super) fn push_of(push: gateway::Push) -> Push {
    match push.kind {
        Some(push::Kind::Entry(entry)) => Push::Entry(entry_of(&entry)),
        Some(push::Kind::Resumed(resumed)) => match resumed.verdict {
            Some(verdict) => Push::Resumed { conversation: resumed.conversation_id, verdict: verdict_of(&verdict) },
            None => Push::Other,
        },
        Some(push::Kind::Ready(_)) => Push::Ready,
        Some(push::Kind::Positions(moved)) => Push::Positions(moved.positions.iter().map(position_of).collect()),
        Some(push::Kind::Conversation(event)) => {
            let conversation = event.conversation_id;
            match event.event {
                Some(conversation_event::Event::Added(added)) => Push::Added { conversation, head: added.head_seq },
                Some(conversation_event::Event::Changed(_)) => Push::Changed { conversation },
                Some(conversation_event::Event::Removed(_)) => Push::Removed { conversation },
                None => Push::Other,
            }
        }
        Some(push::Kind::Heartbeat(_)) => Push::Heartbeat,
        Some(push::Kind::Goaway(_)) => Push::Goaway,
        Some(push::Kind::TokenExpires(_)) | None => Push::Other,
    }
}

fn verdict_of(verdict: &resumed::Verdict) -> Verdict {
    match verdict {
        resumed::Verdict::Complete(complete) => Verdict::Complete { head: complete.head_seq },
        resumed::Verdict::Gap(gap) => Verdict::Gap { from: gap.from_seq },
        resumed::Verdict::Reset(reset) => Verdict::Reset { removed: reset.removed },
    }
}
