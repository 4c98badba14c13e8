//! Two of each service, crossed, in weather: each is restarted, dies, stands still, has a wrong clock, or hears a bad bus, while users chat.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use viberchat_kit::{
    auth::Scope,
    clock::{Clock as _, SystemClock, Timestamp},
};
use viberchat_proto::message::v1::SendMessageRequest;
use viberchat_tests::{
    client::{Client, SendMessage},
    cluster::{Server, Settings, Split},
    history::{Counters, Door, Outage, Recorder},
    workload::{chat_through, wait_for_an_ack},
};

/// After what is done to a process writes succeed within this time.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

/// What is to die soon does so under load.
const DEATH_LIMIT: Duration = Duration::from_secs(60);

/// For how long a process stands still: long enough for others to give it up.
const STANDSTILL: Duration = Duration::from_secs(3);

/// What users do between two blows.
const ACKS_BETWEEN: usize = 100;

/// By how much a clock is wrong.
const CLOCK_AHEAD: Duration = Duration::from_secs(3_600);

/// By how much what is promised in time may be late: so many processes on a small machine spend seconds waiting for a core.
pub(super) const SLACK: Duration = Duration::from_secs(9);

/// Gateways that stop send their users away within a second.
fn settings() -> Result<Option<Settings>> {
    let settings = Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))?.set("GATEWAY__DRAIN_MS", "1000");
    Ok(settings.on_engines())
}

/// Waits until users have done something.
async fn go_on(recorder: &Recorder, acks: usize) -> Result<()> {
    for _ in 0..acks {
        wait_for_an_ack(recorder, RECOVERY_LIMIT).await?;
    }
    Ok(())
}

/// The message, conversation and presence services; with the gateways at the end.
fn all_of(split: &mut Split) -> Vec<&mut Server> {
    let mut others: Vec<&mut Server> = split.others.iter_mut().collect();
    let other_gateway = others.pop();
    let mut all = vec![&mut split.message, &mut split.conversation, &mut split.presence];
    all.extend(others);
    all.push(&mut split.gateway);
    all.extend(other_gateway);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_is_restarted_in_turn_while_users_write_on() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    let restarts = async |split: &mut Split, recorder: &Recorder| {
        for server in all_of(split) {
            go_on(recorder, 20).await?;
            let begun = recorder.now();
            server.stop(recorder).await?;
            // The other one of its kind is there: users of the other gateway write on.
            wait_for_an_ack(recorder, RECOVERY_LIMIT).await?;
            server.restart().await?;
            recorder.unasked(Outage { begun, ended: recorder.now() });
            wait_for_an_ack(recorder, RECOVERY_LIMIT).await?;
        }
        go_on(recorder, 20).await
    };
    let report = chat_through(Split::start_crossed(&settings).await?, SLACK, restarts).await?;
    report.assert_green(Counters { duplicates: 1, resumed: 8, filled: 1, conditions_lost: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_between_an_append_and_its_effects_leaves_nothing_half_done() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    let deaths = async |split: &mut Split, recorder: &Recorder| {
        let server = &mut split.message;
        let settings = server.settings().clone();
        for pass in [40, 70] {
            server.kill(recorder).await?;
            server.set_settings(settings.clone().kill_point("message.log_unprojected", pass));
            server.restart().await?;
            server.wait_for_death(DEATH_LIMIT, recorder).await?;
            server.set_settings(settings.clone());
            server.restart().await?;
            go_on(recorder, 20).await?;
        }
        Ok(())
    };
    let report = chat_through(Split::start_crossed(&settings).await?, SLACK, deaths).await?;
    report.assert_green(Counters { duplicates: 1, ..Counters::default() });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_for_a_while_keeps_nobody_else_and_loses_nothing() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    let standstills = async |split: &mut Split, recorder: &Recorder| {
        for server in [&split.message, &split.conversation, &split.presence] {
            go_on(recorder, 20).await?;
            let begun = recorder.now();
            server.pause()?;
            let (before, paused) = (recorder.acks(), tokio::time::Instant::now());
            // Users of the other gateway, whose services stand nowhere in its way.
            go_on(recorder, 20).await?;
            ensure!(recorder.acks() > before, "others go on");
            tokio::time::sleep_until(paused + STANDSTILL).await;
            server.resume()?;
            recorder.unasked(Outage { begun, ended: recorder.now() });
            wait_for_an_ack(recorder, RECOVERY_LIMIT).await?;
        }
        go_on(recorder, ACKS_BETWEEN).await
    };
    let report = chat_through(Split::start_crossed(&settings).await?, SLACK, standstills).await?;
    report.assert_green(Counters { duplicates: 1, ..Counters::default() });
    Ok(())
}

/// When a message of now was sent, as the first message service says.
async fn time_of_a_message(split: &Split) -> Result<Timestamp> {
    let ann = Client::new(&split.gateway, "ann", &Recorder::default())?;
    let conversation_id = ann.create_group(Door::Grpc, &["bob".to_owned()], "times").await?;
    let (client_message_id, text) = ("now".to_owned(), "now".to_owned());
    let request = SendMessageRequest { conversation_id, client_message_id, text, ..Default::default() };
    let (sent, _) = ann.call::<SendMessage>(Door::Grpc, request).await?;
    let time = sent.message.and_then(|message| message.create_time).context("a message has a time")?;
    Timestamp::from_proto(&time).context("which is one")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_ahead_changes_nothing() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    // A token that a process signs for itself is good for an hour, and an hour ahead it is over.
    let scopes = [Scope::ActForUsers, Scope::Authorize, Scope::Relay];
    let token = settings.tokens().service("deployment", &scopes);
    let mut split = Split::start_crossed(&settings.without_grace().service_token(&token)?).await?;
    let ahead = split.message.settings().clone().clock_ahead(CLOCK_AHEAD);
    split.message.stop(&Recorder::default()).await?;
    split.message.set_settings(ahead);
    split.message.restart().await?;
    ensure!(time_of_a_message(&split).await?.since(SystemClock.now()) > CLOCK_AHEAD / 2, "the clock is ahead");
    let report = chat_through(split, SLACK, async |_, recorder| go_on(recorder, 4 * ACKS_BETWEEN).await).await?;
    report.assert_green(Counters { duplicates: 5, conditions_lost: 1, ..Counters::default() });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_loses_doubles_and_reorders_hints_costs_time_and_nothing_else() -> Result<()> {
    let Some(settings) = settings()? else { return Ok(()) };
    let split = Split::start_crossed(&settings.without_grace().bad_bus()).await?;
    let report = chat_through(split, SLACK, async |_, recorder| go_on(recorder, 4 * ACKS_BETWEEN).await).await?;
    report.assert_green(Counters { duplicates: 5, conditions_lost: 1, filled: 1, ..Counters::default() });
    Ok(())
}
