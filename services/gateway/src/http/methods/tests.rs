use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::*;

/// Unary methods that are for services only.
const FOR_SERVICES: &[&str] = &[
    "/viberchat.conversation.v1.ConversationService/AuthorizeMember",
    "/viberchat.conversation.v1.ConversationService/BatchAuthorizeMembers",
    "/viberchat.conversation.v1.ConversationService/BatchCheckShared",
    "/viberchat.conversation.v1.ConversationService/RecordActivity",
    "/viberchat.conversation.v1.UserDirectoryService/DeactivateUser",
    "/viberchat.conversation.v1.UserDirectoryService/UpsertUsers",
    "/viberchat.message.v1.MessageService/AppendSystemEntry",
    "/viberchat.gateway.v1.GatewayAdminService/ListSessions",
    "/viberchat.gateway.v1.GatewayAdminService/GetSession",
    "/viberchat.gateway.v1.GatewayAdminService/DisconnectUser",
    "/viberchat.gateway.v1.GatewayAdminService/Drain",
];

/// Path, name of the request, and whether anything is streamed.
fn described() -> Vec<(String, String, bool)> {
    let set = FileDescriptorSet::decode(viberchat_proto::FILE_DESCRIPTOR_SET).expect("the descriptors decode");
    let mut methods = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let is_streaming = method.client_streaming() || method.server_streaming();
                methods.push((path, method.input_type().to_owned(), is_streaming));
            }
        }
    }
    methods
}

#[test]
fn every_unary_method_is_either_for_users_and_served_or_for_services_only() {
    let served: BTreeSet<_> = METHODS.iter().map(|rule| rule.path.to_owned()).collect();
    assert_eq!(served.len(), METHODS.len(), "each once");
    let unary = described().into_iter().filter(|(_, _, is_streaming)| !is_streaming);
    let for_users: BTreeSet<_> =
        unary.map(|(path, _, _)| path).filter(|path| !FOR_SERVICES.contains(&path.as_str())).collect();
    assert_eq!(served, for_users);
    assert!(METHODS.iter().all(|rule| rule.access == Access::USERS && !rule.streaming));
}

#[test]
fn each_path_takes_the_request_of_its_method() {
    // The path and the type stand on one line of the table; their names have to agree.
    let table = include_str!("../methods.rs").replace("\n        ", " ");
    for rule in METHODS {
        let (_, input, _) = described().into_iter().find(|(path, _, _)| path == rule.path).expect("it is described");
        let request = input.rsplit('.').next().expect("a name").to_owned();
        let line = table.lines().find(|line| line.contains(&format!("    {:?} ", rule.path))).expect("a line");
        assert!(line.contains(&format!("::{request})")), "{line}");
    }
}
