use viberchat_kit::auth::{Access, MethodRule, Scope};

macro_rules! path {
    (conversation $method:literal) => {
        concat!("/viberchat.conversation.v1.ConversationService/", $method)
    };
    (directory $method:literal) => {
        concat!("/viberchat.conversation.v1.UserDirectoryService/", $method)
    };
}

/// Who may call what: every method of both services. All others are refused.
///
/// Methods for users check membership and role themselves; what a service may read without a user, it sees whole.
pub const METHODS: &[MethodRule] = &[
    MethodRule::unary(path!(conversation "GetOrCreateDirectConversation"), Access::USERS),
    MethodRule::unary(path!(conversation "CreateGroupConversation"), Access::USERS),
    MethodRule::unary(path!(conversation "GetConversation"), Access::users_or_service(Scope::Authorize)),
    MethodRule::unary(path!(conversation "BatchGetConversations"), Access::users_or_service(Scope::Authorize)),
    MethodRule::unary(path!(conversation "ListConversations"), Access::USERS),
    MethodRule::unary(path!(conversation "DeleteConversation"), Access::USERS),
    MethodRule::unary(path!(conversation "UpdateConversation"), Access::USERS),
    MethodRule::unary(path!(conversation "AddMembers"), Access::USERS),
    MethodRule::unary(path!(conversation "RemoveMember"), Access::USERS),
    MethodRule::unary(path!(conversation "LeaveConversation"), Access::USERS),
    MethodRule::unary(path!(conversation "UpdateMemberRole"), Access::USERS),
    MethodRule::unary(path!(conversation "UpdateMemberSettings"), Access::USERS),
    MethodRule::unary(path!(conversation "ListMembers"), Access::users_or_service(Scope::Authorize)),
    MethodRule::unary(path!(conversation "BlockUser"), Access::USERS),
    MethodRule::unary(path!(conversation "UnblockUser"), Access::USERS),
    MethodRule::unary(path!(conversation "ListBlockedUsers"), Access::USERS),
    MethodRule::unary(path!(conversation "AuthorizeMember"), Access::service(Scope::Authorize)),
    MethodRule::unary(path!(conversation "BatchAuthorizeMembers"), Access::service(Scope::Authorize)),
    MethodRule::unary(path!(conversation "BatchCheckShared"), Access::service(Scope::Authorize)),
    MethodRule::unary(path!(conversation "RecordActivity"), Access::service(Scope::Relay)),
    WATCH_MEMBERSHIPS,
    MethodRule::unary(path!(directory "UpsertUsers"), Access::service(Scope::Directory)),
    MethodRule::unary(path!(directory "BatchGetUsers"), Access::users_or_service(Scope::Directory)),
    MethodRule::unary(path!(directory "SearchUsers"), Access::users_or_service(Scope::Directory)),
    MethodRule::unary(path!(directory "DeactivateUser"), Access::service(Scope::Directory)),
];

const WATCH_MEMBERSHIPS: MethodRule =
    MethodRule::streaming(path!(conversation "WatchMemberships"), Access::service(Scope::Authorize));

/// The rule by which each request on the stream is checked.
pub(super) static WATCH_MEMBERSHIPS_RULE: MethodRule = WATCH_MEMBERSHIPS;

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn every_method_of_the_services_is_in_the_table_and_no_other() {
        let mut listed: Vec<_> = METHODS.iter().map(|rule| (rule.path.to_owned(), rule.streaming)).collect();
        let mut described = described_methods();
        listed.sort();
        described.sort();
        assert_eq!(listed, described);
    }

    fn described_methods() -> Vec<(String, bool)> {
        let set = prost_types::FileDescriptorSet::decode(viberchat_proto::FILE_DESCRIPTOR_SET).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "viberchat.conversation.v1");
        files
            .flat_map(|file| file.service.iter().map(move |service| (file, service)))
            .flat_map(|(file, service)| {
                service.method.iter().map(move |method| {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    (path, method.client_streaming())
                })
            })
            .collect()
    }

    #[test]
    fn nothing_is_open_to_the_anonymous() {
        assert!(METHODS.iter().all(|rule| !rule.access.anonymous));
    }
}
