//! Users: their profiles, whom they find, whom they block.

use anyhow::{Context as _, Result, ensure};
use viberchat_kit::auth::Scope;
use viberchat_proto::conversation::v1::{
    self as wire, User as Profile, user_directory_service_client::UserDirectoryServiceClient,
};
use viberchat_tests::client::{BatchGetUsers, BlockUser, GetConversation, ListBlockedUsers, SearchUsers, UnblockUser};

use super::world::{User, World, reason, soon};

async fn upsert(world: &World, users: Vec<Profile>) -> Result<()> {
    world.note("viberchat.conversation.v1.UserDirectoryService/UpsertUsers");
    let request = world.by_service(&[Scope::Directory], wire::UpsertUsersRequest { users })?;
    UserDirectoryServiceClient::new(world.channel()?).upsert_users(request).await?;
    Ok(())
}

fn profile(id: String, display_name: &str) -> Profile {
    let email = format!("{id}@example.org");
    Profile {
        username: format!("login-{id}"),
        user_id: id,
        display_name: display_name.into(),
        email,
        ..Default::default()
    }
}

async fn search(user: &User, query: &str) -> Result<Vec<String>> {
    let request = wire::SearchUsersRequest { query: query.to_owned(), ..Default::default() };
    Ok(user.call::<SearchUsers>(request).await?.users.into_iter().map(|found| found.user_id).collect())
}

