//! Each frame of the client protocol and each method of the services does what its comment says: over real sockets, in both
//! encodings of frames, as JSON over HTTP and as gRPC.
//!
//! Map: `world` a server and who uses it in one way; `messages`, `conversations`, `people`, `presence`, `session` and
//! `services` the stories; the rows here say which frames and methods each one calls. A frame or a method without a row fails,
//! and so does a row whose story did not call it.

mod conversations;
mod messages;
mod people;
mod presence;
mod services;
mod session;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use prost_types::FileDescriptorSet;

use self::world::{WAYS, Way, World};

macro_rules! rows {
    ($(
        $(#[$doc:meta])*
        $module:ident::$story:ident in $ways:expr => [$($covered:literal)*];
    )*) => {
        $(
            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread")]
            async fn $story() -> Result<()> {
                run($ways, &[$($covered),*], $module::$story).await
            }
        )*

        const COVERED: &[&str] = &[$($($covered),*),*];
    };
}

/// By a socket only: the frame has no method.
const SOCKETS: &[Way] = WAYS.split_at(2).0;
/// The method is for services, or has no frame.
const GRPC: &[Way] = WAYS.split_at(3).1;
/// The method is for users, and has no frame.
const CALLS: &[Way] = WAYS.split_at(2).1;

rows! {
    messages::a_message_is_sent_edited_deleted_and_listed in WAYS =>
        ["send" "edit" "delete" "get_message" "list_messages" "read_log" "get_heads"];
    messages::reactions_are_counted_and_taken_back in WAYS => ["react" "unreact"];
    messages::pins_are_listed_newest_first in WAYS => ["pin" "unpin" "list_pinned"];
    messages::replies_mentions_and_metadata_come_back_as_they_were_given in WAYS => ["send" "edit"];
    messages::positions_move_forward_and_are_pushed in WAYS => ["mark_read" "mark_delivered" "list_positions"];
    conversations::a_group_is_made_changed_and_left in WAYS => [
        "create_group" "get_conversation" "update_conversation" "add_members" "update_role" "list_members" "remove_member"
        "leave"
    ];
    conversations::a_deleted_group_is_gone_for_all in WAYS => ["delete_conversation"];
    conversations::own_settings_change_the_own_list_only in WAYS => ["update_settings" "list_conversations"];
    conversations::a_cleared_chat_is_hidden_from_oneself_only in WAYS => ["update_settings" "read_log" "list_messages"];
    conversations::lists_go_by_name_and_by_kind in WAYS => ["list_conversations" "start_direct"];
    conversations::several_are_got_at_once in CALLS =>
        ["viberchat.conversation.v1.ConversationService/BatchGetConversations"];
    people::a_block_stops_both_and_hides_nothing in WAYS => ["block_user" "unblock_user" "list_blocked" "start_direct"];
    people::profiles_are_shown_and_found in WAYS => [
        "get_users" "search_users" "viberchat.conversation.v1.UserDirectoryService/UpsertUsers"
    ];
    people::a_deactivated_user_is_gone in WAYS => ["viberchat.conversation.v1.UserDirectoryService/DeactivateUser"];
    presence::typing_is_pushed_and_ends in WAYS => ["set_typing"];
    presence::a_status_is_pushed_to_who_watches in WAYS => ["set_status"];
    presence::a_watch_has_a_snapshot_and_its_end in SOCKETS => ["watch_presence" "unwatch_presence"];
    presence::who_is_removed_is_seen_no_more_and_sees_nobody in SOCKETS => ["watch_presence"];
    presence::presences_are_got_at_once in CALLS => ["viberchat.presence.v1.PresenceService/BatchGetPresence"];
    session::a_session_says_hello_lives_and_resumes in SOCKETS => ["hello" "resume_part" "resume_end" "heartbeat"];
    session::focus_brings_typing_of_a_group in SOCKETS => ["focus"];
    session::a_newer_token_keeps_the_session in SOCKETS => ["refresh_token"];
    services::members_are_authorized in GRPC => [
        "viberchat.conversation.v1.ConversationService/AuthorizeMember"
        "viberchat.conversation.v1.ConversationService/BatchAuthorizeMembers"
        "viberchat.conversation.v1.ConversationService/BatchCheckShared"
    ];
    services::activity_announces_a_direct in GRPC => [
        "viberchat.conversation.v1.ConversationService/RecordActivity"
        "viberchat.conversation.v1.ConversationService/WatchMemberships"
    ];
    services::system_entries_come_in_the_order_of_their_versions in GRPC => [
        "viberchat.message.v1.MessageService/AppendSystemEntry" "viberchat.message.v1.MessageService/Subscribe"
    ];
    services::sends_of_many_share_a_stream in GRPC => ["viberchat.message.v1.MessageService/SendMessages"];
    services::a_gateway_attaches_and_others_watch in GRPC => [
        "viberchat.presence.v1.PresenceService/Attach" "viberchat.presence.v1.PresenceService/Watch"
    ];
    services::typing_is_watched in GRPC => ["viberchat.presence.v1.PresenceService/WatchTyping"];
    services::operators_see_and_end_sessions in GRPC => [
        "viberchat.gateway.v1.GatewayAdminService/ListSessions" "viberchat.gateway.v1.GatewayAdminService/GetSession"
        "viberchat.gateway.v1.GatewayAdminService/DisconnectUser" "viberchat.gateway.v1.GatewayAdminService/Drain"
    ];
}

/// Plays the story once in each way, on one server, and expects that all that the row names was called.
async fn run(ways: &[Way], covered: &[&str], story: impl AsyncFn(&World) -> Result<()>) -> Result<()> {
    let mut world = World::open().await?;
    for way in ways {
        world.set_way(*way);
        story(&world).await.with_context(|| format!("{way:?}"))?;
    }
    let asked = world.asked();
    let methods = methods_of_frames();
    for name in covered {
        let by_socket = ways.iter().any(Way::is_socket) && !name.contains('/');
        ensure!(asked.contains(*name) || !by_socket, "the story sends no {name}");
        let path = methods.get(*name).map_or(*name, String::as_str);
        let by_call = ways.iter().any(|way| !way.is_socket()) && path.contains('/');
        ensure!(asked.contains(path) || !by_call, "the story does not call {path}");
    }
    Ok(())
}

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(viberchat_proto::FILE_DESCRIPTOR_SET).expect("the build made it")
}

