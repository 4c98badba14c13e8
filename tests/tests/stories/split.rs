//! Each service in a process of its own: the same promises, and each part can be lost while the others go on (C14).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use tonic::{Code, Request};
use viberchat_kit::auth::{ON_BEHALF_OF, Scope};
use viberchat_proto::conversation::v1::{
    ListConversationsRequest, conversation_service_client::ConversationServiceClient,
};
use viberchat_tests::{
    client::{Attempt, Client, channel, http, socket::Encoding},
    cluster::{Server, Settings, Split},
    history::{Action, Answer, Counters, Door, Outage, Recorder, text_with},
    workload::{Crowd, Plan, chat_through, judge, size_from_environment, wait_for_an_ack},
};

use super::crossed::SLACK;

/// After a restart writes succeed within this time.
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

/// How long members that are known may write without the conversation service, here.
const GRACE: Duration = Duration::from_secs(3);

fn settings() -> Result<Settings> {
    Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_chat_on_services_apart_see_what_the_contract_promises() -> Result<()> {
    quiet_chat(&settings()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_chat_on_services_apart_on_engines_see_what_the_contract_promises() -> Result<()> {
    let Some(settings) = settings()?.on_engines() else { return Ok(()) };
    quiet_chat(&settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_two_gateways_whose_services_know_nothing_of_each_other_see_what_the_contract_promises() -> Result<()>
{
    let Some(settings) = settings()?.on_engines() else { return Ok(()) };
    chat_on(Split::start_crossed(&settings).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_two_of_each_service_see_what_the_contract_promises() -> Result<()> {
    let Some(settings) = settings()?.on_engines() else { return Ok(()) };
    chat_on(Split::start_doubled(&settings).await?).await
}

/// Appends that lost their condition to the other instance. A few may, while instances are found.
const CONDITIONS_LOST_MAX: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn sends_to_a_conversation_through_two_gateways_meet_at_one_instance() -> Result<()> {
    let Some(settings) = settings()?.on_engines() else { return Ok(()) };
    let (split, recorder) = (Split::start_doubled(&settings).await?, Recorder::default());
    let names: Vec<String> = (0..8).map(|number| format!("sender-{number}")).collect();
    let mut senders = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let mut sender = Client::new(split.gateways()[number % 2], name, &recorder)?;
        sender.connect().await?;
        senders.push(sender);
    }
    let group = senders[0].create_group(Door::Http, &names[1..], "group").await?;
    let numbers = AtomicU64::new(0);
    let sending = senders.iter().map(async |sender| {
        for _ in 0..50 {
            let attempt = attempt(&group, numbers.fetch_add(1, Ordering::Relaxed));
            let start = Instant::now();
            while !matches!(sender.attempt(Door::Socket, &attempt).await, Answer::Stored { .. }) {
                ensure!(start.elapsed() < RECOVERY_LIMIT, "{} is not taken", attempt.request_id);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        anyhow::Ok(())
    });
    try_join_all(sending).await?;
    let mut lost = 0;
    for server in &mut split.into_servers() {
        lost += server.counters().await?.conditions_lost;
        server.stop(&recorder).await?;
    }
    ensure!(lost <= CONDITIONS_LOST_MAX, "{lost} appends lost their condition");
    Ok(())
}

async fn quiet_chat(settings: &Settings) -> Result<()> {
    chat_on(Split::start(settings).await?).await
}

/// By how much what is promised in time may be late: less goes on where there are no engines.
fn slack(settings: &Settings) -> Duration {
    if settings.has_files() { Duration::ZERO } else { SLACK }
}

async fn chat_on(split: Split) -> Result<()> {
    let recorder = Recorder::default();
    recorder.allow(slack(split.gateway.settings()));
    let plan = Plan { steps: size_from_environment("VIBERCHAT_TEST_STEPS", 100), ..Plan::default() };
    let mut crowd = Crowd::gather(&plan, &split.gateways(), &recorder).await?;
    crowd.chat().await;
    let report = judge(crowd, &mut split.into_servers(), &recorder).await?;
    report.assert_green(Counters { duplicates: 5, resumed: 5, filled: 1, conditions_lost: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_is_killed_under_load_and_nothing_is_lost_or_doubled() -> Result<()> {
    kill_each(&settings()?.unsynced()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_on_engines_is_killed_under_load_and_nothing_is_lost_or_doubled() -> Result<()> {
    let Some(settings) = settings()?.on_engines() else { return Ok(()) };
    kill_each(&settings).await
}

async fn kill_each(settings: &Settings) -> Result<()> {
    let kills = async |split: &mut Split, recorder: &Recorder| {
        for _ in 0..2 {
            for server in [&mut split.message, &mut split.presence] {
                kill_and_restart(server, recorder).await?;
            }
            let begun = recorder.now();
            kill_and_restart(&mut split.conversation, recorder).await?;
            recorder.unasked(Outage { begun, ended: recorder.now() });
        }
        Ok(())
    };
    let report = chat_through(Split::start(settings).await?, slack(settings), kills).await?;
    report.assert_green(Counters { duplicates: 1, ..Counters::default() });
    Ok(())
}

async fn kill_and_restart(server: &mut Server, recorder: &Recorder) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill(recorder).await?;
    // Long enough for the others to notice.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.restart().await?;
    wait_for_an_ack(recorder, RECOVERY_LIMIT).await
}

fn attempt(group: &str, number: u64) -> Attempt {
    Attempt {
        conversation: group.to_owned(),
        request_id: format!("send {number}"),
        known_seq: Some(1),
        action: Action::send(text_with(number, 20)),
    }
}

/// Sends by every door.
async fn send_by_all_doors(ann: &Client, group: &str, numbers: &mut std::ops::RangeFrom<u64>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for door in [Door::Socket, Door::Http, Door::Grpc] {
        let number = numbers.next().unwrap_or_default();
        answers.push(ann.attempt(door, &attempt(group, number)).await);
    }
    answers
}

fn all_stored(answers: &[Answer]) -> bool {
    answers.iter().all(|answer| matches!(answer, Answer::Stored { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_presence_all_goes_on_and_without_conversation_what_is_known_does_for_a_while() -> Result<()> {
    let grace_ms = GRACE.as_millis().to_string();
    let mut split = Split::start(&settings()?.set("MESSAGE__AUTHORIZATION_GRACE_MS", &grace_ms)).await?;
    let recorder = Recorder::default();
    let mut ann = Client::with_encoding(&split.gateway, "ann", Encoding::Binary, &recorder)?;
    ann.connect().await?;
    let group = ann.create_group(Door::Socket, &["bob".to_owned()], "group").await?;
    let mut numbers = 1..;
    let answers = send_by_all_doors(&ann, &group, &mut numbers).await;
    ensure!(all_stored(&answers), "all is well: {answers:?}");

    split.presence.kill(&recorder).await?;
    let answers = send_by_all_doors(&ann, &group, &mut numbers).await;
    ensure!(all_stored(&answers), "without presence: {answers:?}");
    ensure!(ann.start_direct(Door::Http, "bob").await.is_ok(), "conversations need no presence");
    split.presence.restart().await?;

    split.conversation.kill(&recorder).await?;
    let killed = Instant::now();
    let answers = send_by_all_doors(&ann, &group, &mut numbers).await;
    ensure!(all_stored(&answers), "members known go on: {answers:?}");
    ensure!(killed.elapsed() < GRACE, "in time");
    let refused = loop {
        let number = numbers.next().unwrap_or_default();
        match ann.attempt(Door::Socket, &attempt(&group, number)).await {
            Answer::Stored { .. } => ensure!(killed.elapsed() < GRACE * 3, "members are believed for ever"),
            refused => break refused,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    ensure!(matches!(&refused, Answer::NotAttempted(reason) if reason == "STORE_UNAVAILABLE"), "{refused:?}");
    ensure!(killed.elapsed() > GRACE / 2, "refused after {:?}", killed.elapsed());
    ensure!(ann.list_newest(Door::Grpc, &group, 10).await.is_err(), "nobody knows who may read");

    split.conversation.restart().await?;
    let back = Instant::now();
    while !all_stored(&send_by_all_doors(&ann, &group, &mut numbers).await) {
        ensure!(back.elapsed() < RECOVERY_LIMIT, "it is back, and sends are not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for server in &mut split.into_servers() {
        server.stop(&recorder).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_the_methods_of_its_service_and_no_others() -> Result<()> {
    let split = Split::start(&settings()?).await?;
    let services = split.gateway.services();
    let token = split.gateway.tokens().service("tests", &[Scope::ActForUsers]);
    for (address, expected) in [(&services.conversation, Code::Ok), (&services.message, Code::Unimplemented)] {
        let mut request = Request::new(ListConversationsRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        request.metadata_mut().insert(ON_BEHALF_OF, "ann".parse()?);
        let answer = ConversationServiceClient::new(channel(address)?).list_conversations(request).await;
        let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
        ensure!(code == expected, "{address} answers {code:?}");
    }
    for server in [&split.gateway, &split.conversation, &split.message, &split.presence] {
        for path in ["/livez", "/readyz", "/metrics"] {
            let (status, _) = http::get(&server.addresses().admin, path).await?;
            ensure!(status == 200, "{path} answers {status}");
        }
    }
    ensure!(split.message.addresses().http.is_empty(), "only the gateway has a public door");
    for server in &mut split.into_servers() {
        server.stop(&Recorder::default()).await?;
    }
    Ok(())
}

#[test]
fn a_process_that_lacks_the_address_of_a_service_says_which_and_does_not_start() -> Result<()> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_viberchat-under-test"));
    let output =
        command.args(["serve", "gateway"]).env("VIBERCHAT__SERVICES__MESSAGE", "http://message:8081").output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success(), "it started");
    ensure!(
        said.contains("services.conversation: is missing") && said.contains("services.presence: is missing"),
        "{said}"
    );
    ensure!(!said.contains("services.message"), "{said}");
    Ok(())
}
