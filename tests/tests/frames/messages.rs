//! Messages, and what is done with them.

use anyhow::{Context as _, Result, ensure};
use viberchat_proto::{
    message::v1::{self as wire, entry_body::Body, list_messages_request::Anchor},
    types::v1::Metadata,
};
use viberchat_tests::{
    client::{
        AddReaction, DeleteMessage, EditMessage, GetMessage, ListMessages, ListPinnedMessages, ListPositions,
        MarkDelivered, MarkRead, PinMessage, RemoveReaction, UnpinMessage,
    },
    history::Push,
};

use super::world::{User, World, reason};

async fn get(user: &User, conversation: &str, message_id: &str) -> Result<wire::Message> {
    let request =
        wire::GetMessageRequest { conversation_id: conversation.to_owned(), message_id: message_id.to_owned() };
    user.call::<GetMessage>(request).await?.message.context("a message")
}

async fn list(user: &User, conversation: &str, anchor: Option<Anchor>) -> Result<Vec<String>> {
    let request = wire::ListMessagesRequest { conversation_id: conversation.to_owned(), anchor, ..Default::default() };
    Ok(user.call::<ListMessages>(request).await?.messages.into_iter().map(|message| message.text).collect())
}

fn edit(conversation: &str, message_id: &str, text: &str) -> wire::EditMessageRequest {
    wire::EditMessageRequest {
        conversation_id: conversation.to_owned(),
        message_id: message_id.to_owned(),
        text: text.to_owned(),
        request_id: format!("edit to {text}"),
        ..Default::default()
    }
}

pub(crate) async fn a_message_is_sent_edited_deleted_and_listed(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let group = ann.group("group", &[&bob]).await?;
    let first = ann.send(&group, "first").await?;
    let again = ann.send(&group, "first").await?;
    ensure!(first.message_id == again.message_id, "the same id gives the same message");
    let second = ann.send(&group, "second").await?;
    let third = bob.send(&group, "third").await?;
    ensure!((first.seq, second.seq, third.seq) == (2, 3, 4), "{first:?} {second:?} {third:?}");
    ensure!((first.message_no, third.message_no) == (1, 3), "messages are counted");
    bob.hears_entry(&group, second.seq).await?;
    ann.hears_entry(&group, third.seq).await?;

    let edited = ann.call::<EditMessage>(edit(&group, &first.message_id, "first, better")).await?;
    ensure!(
        edited.seq == 5 && edited.message.is_some_and(|message| message.edit_time.is_some()),
        "an edit is an entry"
    );
    let refused = bob.call::<EditMessage>(edit(&group, &first.message_id, "not mine")).await;
    ensure!(reason(refused) == "PERMISSION_DENIED", "only the sender edits");
    let delete = |message_id: &str| wire::DeleteMessageRequest {
        conversation_id: group.clone(),
        message_id: message_id.to_owned(),
        request_id: format!("delete {message_id}"),
        known_seq: None,
    };
    let refused = bob.call::<DeleteMessage>(delete(&first.message_id)).await;
    ensure!(reason(refused) == "PERMISSION_DENIED", "a member deletes only own messages");
    ensure!(ann.call::<DeleteMessage>(delete(&third.message_id)).await?.seq == 6, "an owner deletes any");
    let refused = bob.call::<EditMessage>(edit(&group, &third.message_id, "again")).await;
    ensure!(reason(refused) == "ALREADY_DELETED", "what is deleted stays so");
    bob.hears_entry(&group, 6).await?;

    let gone = get(&bob, &group, &third.message_id).await?;
    ensure!(gone.text.is_empty() && gone.delete_time.is_some(), "{gone:?}");
    ensure!(get(&bob, &group, &first.message_id).await?.text == "first, better", "the present text");
    ensure!(list(&bob, &group, None).await? == ["first, better", "second", ""], "the newest page");
    ensure!(list(&bob, &group, Some(Anchor::BeforeSeq(3))).await? == ["first, better"], "before");
    ensure!(list(&bob, &group, Some(Anchor::AfterSeq(2))).await? == ["second", ""], "after");
    ensure!(list(&bob, &group, Some(Anchor::AroundSeq(3))).await? == ["first, better", "second", ""], "around");
    let bodies = bob.log(&group, 2).await?.into_iter().map(|entry| entry.body.and_then(|body| body.body));
    let kinds: Vec<&str> = bodies
        .map(|body| match body {
            Some(Body::Message(_)) => "message",
            Some(Body::Edited(_)) => "edited",
            Some(Body::Deleted(_)) => "deleted",
            Some(Body::Redacted(_)) => "redacted",
            _ => "other",
        })
        .collect();
    ensure!(kinds == ["message", "redacted", "edited", "deleted"], "{kinds:?}");
    let head = bob.head(&group).await?.context("a head")?;
    ensure!((head.head_seq, head.message_no) == (6, 3), "{head:?}");
    Ok(())
}

