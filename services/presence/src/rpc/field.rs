//! Fields of requests → ids; what is wrong is named with its field.

use std::time::Duration;

use viberchat_kit::auth::CallContext;
use viberchat_kit::error::{Error, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::rpc::DEADLINE_DEFAULT;

use crate::error::limit_exceeded;

/// Ids of one request.
pub(crate) const BATCH_MAX: usize = 200;

pub(crate) fn conversation_id(text: &str) -> Result<ConversationId> {
    conversation_id_of("conversation_id", text)
}

fn conversation_id_of(field: &str, text: &str) -> Result<ConversationId> {
    ConversationId::parse(text).map_err(|invalid| Error::invalid_argument(field, invalid.to_string()))
}

/// In their order, as often as they are named.
pub(crate) fn user_ids(texts: &[String]) -> Result<Vec<UserId>> {
    check_count("user_ids", texts.len())?;
    let parse = |(index, text): (usize, &String)| {
        UserId::parse(text)
            .map_err(|invalid| Error::invalid_argument(format!("user_ids[{index}]"), invalid.to_string()))
    };
    texts.iter().enumerate().map(parse).collect()
}

/// In their order, as often as they are named.
pub(crate) fn conversation_ids(texts: &[String]) -> Result<Vec<ConversationId>> {
    check_count("conversation_ids", texts.len())?;
    let parse = |(index, text): (usize, &String)| conversation_id_of(&format!("conversation_ids[{index}]"), text);
    texts.iter().enumerate().map(parse).collect()
}

fn check_count(field: &str, count: usize) -> Result<()> {
    match count <= BATCH_MAX {
        true => Ok(()),
        false => Err(limit_exceeded(&format!("{field} in one request"), BATCH_MAX)
            .with_field(field, format!("has {count} items, allowed are {BATCH_MAX}"))),
    }
}

/// How long the caller waits.
pub(crate) fn wait(context: &CallContext) -> Duration {
    context.remaining().unwrap_or(DEADLINE_DEFAULT)
}

#[cfg(test)]
mod tests {
    use viberchat_kit::error::Reason;

    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let violation = |error: Error| error.violations[0].field.clone();
        assert_eq!(violation(conversation_id("no").unwrap_err()), "conversation_id");
        assert_eq!(violation(user_ids(&["a".into(), "b\n".into()]).unwrap_err()), "user_ids[1]");
        assert_eq!(violation(conversation_ids(&["x".into()]).unwrap_err()), "conversation_ids[0]");
        assert_eq!(user_ids(&vec!["a".into(); 200]).unwrap().len(), 200);
        assert_eq!(user_ids(&vec!["a".into(); 201]).unwrap_err().reason, Reason::LimitExceeded);
    }
}
