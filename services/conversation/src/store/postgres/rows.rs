//! How PostgreSQL's driver reads a value, and ids as parameters.

use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{Column as _, Row as _, TypeInfo as _};
use viberchat_kit::id::{ConversationId, UserId};

use super::StoreError;
use crate::store::rows::Columns;

impl Columns for PgRow {
    fn optional_integer(&self, column: &str) -> Result<Option<i64>, StoreError> {
        // A null of a statement has no width: it is read as the widest.
        Ok(match self.try_column(column)?.type_info().name() {
            "INT2" => self.try_get::<Option<i16>, _>(column)?.map(i64::from),
            "INT4" => self.try_get::<Option<i32>, _>(column)?.map(i64::from),
            _ => self.try_get(column)?,
        })
    }

    fn optional_text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn optional_bytes(&self, column: &str) -> Result<Option<&[u8]>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn optional_conversation_id(&self, column: &str) -> Result<Option<ConversationId>, StoreError> {
        let id: Option<Uuid> = self.try_get(column)?;
        Ok(id.map(|id| ConversationId::from_bytes(*id.as_bytes())))
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// An id as a parameter.
pub(super) fn uuid(id: &ConversationId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

/// Before the first id, or after this one.
pub(super) fn uuid_after(id: Option<ConversationId>) -> Option<Uuid> {
    id.as_ref().map(uuid)
}

/// Ids as one parameter.
pub(super) fn uuids<'a>(ids: impl IntoIterator<Item = &'a ConversationId>) -> Vec<Uuid> {
    ids.into_iter().map(uuid).collect()
}

/// Users as one parameter.
pub(super) fn texts<'a>(users: impl IntoIterator<Item = &'a UserId>) -> Vec<&'a str> {
    users.into_iter().map(UserId::as_str).collect()
}
