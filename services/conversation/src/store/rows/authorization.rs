use super::{Columns, count, history, kind, number, optional_number, role_of};
use crate::domain::{Authorization, Role, Span};
use crate::store::StoreError;

/// Answers to `pairs` questions, of a row for each stay of each: `pair` is the number of the question.
pub(in crate::store) fn authorizations(
    rows: &[impl Columns],
    pairs: usize,
) -> Result<Vec<Option<Authorization>>, StoreError> {
    let mut stays = vec![Vec::new(); pairs];
    let mut found = vec![None; pairs];
    for row in rows {
        let pair = usize::try_from(number(row, "pair")?).unwrap_or(usize::MAX);
        let (Some(found), Some(stays)) = (found.get_mut(pair), stays.get_mut(pair)) else {
            return Err(StoreError::Corrupt("an answer for a pair that was not asked for".to_owned()));
        };
        if found.is_none() {
            *found = Some(authorization(row)?);
        }
        stays.extend(stay(row)?);
    }
    for (found, stays) in found.iter_mut().zip(&mut stays) {
        stays.sort_by_key(|(from_version, _)| *from_version);
        // Nobody is authorized without a role.
        if let Some(found) = found.as_mut().filter(|found| found.role.is_some()) {
            found.spans = stays.iter().map(|(_, span)| *span).collect();
        }
    }
    Ok(found)
}

/// Without the stays.
fn authorization(row: &impl Columns) -> Result<Authorization, StoreError> {
    let role: Option<Role> = row.optional_integer("role")?.map(role_of).transpose()?;
    let (user_gone, peer_gone) = (row.flag("user_gone")?, row.flag("peer_gone")?);
    Ok(Authorization {
        version: number(row, "version")?,
        kind: kind(row, "kind")?,
        role: role.filter(|_| !user_gone),
        spans: Vec::new(),
        peer_present: row.flag("paired")? && !peer_gone,
        history: history(row, "history")?,
        cleared_seq: optional_number(row, "cleared_seq")?.unwrap_or(0),
        blocked: row.flag("blocked")?,
        member_count: count(row, "member_count")?,
    })
}

/// A stay with the version that it began with, which orders them.
fn stay(row: &impl Columns) -> Result<Option<(u64, Span)>, StoreError> {
    let (Some(from_version), Some(from_seq)) =
        (optional_number(row, "from_version")?, optional_number(row, "from_seq")?)
    else {
        return Ok(None);
    };
    let to_seq = optional_number(row, "to_seq")?;
    // A stay whose end the log does not have yet would look longer than it is.
    let end_is_pending = optional_number(row, "to_version")?.is_some() && to_seq.is_none();
    Ok((!end_is_pending).then_some((from_version, Span { from_seq, to_seq })))
}
