//! The session itself.

use anyhow::{Context as _, Result, ensure};
use viberchat_proto::gateway::v1 as wire;
use viberchat_tests::{
    client::{Focus, Heartbeat, RefreshToken, SetTyping, Socket},
    cluster::UserClaims,
    history::{Push, Verdict},
};

use super::world::{LIMIT, World, reason, soon};

pub(crate) async fn a_session_says_hello_lives_and_resumes(world: &World) -> Result<()> {
    let (mut ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    ann.note("hello");
    let welcome = ann.client.socket().context("online")?.welcome().clone();
    ensure!(welcome.user_id == ann.name() && !welcome.session_id.is_empty() && welcome.heartbeat_ms > 0, "{welcome:?}");
    let limits = welcome.limits.context("limits")?;
    ensure!(limits.text_bytes_max == 16 * 1024 && limits.resume_entries_max > 0, "{limits:?}");
    ensure!(welcome.token_expire_time.is_some() && welcome.server_time.is_some(), "the times");
    ann.ask::<Heartbeat>(wire::Heartbeat {}).await?;
    let group = bob.group("group", &[&ann]).await?;
    bob.send(&group, "one").await?;
    ann.hears_entry(&group, 2).await?;
    ann.client.leave();
    bob.send(&group, "two").await?;
    bob.send(&group, "three").await?;
    ann.note("resume_part");
    ann.note("resume_end");
    ann.client.connect().await?;
    ann.hears(0, "ready", |push| matches!(push, Push::Ready)).await?;
    ann.hears_entry(&group, 4).await?;
    let pushes = ann.client.pushes();
    let seqs: Vec<u64> = pushes
        .iter()
        .filter_map(|push| match push {
            Push::Entry(entry) if entry.conversation == group => Some(entry.seq),
            _ => None,
        })
        .collect();
    ensure!(seqs == [3, 4], "{pushes:?}");
    // What is still on its way to the gateway comes as what is new does.
    let complete = |push: &Push| matches!(push, Push::Resumed { conversation, verdict: Verdict::Complete { head: 3..=4 } } if *conversation == group);
    ensure!(pushes.iter().any(complete), "{pushes:?}");
    Ok(())
}

pub(crate) async fn focus_brings_typing_of_a_group(world: &World) -> Result<()> {
    let (ann, bob, eve) = (world.user("ann").await?, world.user("bob").await?, world.user("eve").await?);
    let group = ann.group("group", &[&bob, &eve]).await?;
    let on_screen = || wire::Focus { conversation_ids: vec![group.clone()] };
    let typing =
        |typing: bool| viberchat_proto::presence::v1::SetTypingRequest { conversation_id: group.clone(), typing };
    let typed = |by: &str, now: bool| {
        let (group, by) = (group.clone(), by.to_owned());
        move |push: &Push| match push {
            Push::Typing { conversation, user, typing } => *conversation == group && *user == by && *typing == now,
            _ => false,
        }
    };
    ann.ask::<Focus>(on_screen()).await?;
    bob.ask::<SetTyping>(typing(true)).await?;
    ann.hears(0, "of typing", typed(bob.name(), true)).await?;
    bob.ask::<SetTyping>(typing(false)).await?;
    ann.hears(0, "of its end", typed(bob.name(), false)).await?;
    // Eve looks at the group, Bob does not, and Ann looks elsewhere from now on. What one of them is told all are told at
    // once: when Eve has heard it, nothing is on its way to the others that would not come before their next answer.
    eve.ask::<Focus>(on_screen()).await?;
    ann.ask::<Focus>(wire::Focus { conversation_ids: Vec::new() }).await?;
    let (ann_heard, eve_heard) = (ann.heard(), eve.heard());
    for user in [&ann, &bob] {
        user.ask::<SetTyping>(typing(true)).await?;
        eve.hears(eve_heard, "of typing", typed(user.name(), true)).await?;
    }
    for user in [&ann, &bob] {
        user.ask::<Heartbeat>(wire::Heartbeat {}).await?;
    }
    ensure!(!bob.client.pushes().iter().any(typed(ann.name(), true)), "bob did not look");
    ensure!(!ann.client.pushes().iter().skip(ann_heard).any(typed(bob.name(), true)), "ann looks elsewhere");
    let request = wire::Focus { conversation_ids: vec![group.clone(); 21] };
    ensure!(reason(ann.ask::<Focus>(request).await) == "INVALID_ARGUMENT", "21 on one screen");
    Ok(())
}

pub(crate) async fn a_newer_token_keeps_the_session(world: &World) -> Result<()> {
    let (ann, bob) = (world.user("ann").await?, world.user("bob").await?);
    let token = |user: &str, ttl_seconds| {
        let claims = UserClaims { user: user.into(), ttl_seconds, token_type: Some("access") };
        world.server.tokens().user_with(&claims)
    };
    let answer = ann.ask::<RefreshToken>(wire::RefreshToken { token: token(ann.name(), 172_800) }).await?;
    let now = ann.client.socket().context("online")?.welcome().server_time.context("a clock")?;
    let left = answer.token_expire_time.context("a time")?.seconds - now.seconds;
    ensure!((172_700..172_900).contains(&left), "it ends in {left} s");
    ensure!(
        reason(ann.ask::<RefreshToken>(wire::RefreshToken { token: "nonsense".into() }).await) != "taken",
        "nonsense"
    );
    let others = bob.ask::<RefreshToken>(wire::RefreshToken { token: token(ann.name(), 7_200) }).await;
    ensure!(reason(others) != "taken", "the token of another user");
    let shorter = ann.ask::<RefreshToken>(wire::RefreshToken { token: token(ann.name(), 60) }).await?;
    ensure!(shorter.token_expire_time == answer.token_expire_time, "a token that ends earlier takes nothing away");
    // A token that ends soon is announced, and ends its session; a newer one saves it.
    let saved = world.session("saved", &token(&world.name("saved"), 2)).await?;
    let lost = world.session("lost", &token(&world.name("lost"), 2)).await?;
    let announced = |session: &Socket| {
        let pushes = world.recorder().pushes(session.session());
        pushes.iter().any(|push| matches!(push, Push::TokenExpires))
    };
    soon("the end of a token is announced", async || Ok(announced(&saved) && announced(&lost))).await?;
    saved.call::<RefreshToken>(wire::RefreshToken { token: token(&world.name("saved"), 7_200) }).await?;
    ensure!(lost.wait_for_end(LIMIT).await, "the session ends with its token");
    let closed = world.recorder().history().sessions[lost.session()].closed.and_then(|closed| closed.code);
    ensure!(closed == Some(4010), "closed with {closed:?}");
    ensure!(!saved.is_over(), "the other one goes on");
    Ok(())
}
