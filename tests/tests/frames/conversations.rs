//! Conversations, their members, and what each member keeps of them.

use anyhow::{Context as _, Result, ensure};
use pbjson_types::Timestamp;
use viberchat_proto::{
    conversation::v1::{self as wire, Conversation, ConversationOrder},
    message::v1::{ListMessagesRequest, entry_body::Body},
    types::v1::{ConversationKind, HistoryVisibility, Metadata, Role},
};
use viberchat_tests::{
    client::{
        AddMembers, BatchGetConversations, DeleteConversation, GetConversation, LeaveConversation, ListConversations,
        ListMembers, ListMessages, RemoveMember, UpdateConversation, UpdateMemberRole, UpdateMemberSettings,
    },
    history::Push,
};

use super::world::{User, World, reason, soon};

async fn get(user: &User, id: &str) -> Result<Conversation> {
    let request = wire::GetConversationRequest { conversation_id: id.to_owned() };
    user.call::<GetConversation>(request).await?.conversation.context("a conversation")
}

async fn list(user: &User, change: impl FnOnce(&mut wire::ListConversationsRequest)) -> Result<Vec<String>> {
    let mut request = wire::ListConversationsRequest::default();
    change(&mut request);
    let listed = user.call::<ListConversations>(request).await?;
    Ok(listed.conversations.into_iter().map(|found| found.conversation_id).collect())
}

async fn settings(
    user: &User,
    id: &str,
    change: impl FnOnce(&mut wire::UpdateMemberSettingsRequest),
) -> Result<wire::MemberSettings> {
    let mut request = wire::UpdateMemberSettingsRequest { conversation_id: id.to_owned(), ..Default::default() };
    change(&mut request);
    user.call::<UpdateMemberSettings>(request).await?.settings.context("settings")
}

