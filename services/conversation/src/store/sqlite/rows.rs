//! How SQLite's driver reads a value, and many values as one parameter.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use viberchat_kit::id::ConversationId;

use super::StoreError;
use crate::store::rows::Columns;

impl Columns for SqliteRow {
    fn optional_integer(&self, column: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn optional_text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn optional_bytes(&self, column: &str) -> Result<Option<&[u8]>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn optional_conversation_id(&self, column: &str) -> Result<Option<ConversationId>, StoreError> {
        let Some(bytes) = self.optional_bytes(column)? else { return Ok(None) };
        let bytes = bytes.try_into();
        let bytes = bytes.map_err(|_| StoreError::Corrupt(format!("{column} is not of 16 bytes")))?;
        Ok(Some(ConversationId::from_bytes(bytes)))
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// Many values as one parameter, for `json_each`.
pub(super) fn json(values: &impl serde::Serialize) -> String {
    serde_json::to_string(values).expect("text and numbers are valid JSON")
}

/// The ids as hexadecimal text, for `unhex(value)` of `json_each`.
pub(super) fn json_ids(ids: &[ConversationId]) -> String {
    json(&ids.iter().map(hex).collect::<Vec<_>>())
}

/// For `unhex`.
pub(super) fn hex(id: &ConversationId) -> String {
    id.to_string().replace('-', "")
}