pub(crate) async fn reactions_are_counted_and_taken_back(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let stranger = world.user("stranger").await?;
    let group = ann.group("group", &[&bob]).await?;
    let message = ann.send(&group, "hello").await?;
    let react = |emoji: &str, request_id: &str| wire::AddReactionRequest {
        conversation_id: group.clone(),
        message_id: message.message_id.clone(),
        emoji: emoji.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    let unreact = |emoji: &str, request_id: &str| wire::RemoveReactionRequest {
        conversation_id: group.clone(),
        message_id: message.message_id.clone(),
        emoji: emoji.to_owned(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    let first = ann.call::<AddReaction>(react("👍", "one")).await?;
    ensure!(first.seq == 3 && !first.duplicate, "{first:?}");
    let again = ann.call::<AddReaction>(react("👍", "one")).await?;
    ensure!(again.seq == 3 && again.duplicate, "the same id once more: {again:?}");
    let nothing = ann.call::<AddReaction>(react("👍", "two")).await?;
    ensure!(nothing.seq == 0, "the same reaction once more changes nothing: {nothing:?}");
    bob.hears_entry(&group, 3).await?;
    bob.call::<AddReaction>(react("👍", "one")).await?;
    bob.call::<AddReaction>(react("🎉", "two")).await?;
    let shown = get(&ann, &group, &message.message_id).await?.reactions;
    let shown: Vec<(&str, u32, bool)> =
        shown.iter().map(|kind| (kind.emoji.as_str(), kind.count, kind.reacted)).collect();
    ensure!(shown == [("👍", 2, true), ("🎉", 1, false)], "{shown:?}");

    let taken = ann.call::<RemoveReaction>(unreact("👍", "three")).await?;
    ensure!(taken.seq == 6, "{taken:?}");
    ensure!(ann.call::<RemoveReaction>(unreact("👍", "four")).await?.seq == 0, "it is not there any more");
    bob.hears_entry(&group, 6).await?;
    let shown = get(&bob, &group, &message.message_id).await?.reactions;
    let shown: Vec<(&str, u32, bool)> =
        shown.iter().map(|kind| (kind.emoji.as_str(), kind.count, kind.reacted)).collect();
    ensure!(shown == [("👍", 1, true), ("🎉", 1, true)], "{shown:?}");

    ensure!(reason(ann.call::<AddReaction>(react("", "five")).await) == "INVALID_ARGUMENT", "an empty reaction");
    ensure!(reason(ann.call::<AddReaction>(react(&"x".repeat(65), "six")).await) == "INVALID_ARGUMENT", "a long one");
    ensure!(reason(stranger.call::<AddReaction>(react("👍", "one")).await) == "CONVERSATION_NOT_FOUND", "a stranger");
    for number in 0..18 {
        ann.call::<AddReaction>(react(&format!("kind {number}"), &format!("kind {number}"))).await?;
    }
    ensure!(reason(ann.call::<AddReaction>(react("one too many", "seven")).await) == "LIMIT_EXCEEDED", "20 kinds");
    Ok(())
}

pub(crate) async fn pins_are_listed_newest_first(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let group = ann.group("group", &[&bob]).await?;
    let mut messages = Vec::new();
    for text in ["one", "two", "three"] {
        messages.push(bob.send(&group, text).await?);
    }
    let pin = |place: usize, request_id: &str| wire::PinMessageRequest {
        conversation_id: group.clone(),
        message_id: messages[place].message_id.clone(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    let unpin = |place: usize, request_id: &str| wire::UnpinMessageRequest {
        conversation_id: group.clone(),
        message_id: messages[place].message_id.clone(),
        request_id: request_id.to_owned(),
        known_seq: None,
    };
    ensure!(reason(bob.call::<PinMessage>(pin(0, "mine")).await) == "ROLE_REQUIRED", "a member does not pin");
    for (place, seq) in [(1, 5), (0, 6), (2, 7)] {
        let pinned = ann.call::<PinMessage>(pin(place, &format!("pin {place}"))).await?;
        ensure!(pinned.seq == seq, "{pinned:?}");
        ensure!(pinned.message.is_some_and(|message| message.pinned_by_user_id == ann.name()), "who pinned");
    }
    ensure!(ann.call::<PinMessage>(pin(0, "again")).await?.seq == 0, "what is pinned stays");
    ensure!(ann.call::<PinMessage>(pin(0, "pin 0")).await?.duplicate, "the same id once more");
    bob.hears_entry(&group, 7).await?;
    let pinned = async |page_size: u32, page_token: String| -> Result<(Vec<String>, String)> {
        let request = wire::ListPinnedMessagesRequest { conversation_id: group.clone(), page_size, page_token };
        let page = bob.call::<ListPinnedMessages>(request).await?;
        Ok((page.messages.into_iter().map(|message| message.text).collect(), page.next_page_token))
    };
    let (first, token) = pinned(2, String::new()).await?;
    let (rest, end) = pinned(2, token).await?;
    ensure!(first == ["three", "one"] && rest == ["two"] && end.is_empty(), "{first:?} {rest:?}");
    ensure!(reason(bob.call::<UnpinMessage>(unpin(0, "mine too")).await) == "ROLE_REQUIRED", "nor unpins");
    ensure!(ann.call::<UnpinMessage>(unpin(0, "unpin")).await?.seq == 8, "an unpin is an entry");
    ensure!(ann.call::<UnpinMessage>(unpin(0, "unpin again")).await?.seq == 0, "it is not pinned any more");
    let delete = wire::DeleteMessageRequest {
        conversation_id: group.clone(),
        message_id: messages[2].message_id.clone(),
        request_id: "delete".into(),
        known_seq: None,
    };
    bob.call::<DeleteMessage>(delete).await?;
    let (left, _) = pinned(0, String::new()).await?;
    ensure!(left == ["two"], "a deleted message is no pin: {left:?}");
    ensure!(reason(ann.call::<PinMessage>(pin(2, "late")).await) == "ALREADY_DELETED", "nor becomes one");
    // In a direct both may.
    let direct = ann.direct(&bob).await?;
    let message = ann.send(&direct, "hello").await?;
    let request = wire::PinMessageRequest {
        conversation_id: direct.clone(),
        message_id: message.message_id,
        request_id: "pin".into(),
        known_seq: None,
    };
    ensure!(bob.call::<PinMessage>(request).await?.seq == 2, "in a direct both pin");
    Ok(())
}

pub(crate) async fn replies_mentions_and_metadata_come_back_as_they_were_given(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let group = ann.group("group", &[&bob]).await?;
    let question = ann.send(&group, "question").await?;
    let metadata = Metadata { entries: [("ticket".to_owned(), "42".to_owned())].into() };
    let answer = bob
        .send_with(&group, "answer", |send| {
            send.reply_to_message_id = question.message_id.clone();
            send.mentioned_user_ids = vec![ann.name().to_owned()];
            send.metadata = Some(metadata.clone());
        })
        .await?;
    let shown = get(&ann, &group, &answer.message_id).await?;
    ensure!((shown.reply_to_message_id.as_str(), shown.reply_to_seq) == (question.message_id.as_str(), 2), "{shown:?}");
    ensure!(shown.mentioned_user_ids == [ann.name()] && shown.metadata.as_ref() == Some(&metadata), "{shown:?}");
    let entries = ann.log(&group, 2).await?;
    let Some(Body::Message(sent)) = entries[0].body.clone().and_then(|body| body.body) else {
        anyhow::bail!("no message: {entries:?}");
    };
    ensure!(sent.reply_to_seq == 2 && sent.metadata.as_ref() == Some(&metadata), "{sent:?}");
    ensure!(sent.mentioned_user_ids == [ann.name()], "{sent:?}");

    let mut better = edit(&group, &answer.message_id, "a better answer");
    better.mentioned_user_ids = vec![bob.name().to_owned()];
    let edited = bob.call::<EditMessage>(better).await?.message.context("a message")?;
    ensure!(edited.mentioned_user_ids == [bob.name()], "an edit names whom it mentions: {edited:?}");

    let refused = bob.send_with(&group, "nobody", |send| send.mentioned_user_ids = vec![world.name("stranger")]).await;
    ensure!(reason(refused) == "INVALID_ARGUMENT", "a stranger is not mentioned");
    let missing = "01890000-0000-8000-8000-000000000000";
    let refused = bob.send_with(&group, "nothing", |send| send.reply_to_message_id = missing.to_owned()).await;
    ensure!(reason(refused) == "MESSAGE_NOT_FOUND", "a message that is not there is not answered");
    let large = Metadata { entries: [("large".to_owned(), "x".repeat(4 * 1024))].into() };
    let refused = bob.send_with(&group, "large", |send| send.metadata = Some(large)).await;
    ensure!(["INVALID_ARGUMENT", "LIMIT_EXCEEDED"].contains(&reason(refused).as_str()), "4 KiB of metadata");
    let changed = bob.send_with(&group, "answer", |send| send.metadata = None).await;
    ensure!(reason(changed) == "IDEMPOTENCY_KEY_REUSED", "metadata belongs to the body");
    Ok(())
}

pub(crate) async fn positions_move_forward_and_are_pushed(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let direct = ann.direct(&bob).await?;
    for text in ["one", "two", "three"] {
        ann.send(&direct, text).await?;
    }
    let read = |seq: u64| wire::MarkReadRequest { conversation_id: direct.clone(), seq };
    let delivered = |seq: u64| wire::MarkDeliveredRequest { conversation_id: direct.clone(), seq };
    let skip = ann.heard();
    let moved = bob.call::<MarkDelivered>(delivered(3)).await?.position.context("a position")?;
    ensure!((moved.delivered_seq, moved.read_seq) == (3, 0), "{moved:?}");
    let back = bob.call::<MarkDelivered>(delivered(1)).await?.position.context("a position")?;
    ensure!(back.delivered_seq == 3, "only forward: {back:?}");
    let marked = bob.call::<MarkRead>(read(2)).await?;
    ensure!((marked.unread_count, marked.as_of_seq) == (1, 3), "{marked:?}");
    ensure!(bob.call::<MarkRead>(read(1)).await?.position.context("a position")?.read_seq == 2, "only forward");
    ensure!(reason(bob.call::<MarkRead>(read(4)).await) == "INVALID_ARGUMENT", "past the head");
    ensure!(reason(bob.call::<MarkDelivered>(delivered(4)).await) == "INVALID_ARGUMENT", "past the head");
    let bobs = |push: &Push| match push {
        Push::Positions(positions) => positions
            .iter()
            .any(|position| position.user == bob.name() && (position.read_seq, position.delivered_seq) == (2, 3)),
        _ => false,
    };
    ann.hears(skip, "of bob's position", bobs).await?;
    let request = wire::ListPositionsRequest { conversation_id: direct.clone(), ..Default::default() };
    let listed = ann.call::<ListPositions>(request).await?;
    let listed: Vec<(&str, u64, u64)> = listed
        .positions
        .iter()
        .map(|position| (position.user_id.as_str(), position.read_seq, position.delivered_seq))
        .collect();
    ensure!(listed.contains(&(bob.name(), 2, 3)), "{listed:?}");
    ensure!(listed.iter().any(|(user, read, _)| *user == ann.name() && *read == 3), "{listed:?}");
    Ok(())
}
