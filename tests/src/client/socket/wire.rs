//! Pushes as the history knows them.

use viberchat_proto::gateway::v1::{self as gateway, conversation_event, push, resumed};

use crate::history::{Push, Verdict, entry_of, position_of, presence_of};

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
        Some(push::Kind::Typing(typing)) => {
            Push::Typing { conversation: typing.conversation_id, user: typing.user_id, typing: typing.typing }
        }
        Some(push::Kind::Presence(changed)) => Push::Presence(changed.presences.iter().map(presence_of).collect()),
        Some(push::Kind::Shed(shed)) => Push::Shed(shed.typing_count),
        Some(push::Kind::TokenExpires(_)) => Push::TokenExpires,
        None => Push::Other,
    }
}

fn verdict_of(verdict: &resumed::Verdict) -> Verdict {
    match verdict {
        resumed::Verdict::Complete(complete) => Verdict::Complete { head: complete.head_seq },
        resumed::Verdict::Gap(gap) => Verdict::Gap { from: gap.from_seq },
        resumed::Verdict::Reset(reset) => Verdict::Reset { removed: reset.removed },
    }
}