pub(crate) async fn a_block_stops_both_and_hides_nothing(world: &World) -> Result<()> {
    let (ann, bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    let direct = ann.direct(&bob).await?;
    let group = ann.group("group", &[&bob]).await?;
    bob.send(&direct, "before").await?;
    let block = |user: &User| wire::BlockUserRequest { user_id: user.name().to_owned() };
    let unblock = |user: &User| wire::UnblockUserRequest { user_id: user.name().to_owned() };
    ensure!(reason(ann.call::<BlockUser>(block(&ann)).await) == "SELF_CONVERSATION", "nobody blocks themselves");
    ann.call::<BlockUser>(block(&bob)).await?;
    ann.call::<BlockUser>(block(&bob)).await?;
    for (number, user) in [&ann, &bob].into_iter().enumerate() {
        let mut tries = 0;
        soon("a block stops both", async || {
            tries += 1;
            Ok(reason(user.send(&direct, &format!("blocked {number} {tries}")).await) == "BLOCKED")
        })
        .await?;
        user.send(&group, &format!("in a group {number}")).await?;
        let texts = user.log(&direct, 0).await?;
        ensure!(texts.first().is_some_and(|entry| entry.seq == 1), "what was there stays readable: {texts:?}");
    }
    let seen = async |user: &User| -> Result<bool> {
        let request = wire::GetConversationRequest { conversation_id: direct.clone() };
        Ok(user.call::<GetConversation>(request).await?.conversation.context("a conversation")?.peer_blocked)
    };
    ensure!(seen(&ann).await? && !seen(&bob).await?, "only who blocked is told");
    // A first contact is refused as well, from both sides.
    ann.call::<BlockUser>(block(&cat)).await?;
    ensure!(
        reason(ann.direct(&cat).await) == "BLOCKED" && reason(cat.direct(&ann).await) == "BLOCKED",
        "no new direct"
    );
    let page = ann.call::<ListBlockedUsers>(wire::ListBlockedUsersRequest::default()).await?;
    let blocked: Vec<&str> = page.users.iter().map(|blocked| blocked.user_id.as_str()).collect();
    ensure!(blocked == [bob.name(), cat.name()], "{blocked:?}");
    ensure!(
        bob.call::<ListBlockedUsers>(wire::ListBlockedUsersRequest::default()).await?.users.is_empty(),
        "not bob's"
    );
    for user in [&bob, &cat] {
        ann.call::<UnblockUser>(unblock(user)).await?;
        ann.call::<UnblockUser>(unblock(user)).await?;
    }
    let mut tries = 0;
    soon("the end of a block", async || {
        tries += 1;
        Ok(bob.send(&direct, &format!("free {tries}")).await.is_ok())
    })
    .await?;
    cat.direct(&ann).await?;
    Ok(())
}

pub(crate) async fn profiles_are_shown_and_found(world: &World) -> Result<()> {
    let (ann, bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    let word = world.name("word");
    let profiles = [&ann, &bob, &cat].map(|user| profile(user.name().to_owned(), &format!("Mx {word}")));
    upsert(world, profiles.to_vec()).await?;
    ann.group("group", &[&bob]).await?;
    let request =
        wire::BatchGetUsersRequest { user_ids: vec![ann.name().into(), bob.name().into(), world.name("bare")] };
    let users = ann.call::<BatchGetUsers>(request).await?.users;
    let email = |id: &str| users.iter().find(|user| user.user_id == id).map(|user| user.email.as_str());
    ensure!(users.len() == 3, "an open directory knows everybody: {users:?}");
    ensure!(email(ann.name()).is_some_and(|email| !email.is_empty()), "one's own address");
    ensure!(email(bob.name()) == Some(""), "not that of others");
    // By default one finds oneself and those with whom one shares a conversation.
    let mut found = search(&ann, &word.to_uppercase()[..word.len() - 1]).await?;
    found.sort();
    ensure!(found == [ann.name(), bob.name()], "{found:?}");
    ensure!(search(&cat, &word).await? == [cat.name()], "a stranger finds nobody else");
    let request = wire::SearchUsersRequest { query: " ".into(), ..Default::default() };
    ensure!(reason(ann.call::<SearchUsers>(request).await) == "INVALID_ARGUMENT", "a blank query");
    Ok(())
}

pub(crate) async fn a_deactivated_user_is_gone(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let word = world.name("gone");
    upsert(world, vec![profile(bob.name().to_owned(), &word)]).await?;
    let direct = ann.direct(&bob).await?;
    bob.send(&direct, "before").await?;
    world.note("viberchat.conversation.v1.UserDirectoryService/DeactivateUser");
    let request = wire::DeactivateUserRequest { user_id: bob.name().to_owned() };
    let mut directory = UserDirectoryServiceClient::new(world.channel()?);
    directory.deactivate_user(world.by_service(&[Scope::Directory], request)?).await?;
    let mut tries = 0;
    soon("the peer is gone", async || {
        tries += 1;
        Ok(reason(ann.send(&direct, &format!("hello {tries}")).await) == "PEER_GONE")
    })
    .await?;
    ensure!(ann.log(&direct, 0).await?.first().is_some_and(|entry| entry.seq == 1), "what was there stays");
    ensure!(search(&ann, &word).await?.is_empty(), "nobody finds them");
    soon("they are refused", async || Ok(bob.send(&direct, "me again").await.is_err())).await?;
    upsert(world, vec![profile(bob.name().to_owned(), &word)]).await?;
    soon("they are back", async || {
        tries += 1;
        Ok(ann.send(&direct, &format!("hello {tries}")).await.is_ok())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_says_who_finds_whom() -> Result<()> {
    for (scope, finds) in [("everybody", Some(1)), ("shared", Some(0)), ("off", None)] {
        let world = World::open_with(|settings| settings.set("CONVERSATION__SEARCH", scope)).await?;
        let ann = world.user("ann").await?;
        upsert(&world, vec![profile("stranger".to_owned(), "Somebody")]).await?;
        let request = wire::SearchUsersRequest { query: "some".into(), ..Default::default() };
        match (ann.call::<SearchUsers>(request).await, finds) {
            (Ok(found), Some(count)) => ensure!(found.users.len() == count, "{scope}: {found:?}"),
            (refused, None) => ensure!(reason(refused) == "PERMISSION_DENIED", "{scope}"),
            (Err(refusal), _) => anyhow::bail!("{scope}: {refusal}"),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_directory_knows_only_those_whom_the_host_application_named() -> Result<()> {
    let world = World::open_with(|settings| settings.set("CONVERSATION__DIRECTORY", "strict")).await?;
    let names = [world.name("ann"), world.name("bob")];
    upsert(&world, names.iter().map(|name| profile(name.clone(), "Known")).collect()).await?;
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    ann.direct(&bob).await?;
    let request = wire::GetOrCreateDirectConversationRequest { peer_user_id: world.name("stranger") };
    let refused = ann.call::<viberchat_tests::client::GetOrCreateDirectConversation>(request).await;
    ensure!(reason(refused) == "USER_NOT_FOUND", "a user whom nobody named");
    Ok(())
}
