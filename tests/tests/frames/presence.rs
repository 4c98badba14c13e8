//! Who is there, and who types.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use viberchat_proto::{
    conversation::v1 as conversation,
    presence::v1::{self as wire, Status as Set},
};
use viberchat_tests::{
    client::{BatchGetPresence, RemoveMember, SetStatus, SetTyping, UnwatchPresence, WatchPresence},
    history::{Door, Push, Status, presence_of},
};

use super::world::{LIMIT, User, World, reason};

fn shows<'a>(user: &'a User, status: Status) -> impl Fn(&Push) -> bool + 'a {
    move |push| match push {
        Push::Presence(presences) => presences.iter().any(|found| found.user == user.name() && found.status == status),
        _ => false,
    }
}

pub(crate) async fn watch(watcher: &User, watched: &[&User]) -> Result<Vec<Status>> {
    let user_ids = watched.iter().map(|user| user.name().to_owned()).collect();
    let request = viberchat_proto::gateway::v1::WatchPresence { user_ids };
    let snapshot = watcher.ask::<WatchPresence>(request).await?.presences;
    ensure!(snapshot.len() == watched.len(), "one for each: {snapshot:?}");
    Ok(watched
        .iter()
        .map(|user| {
            let found = snapshot.iter().find(|presence| presence.user_id == user.name());
            found.map_or(Status::Unknown, |found| presence_of(found).status)
        })
        .collect())
}

