use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};
use viberchat_kit::id::{ConversationId, UserId};

use super::log::head;
use super::row::{self, signed};
use crate::domain::head::Head;
use crate::domain::message::ReactionCount;
use crate::store::{MessageRecord, ReactionKey};

/// Whether these reactions are given.
pub(super) fn find(
    connection: &Connection,
    conversation_id: ConversationId,
    keys: &[ReactionKey],
) -> rusqlite::Result<(Head, Vec<bool>)> {
    let head = head(connection, conversation_id)?;
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM message_reaction \
         WHERE conversation_id = ?1 AND message_seq = ?2 AND emoji = ?3 AND user_id = ?4",
    )?;
    let found = keys.iter().map(|ReactionKey { message_seq, emoji, user }| {
        statement.exists(params![conversation_id.as_bytes(), signed(*message_seq), emoji, user.as_str()])
    });
    Ok((head, found.collect::<rusqlite::Result<_>>()?))
}

/// Marks the reactions that are the viewer's own.
pub(super) fn mark(
    connection: &Connection,
    conversation_id: ConversationId,
    viewer: &UserId,
    messages: &mut [MessageRecord],
) -> rusqlite::Result<()> {
    let given = messages.iter().filter(|message| !message.reactions.is_empty());
    let seqs = given.map(|message| message.record.head.seq);
    let (Some(first), Some(last)) = (seqs.clone().min(), seqs.max()) else { return Ok(()) };
    let mut statement = connection.prepare_cached(
        "SELECT message_seq, emoji FROM message_reaction \
         WHERE conversation_id = ?1 AND message_seq BETWEEN ?2 AND ?3 AND user_id = ?4",
    )?;
    let mut rows =
        statement.query(params![conversation_id.as_bytes(), signed(first), signed(last), viewer.as_str()])?;
    let mut own: HashSet<(u64, String)> = HashSet::new();
    while let Some(given) = rows.next()? {
        own.insert((row::seq(given, 0)?, given.get(1)?));
    }
    for message in messages {
        let seq = message.record.head.seq;
        for reaction in &mut message.reactions {
            reaction.reacted = own.contains(&(seq, reaction.emoji.clone()));
        }
    }
    Ok(())
}

/// Puts the reactions to these messages beside them, all by one question. Without a viewer none is marked as theirs.
pub(super) fn attach(
    connection: &Connection,
    conversation_id: ConversationId,
    viewer: Option<&UserId>,
    messages: &mut [MessageRecord],
) -> rusqlite::Result<()> {
    let seqs = messages.iter().map(|message| message.record.head.seq);
    let (Some(first), Some(last)) = (seqs.clone().min(), seqs.max()) else { return Ok(()) };
    let mut statement = connection.prepare_cached(
        "SELECT message_seq, emoji, count(*), max(user_id = ?4) FROM message_reaction \
         WHERE conversation_id = ?1 AND message_seq BETWEEN ?2 AND ?3 \
         GROUP BY message_seq, emoji ORDER BY message_seq, min(reaction_seq)",
    )?;
    // No user id is empty.
    let viewer = viewer.map_or("", UserId::as_str);
    let mut rows = statement.query(params![conversation_id.as_bytes(), signed(first), signed(last), viewer])?;
    let mut found: HashMap<u64, Vec<ReactionCount>> = HashMap::new();
    while let Some(given) = rows.next()? {
        let reaction = ReactionCount { emoji: given.get(1)?, count: given.get(2)?, reacted: given.get(3)? };
        found.entry(row::seq(given, 0)?).or_default().push(reaction);
    }
    if found.is_empty() {
        return Ok(());
    }
    for message in messages {
        message.reactions = found.remove(&message.record.head.seq).unwrap_or_default();
    }
    Ok(())
}