pub(crate) async fn a_group_is_made_changed_and_left(world: &World) -> Result<()> {
    let (ann, bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    let group = ann.group("group", &[&bob]).await?;
    let update = |etag: &str, request_id: &str| wire::UpdateConversationRequest {
        conversation_id: group.clone(),
        name: Some("renamed".into()),
        description: Some("about it".into()),
        etag: etag.to_owned(),
        request_id: request_id.to_owned(),
        history: HistoryVisibility::Shared.into(),
        metadata: Some(Metadata { entries: [("colour".to_owned(), "blue".to_owned())].into() }),
        ..Default::default()
    };
    let first = get(&bob, &group).await?;
    ensure!((first.name.as_str(), first.role(), first.member_count) == ("group", Role::Member, 2), "{first:?}");
    ensure!(reason(bob.call::<UpdateConversation>(update("", "one")).await) == "ROLE_REQUIRED", "a member");
    let updated = ann.call::<UpdateConversation>(update(&first.etag, "one")).await?;
    ensure!(updated.seq == 2, "{updated:?}");
    let stale = ann.call::<UpdateConversation>(update(&first.etag, "two")).await;
    ensure!(reason(stale) == "ETAG_MISMATCH", "an etag from before");
    bob.hears_entry(&group, 2).await?;
    let now = get(&bob, &group).await?;
    let metadata = now.metadata.clone().unwrap_or_default().entries;
    ensure!((now.name.as_str(), now.description.as_str()) == ("renamed", "about it"), "{now:?}");
    ensure!(metadata.get("colour").map(String::as_str) == Some("blue"), "{now:?}");

    let add = |user_ids: Vec<String>, request_id: &str| wire::AddMembersRequest {
        conversation_id: group.clone(),
        user_ids,
        request_id: request_id.to_owned(),
    };
    ensure!(reason(bob.call::<AddMembers>(add(vec![world.name("dan")], "no")).await) == "ROLE_REQUIRED", "a member");
    ensure!(ann.call::<AddMembers>(add(vec![cat.name().into()], "add")).await?.seq == 3, "an entry");
    ensure!(ann.call::<AddMembers>(add(vec![cat.name().into()], "add")).await?.seq == 3, "the same id once more");
    let exists = ann.call::<AddMembers>(add(vec![cat.name().into()], "again")).await;
    ensure!(reason(exists) == "MEMBER_EXISTS", "twice");
    let added = |push: &Push| matches!(push, Push::Added { conversation, .. } if *conversation == group);
    cat.hears(0, "of the group", added).await?;

    let role = wire::UpdateMemberRoleRequest {
        conversation_id: group.clone(),
        user_id: bob.name().to_owned(),
        role: Role::Admin.into(),
        request_id: "role".into(),
    };
    let changed = ann.call::<UpdateMemberRole>(role.clone()).await?;
    ensure!(changed.seq == 4 && changed.member.is_some_and(|member| member.role() == Role::Admin), "an admin");
    let request = wire::ListMembersRequest { conversation_id: group.clone(), ..Default::default() };
    let members = cat.call::<ListMembers>(request).await?.members;
    let members: Vec<(&str, Role)> = members.iter().map(|member| (member.user_id.as_str(), member.role())).collect();
    let wanted = [(ann.name(), Role::Owner), (bob.name(), Role::Admin), (cat.name(), Role::Member)];
    ensure!(members == wanted, "{members:?}");
    ensure!(reason(bob.call::<UpdateMemberRole>(role).await) == "ROLE_REQUIRED", "an admin does not change roles");

    let remove = wire::RemoveMemberRequest {
        conversation_id: group.clone(),
        user_id: cat.name().to_owned(),
        request_id: "remove".into(),
    };
    ensure!(bob.call::<RemoveMember>(remove).await?.seq == 5, "an admin removes members");
    let removed = |push: &Push| matches!(push, Push::Removed { conversation } if *conversation == group);
    cat.hears(0, "of the removal", removed).await?;
    let request = wire::GetConversationRequest { conversation_id: group.clone() };
    ensure!(reason(cat.call::<GetConversation>(request).await) == "CONVERSATION_NOT_FOUND", "out");
    let leave = wire::LeaveConversationRequest { conversation_id: group.clone(), request_id: "leave".into() };
    ensure!(ann.call::<LeaveConversation>(leave).await?.seq == 6, "an owner leaves");
    ann.hears(0, "of leaving", removed).await?;
    bob.hears_entry(&group, 6).await?;
    ensure!(get(&bob, &group).await?.role() == Role::Owner, "the oldest admin inherits");
    Ok(())
}

pub(crate) async fn a_deleted_group_is_gone_for_all(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let group = ann.group("group", &[&bob]).await?;
    bob.send(&group, "hello").await?;
    let delete = |request_id: &str| wire::DeleteConversationRequest {
        conversation_id: group.clone(),
        request_id: request_id.to_owned(),
    };
    ensure!(reason(bob.call::<DeleteConversation>(delete("mine")).await) == "ROLE_REQUIRED", "a member");
    let closed = ann.call::<DeleteConversation>(delete("close")).await?;
    ensure!(closed.seq == 3, "{closed:?}");
    ensure!(ann.call::<DeleteConversation>(delete("close")).await?.seq == 3, "the same id once more");
    let removed = |push: &Push| matches!(push, Push::Removed { conversation } if *conversation == group);
    for user in [&ann, &bob] {
        user.hears(0, "of the end", removed).await?;
        ensure!(reason(user.send(&group, "late").await) == "CONVERSATION_NOT_FOUND", "nobody sends");
        soon("nobody reads", async || Ok(reason(user.log(&group, 0).await) == "CONVERSATION_NOT_FOUND")).await?;
        ensure!(!list(user, |_| {}).await?.contains(&group), "it is in no list");
    }
    let direct = ann.direct(&bob).await?;
    let request = wire::DeleteConversationRequest { conversation_id: direct, request_id: "direct".into() };
    ensure!(reason(ann.call::<DeleteConversation>(request).await) == "DIRECT_IS_FIXED", "a direct stays");
    Ok(())
}

pub(crate) async fn own_settings_change_the_own_list_only(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let (one, two) = (ann.group("one", &[&bob]).await?, ann.group("two", &[&bob]).await?);
    let skip = ann.heard();
    let later = Timestamp { seconds: 4_000_000_000, nanos: 0 };
    let set = settings(&ann, &one, |request| {
        request.archived = Some(true);
        request.mute_until_time = Some(later);
        request.nickname = Some("my one".into());
    })
    .await?;
    ensure!(set.archived && set.mute_until_time == Some(later) && set.nickname == "my one", "{set:?}");
    let changed = |push: &Push| matches!(push, Push::Changed { conversation } if *conversation == one);
    ann.hears(skip, "of the own settings", changed).await?;
    ensure!(get(&ann, &one).await?.settings == Some(set), "the settings come with the conversation");
    ensure!(list(&ann, |_| {}).await? == [two.clone()], "an archived one is not in the list");
    ensure!(list(&ann, |request| request.archived = true).await? == [one.clone()], "but among the archived");
    ensure!(list(&bob, |_| {}).await?.contains(&one), "for others nothing changes");
    ensure!(
        get(&bob, &one).await?.settings.unwrap_or_default() == wire::MemberSettings::default(),
        "nor do they see it"
    );
    let set = settings(&ann, &one, |request| {
        request.archived = Some(false);
        request.pinned = Some(true);
        request.mute_until_time = Some(Timestamp { seconds: 0, nanos: 0 });
    })
    .await?;
    ensure!(set.pinned && set.mute_until_time.is_none() && set.nickname == "my one", "{set:?}");
    bob.send(&two, "newer").await?;
    ensure!(list(&ann, |_| {}).await? == [one.clone(), two.clone()], "a pinned one is on top");
    let request = wire::UpdateMemberSettingsRequest {
        conversation_id: one,
        nickname: Some("n".repeat(256)),
        ..Default::default()
    };
    ensure!(reason(ann.call::<UpdateMemberSettings>(request).await) == "INVALID_ARGUMENT", "a long nickname");
    Ok(())
}

pub(crate) async fn a_cleared_chat_is_hidden_from_oneself_only(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let direct = ann.direct(&bob).await?;
    ann.send(&direct, "one").await?;
    bob.send(&direct, "two").await?;
    ann.hears_entry(&direct, 2).await?;
    let set = settings(&ann, &direct, |request| request.cleared_seq = Some(2)).await?;
    ensure!(set.cleared_seq == 2, "{set:?}");
    let back = settings(&ann, &direct, |request| request.cleared_seq = Some(1)).await?;
    ensure!(back.cleared_seq == 2, "only forward: {back:?}");
    soon("the list leaves it out", async || Ok(!list(&ann, |_| {}).await?.contains(&direct))).await?;
    let all = async |user: &User| -> Result<Vec<String>> {
        let request = ListMessagesRequest { conversation_id: direct.clone(), ..Default::default() };
        Ok(user.call::<ListMessages>(request).await?.messages.into_iter().map(|message| message.text).collect())
    };
    soon("the messages are hidden", async || Ok(all(&ann).await?.is_empty())).await?;
    let log = ann.log(&direct, 0).await?;
    let hidden = log.first().and_then(|entry| entry.body.clone()?.body);
    ensure!(matches!(hidden, Some(Body::Hidden(hidden)) if hidden.to_seq == 2) && log[0].seq == 1, "{log:?}");
    ensure!(all(&bob).await? == ["one", "two"], "the peer has it all");
    bob.send(&direct, "three").await?;
    ann.hears_entry(&direct, 3).await?;
    ensure!(all(&ann).await? == ["three"], "what is newer is there");
    soon("the list has it again", async || Ok(list(&ann, |_| {}).await?.contains(&direct))).await
}

pub(crate) async fn lists_go_by_name_and_by_kind(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let beta = ann.group("Beta", &[]).await?;
    let alpha = ann.group("alpha", &[]).await?;
    let gamma = ann.group("gamma", &[]).await?;
    settings(&ann, &gamma, |request| request.nickname = Some("AAA".into())).await?;
    let direct = ann.direct(&bob).await?;
    ensure!(ann.direct(&bob).await? == direct, "there is one direct");
    bob.send(&direct, "hello").await?;
    let by_name = list(&ann, |request| {
        request.kind = ConversationKind::Group.into();
        request.order = ConversationOrder::Name.into();
    })
    .await?;
    ensure!(by_name == [gamma.clone(), alpha.clone(), beta.clone()], "{by_name:?}");
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListConversationsRequest {
            kind: ConversationKind::Group.into(),
            order: ConversationOrder::Name.into(),
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let page = ann.call::<ListConversations>(request).await?;
        pages.extend(page.conversations.into_iter().map(|found| found.conversation_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    ensure!(pages == by_name, "page by page: {pages:?}");
    let directs = list(&ann, |request| request.kind = ConversationKind::Direct.into()).await?;
    ensure!(directs == [direct.clone()], "{directs:?}");
    soon("the newest first", async || Ok(list(&ann, |_| {}).await?.first() == Some(&direct))).await?;
    ensure!(reason(ann.direct(&ann).await) == "SELF_CONVERSATION", "nobody talks to themselves");
    Ok(())
}

pub(crate) async fn several_are_got_at_once(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let (one, two) = (ann.group("one", &[&bob]).await?, ann.group("two", &[]).await?);
    let request = wire::BatchGetConversationsRequest { conversation_ids: vec![one.clone(), two.clone()] };
    let both = ann.call_outside::<BatchGetConversations>(request.clone()).await?.conversations;
    ensure!(both.len() == 2, "{both:?}");
    let mine = bob.call_outside::<BatchGetConversations>(request).await?.conversations;
    ensure!(mine.len() == 1 && mine[0].conversation_id == one, "those of others are left out: {mine:?}");
    let request = wire::BatchGetConversationsRequest { conversation_ids: vec![two; 201] };
    ensure!(reason(ann.call_outside::<BatchGetConversations>(request).await) == "LIMIT_EXCEEDED", "201 at once");
    Ok(())
}