pub(crate) async fn typing_is_pushed_and_ends(world: &World) -> Result<()> {
    let (ann, bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    let direct = ann.direct(&bob).await?;
    ann.send(&direct, "hello").await?;
    bob.hears(0, "of the direct", |push| matches!(push, Push::Added { conversation, .. } if *conversation == direct))
        .await?;
    let types = |typing: bool| {
        let (direct, user) = (direct.clone(), ann.name().to_owned());
        move |push: &Push| matches!(push, Push::Typing { conversation, user: who, typing: now } if *conversation == direct && *who == user && *now == typing)
    };
    let request = |typing: bool| wire::SetTypingRequest { conversation_id: direct.clone(), typing };
    let skip = bob.heard();
    ann.call::<SetTyping>(request(true)).await?;
    bob.hears(skip, "of typing", types(true)).await?;
    ann.call::<SetTyping>(request(false)).await?;
    bob.hears(skip, "of its end", types(false)).await?;
    let skip = bob.heard();
    ann.call::<SetTyping>(request(true)).await?;
    bob.hears(skip, "of typing once more", types(true)).await?;
    bob.hears(skip, "of its end by itself", types(false)).await?;
    ensure!(reason(cat.call::<SetTyping>(request(true)).await) == "CONVERSATION_NOT_FOUND", "a stranger");
    ensure!(!cat.client.pushes().iter().any(|push| matches!(push, Push::Typing { .. })), "a stranger hears nothing");
    Ok(())
}

pub(crate) async fn a_status_is_pushed_to_who_watches(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    ann.group("group", &[&bob]).await?;
    soon_shows(&bob, &ann, Status::Online).await?;
    for (set, shown) in [(Set::Away, Status::Away), (Set::Busy, Status::Busy), (Set::Invisible, Status::Offline)] {
        let skip = bob.heard();
        let answer = ann.call::<SetStatus>(wire::SetStatusRequest { status: set.into() }).await?;
        ensure!(answer.presence.context("a presence")?.status() == set, "one sees one's own status");
        bob.hears(skip, &format!("of {set:?}"), shows(&ann, shown)).await?;
    }
    ensure!(!bob.client.pushes().iter().any(shows(&ann, Status::Invisible)), "invisible is shown to nobody");
    let skip = bob.heard();
    ann.call::<SetStatus>(wire::SetStatusRequest { status: Set::Online.into() }).await?;
    bob.hears(skip, "that ann is back", shows(&ann, Status::Online)).await?;
    let refused = ann.call::<SetStatus>(wire::SetStatusRequest { status: Set::Offline.into() }).await;
    ensure!(reason(refused) == "INVALID_ARGUMENT", "offline is not to be set");
    Ok(())
}

/// Watches until the snapshot or a push says so.
async fn soon_shows(watcher: &User, watched: &User, status: Status) -> Result<()> {
    let skip = watcher.heard();
    if watch(watcher, &[watched]).await? != [status] {
        watcher.hears(skip, &format!("{status:?}"), shows(watched, status)).await?;
    }
    Ok(())
}

pub(crate) async fn a_watch_has_a_snapshot_and_its_end(world: &World) -> Result<()> {
    let (ann, mut bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    ann.group("group", &[&bob]).await?;
    soon_shows(&ann, &bob, Status::Online).await?;
    ensure!(watch(&ann, &[&bob, &cat]).await? == [Status::Online, Status::Unknown], "a stranger stays unknown");
    let skip = ann.heard();
    bob.client.leave();
    ann.hears(skip, "that bob left", shows(&bob, Status::Offline)).await?;
    let skip = ann.heard();
    bob.client.connect().await?;
    ann.hears(skip, "that bob is back", shows(&bob, Status::Online)).await?;
    let request = viberchat_proto::gateway::v1::UnwatchPresence { user_ids: vec![bob.name().to_owned()] };
    ann.ask::<UnwatchPresence>(request).await?;
    let skip = ann.heard();
    bob.client.set_status(Door::Socket, Set::Busy).await?;
    // Whoever still watches has heard of it before ann can say that she did not.
    let dan = world.user("dan").await?;
    bob.group("another", &[&dan]).await?;
    soon_shows(&dan, &bob, Status::Busy).await?;
    ensure!(!ann.client.pushes().iter().skip(skip).any(|push| matches!(push, Push::Presence(_))), "watched no more");
    let request = viberchat_proto::gateway::v1::WatchPresence { user_ids: vec![bob.name().to_owned(); 201] };
    ensure!(reason(ann.ask::<WatchPresence>(request).await) == "INVALID_ARGUMENT", "201 at once");
    Ok(())
}

/// A second for the change to be heard of and one more, with room for a busy machine; far less than any regular check.
const PARTED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn who_is_removed_is_seen_no_more_and_sees_nobody(world: &World) -> Result<()> {
    let (ann, bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    let group = ann.group("group", &[&bob, &cat]).await?;
    let (annas, bobs) = (ann.heard(), bob.heard());
    for (watcher, watched) in [(&ann, &bob), (&ann, &cat), (&bob, &ann)] {
        soon_shows(watcher, watched, Status::Online).await?;
    }
    let request = conversation::RemoveMemberRequest {
        conversation_id: group,
        user_id: bob.name().to_owned(),
        request_id: "remove".to_owned(),
    };
    ann.call::<RemoveMember>(request).await?;
    for (watcher, watched, skip) in [(&ann, &bob, annas), (&bob, &ann, bobs)] {
        let told = watcher.client.wait_for_push(PARTED_WITHIN, skip, shows(watched, Status::Unknown)).await;
        ensure!(told, "{} sees {} still: {:?}", watcher.name(), watched.name(), watcher.client.pushes());
    }
    // What becomes of either is none of the other's business any more; who stayed is shown as before.
    let (annas, bobs) = (ann.heard(), bob.heard());
    for user in [&ann, &bob, &cat] {
        user.client.set_status(Door::Socket, Set::Busy).await?;
    }
    ann.hears(annas, "of who stayed", shows(&cat, Status::Busy)).await?;
    let dan = world.user("dan").await?;
    for user in [&ann, &bob] {
        user.group("another", &[&dan]).await?;
        soon_shows(&dan, user, Status::Busy).await?;
    }
    let pushed = |of: &User, to: &User, skip| {
        let is_of = |push: &Push| matches!(push, Push::Presence(all) if all.iter().any(|one| one.user == of.name()));
        to.client.pushes().iter().skip(skip).any(is_of)
    };
    ensure!(!pushed(&bob, &ann, annas) && !pushed(&ann, &bob, bobs), "they have parted");
    for (watcher, watched) in [(&ann, &bob), (&bob, &ann)] {
        ensure!(watch(watcher, &[watched]).await? == [Status::Unknown], "nor is it shown to who asks");
    }
    Ok(())
}

pub(crate) async fn presences_are_got_at_once(world: &World) -> Result<()> {
    let (ann, bob, cat) = (world.user("ann").await?, world.user("bob").await?, world.user("cat").await?);
    ann.group("group", &[&bob]).await?;
    let names = [bob.name(), cat.name(), ann.name()].map(str::to_owned);
    let polled = async {
        loop {
            let request = wire::BatchGetPresenceRequest { user_ids: names.to_vec() };
            let presences = ann.call_outside::<BatchGetPresence>(request).await?.presences;
            let of = |name: &str| presences.iter().find(|found| found.user_id == name).map(wire::Presence::status);
            let shown = [of(&names[0]), of(&names[1]), of(&names[2])];
            ensure!(shown[1] == Some(Set::Unspecified), "a stranger stays unknown: {presences:?}");
            if (shown[0], shown[2]) == (Some(Set::Online), Some(Set::Online)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, polled).await.context("who shares a group is seen online")?
}