/// The fields of `ClientFrame` with the types of their requests.
fn frames() -> BTreeMap<String, String> {
    let set = descriptors();
    let messages = set.file.iter().flat_map(|file| &file.message_type);
    let frame =
        messages.into_iter().find(|message| message.name() == "ClientFrame").expect("the frames are in the set");
    let requests = frame.field.iter().filter(|field| field.oneof_index.is_some());
    requests.map(|field| (field.name().to_owned(), field.type_name().to_owned())).collect()
}

/// The paths of all methods with the types of their requests.
fn methods() -> BTreeMap<String, String> {
    let mut paths = BTreeMap::new();
    for file in descriptors().file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("{}.{}/{}", file.package(), service.name(), method.name());
                paths.insert(path, method.input_type().to_owned());
            }
        }
    }
    paths
}

/// The method of each frame that carries a method's request.
fn methods_of_frames() -> BTreeMap<String, String> {
    let methods = methods();
    let path = |request: &String| methods.iter().find(|(_, input)| *input == request).map(|(path, _)| path.clone());
    frames().into_iter().filter_map(|(name, request)| Some((name, path(&request)?))).collect()
}

#[test]
fn every_frame_and_every_method_has_a_row() {
    let (frames, methods, of_frames) = (frames(), methods(), methods_of_frames());
    assert!(frames.len() >= 40 && methods.len() >= 50, "{} frames, {} methods", frames.len(), methods.len());
    let covered: BTreeSet<&str> = COVERED.iter().copied().collect();
    for frame in frames.keys() {
        assert!(covered.contains(frame.as_str()), "no row has the frame {frame}");
    }
    for path in methods.keys() {
        let by_frame = of_frames.iter().any(|(frame, of_frame)| of_frame == path && covered.contains(frame.as_str()));
        assert!(by_frame || covered.contains(path.as_str()), "no row has the method {path}");
    }
    for name in covered {
        assert!(frames.contains_key(name) || methods.contains_key(name), "{name} of a row does not exist");
    }
}
