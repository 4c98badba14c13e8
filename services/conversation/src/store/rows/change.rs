use super::{Columns, conversation_id, kind, number, role, role_of, user};
use crate::domain::Membership;
use crate::store::{ChangeId, MembershipChangeKind, MissedChange, Readers, StoreError, StoredChange, StoredChangeKind};

pub(in crate::store) fn stored_change(row: &impl Columns) -> Result<StoredChange, StoreError> {
    let what = match row.integer("kind")? {
        1 => StoredChangeKind::Joined,
        2 => StoredChangeKind::Added(user(row, "user_id")?),
        3 => StoredChangeKind::Changed,
        4 => StoredChangeKind::ChangedFor(user(row, "user_id")?),
        5 => StoredChangeKind::Removed(user(row, "user_id")?, role(row, "role")?, kind(row, "conversation_kind")?),
        other => return Err(StoreError::Corrupt(format!("the kind of a change is {other}"))),
    };
    Ok(StoredChange {
        id: ChangeId(number(row, "change_id")?),
        conversation: conversation_id(row, "conversation_id")?,
        version: number(row, "version")?,
        kind: what,
    })
}

/// `None`: what came is gone again, which a later change says.
pub(in crate::store) fn missed_change(row: &impl Columns) -> Result<Option<MissedChange>, StoreError> {
    let present_role = row.optional_integer("role")?.map(role_of).transpose()?;
    let (what, role, version) = match (row.integer("change_kind")?, present_role) {
        (5, _) => (MembershipChangeKind::Removed, role(row, "last_role")?, number(row, "change_version")?),
        (1 | 2, Some(role)) => (MembershipChangeKind::Added, role, number(row, "version")?),
        (3 | 4, Some(role)) => (MembershipChangeKind::Changed, role, number(row, "version")?),
        (1..=4, None) => return Ok(None),
        (other, _) => return Err(StoreError::Corrupt(format!("the kind of a change is {other}"))),
    };
    let (conversation, kind) = (conversation_id(row, "conversation_id")?, kind(row, "kind")?);
    let membership = Membership { conversation, kind, role, version };
    Ok(Some(MissedChange { id: ChangeId(number(row, "change_id")?), kind: what, membership }))
}

/// Of a row for each reader, at least one if there is the conversation.
pub(in crate::store) fn readers(rows: &[impl Columns]) -> Result<Option<Readers>, StoreError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let mut found = Readers { kind: kind(first, "kind")?, version: number(first, "version")?, members: Vec::new() };
    for row in rows {
        if row.optional_text("user_id")?.is_some() {
            found.members.push((user(row, "user_id")?, role(row, "role")?));
        }
    }
    Ok(Some(found))
}
