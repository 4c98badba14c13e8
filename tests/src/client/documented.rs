//! Whether a method's comment names the reason of a refusal: what a server says and its protocol does not is a defect, whoever
//! provoked it.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use viberchat_kit::error::Reason;

use super::Refusal;

/// What every call may be answered with; said once, in the reference.
const EVERYWHERE: &[Reason] = &[
    Reason::Unauthenticated,
    Reason::TokenExpired,
    Reason::PermissionDenied,
    Reason::InvalidArgument,
    Reason::MethodNotFound,
    Reason::DeadlineExceeded,
    Reason::StoreUnavailable,
    Reason::OutcomeUnknown,
    Reason::Internal,
];

/// What the gateway says to frames before a service is asked.
const OF_FRAMES: &[Reason] = &[Reason::RateLimited, Reason::PredecessorFailed, Reason::Draining];

// Numbers of fields in `google/protobuf/descriptor.proto`, from which the paths of comments are made.
const FILE_SERVICES: i32 = 6;
const SERVICE_METHODS: i32 = 2;

/// The reasons that each method's comment names after `Errors:`, by `package.Service/Method`.
static DOCUMENTED: LazyLock<HashMap<String, HashSet<Reason>>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(viberchat_proto::FILE_DESCRIPTOR_SET).expect("the build made it");
    let mut documented = HashMap::new();
    for file in &set.file {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let comments: HashMap<_, _> = locations.map(|at| (at.path.as_slice(), at.leading_comments())).collect();
        for (number, service) in (0..).zip(&file.service) {
            for (index, method) in (0..).zip(&service.method) {
                let comment = comments.get([FILE_SERVICES, number, SERVICE_METHODS, index].as_slice()).copied();
                let path = format!("{}.{}/{}", file.package(), service.name(), method.name());
                documented.insert(path, named(comment.unwrap_or_default()));
            }
        }
    }
    documented
});

fn named(comment: &str) -> HashSet<Reason> {
    let (_, list) = comment.split_once("Errors:").unwrap_or_default();
    list.split(|c: char| !(c.is_ascii_alphabetic() || c == '_')).filter_map(Reason::parse).collect()
}

/// Whether a method may be refused for this reason, as a frame or a call.
fn is_documented(path: &str, reason: Reason, by_frame: bool) -> bool {
    let own = DOCUMENTED.get(path).is_some_and(|reasons| reasons.contains(&reason));
    own || EVERYWHERE.contains(&reason) || (by_frame && OF_FRAMES.contains(&reason))
}

/// Fails the test that provoked a refusal which the method's comment does not name. Words of ours are no reasons.
pub(crate) fn check<T>(path: &str, by_frame: bool, answered: Result<T, Refusal>) -> Result<T, Refusal> {
    if let Err(refusal) = &answered
        && let Some(reason) = Reason::parse(&refusal.reason)
    {
        assert!(is_documented(path, reason, by_frame), "the comment of {path} does not name {reason}");
    }
    answered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{DeleteMessage, Method, SendMessage};

    #[test]
    fn the_list_of_a_method_is_its_comments() {
        assert!(is_documented(SendMessage::PATH, Reason::TextTooLong, false));
        assert!(!is_documented(DeleteMessage::PATH, Reason::TextTooLong, false));
        assert!(is_documented(DeleteMessage::PATH, Reason::StoreUnavailable, false));
        assert!(is_documented(SendMessage::PATH, Reason::RateLimited, true));
        assert!(!is_documented(SendMessage::PATH, Reason::RateLimited, false));
        assert!(!is_documented("viberchat.message.v1.MessageService/None", Reason::TextTooLong, false));
    }

    #[test]
    #[should_panic(expected = "does not name TEXT_TOO_LONG")]
    fn what_is_not_named_fails() {
        let outcome = viberchat_kit::error::Outcome::Rejected;
        let refused = Err::<(), _>(Refusal { reason: "TEXT_TOO_LONG".to_owned(), outcome });
        drop(check(DeleteMessage::PATH, false, refused));
    }
}
