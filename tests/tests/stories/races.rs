//! Races: first contacts from both sides, edits against deletions, a sender who is removed and added while all send.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::future::join_all;
use viberchat_tests::{
    client::{Attempt, Client, socket::Encoding},
    history::{Action, Answer, Counters, Door, text_with},
    workload::size_from_environment,
};

use super::Stage;

in_both_encodings! {
    an_edit_races_a_deletion_and_the_text_never_comes_back
    nobody_speaks_between_a_removal_and_the_next_joining
}

/// Calls at the same time for each pair, half of them from each side.
const CALLS_A_PAIR: usize = 64;

/// Pairs at the same time.
const PAIRS_AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_first_contacts_from_both_sides_make_one_direct() -> Result<()> {
    let pairs: usize = size_from_environment("VIBERCHAT_TEST_PAIRS", 200);
    let stage = Stage::open(Encoding::Json).await?;
    let mut directs = BTreeSet::new();
    for first in (0..pairs).step_by(PAIRS_AT_ONCE) {
        let racing = (first..pairs.min(first + PAIRS_AT_ONCE)).map(|pair| race_of_a_pair(&stage, pair));
        for direct in join_all(racing).await {
            directs.insert(direct?);
        }
    }
    assert_eq!(directs.len(), pairs, "one direct for each pair");
    let report = viberchat_tests::history::check(&stage.recorder.history());
    report.assert_green(Counters::default());
    Ok(())
}

async fn race_of_a_pair(stage: &Stage, pair: usize) -> Result<String> {
    let names = [format!("ann-{pair}"), format!("bob-{pair}")];
    let sides = [stage.user(&names[0])?, stage.user(&names[1])?];
    let calls = (0..CALLS_A_PAIR).map(|call| {
        let side = call % 2;
        // One HTTP connection a user: most go by gRPC, where they are truly at once.
        let door = if call % 16 < 2 { Door::Http } else { Door::Grpc };
        sides[side].start_direct(door, &names[1 - side])
    });
    let found = join_all(calls).await.into_iter().collect::<Result<BTreeSet<String>, _>>()?;
    anyhow::ensure!(found.len() == 1, "pair {pair} got {found:?}");
    Ok(found.into_iter().next().unwrap_or_default())
}

fn attempt(conversation: &str, id: String, action: Action) -> Attempt {
    Attempt { conversation: conversation.to_owned(), request_id: id, known_seq: None, action }
}

async fn an_edit_races_a_deletion_and_the_text_never_comes_back(encoding: Encoding) -> Result<()> {
    const LANES: usize = 4;
    let races: usize = size_from_environment("VIBERCHAT_TEST_RACES", 1_000);
    let stage = Stage::open(encoding).await?;
    let texts = AtomicU64::new(1);
    let lanes = (0..LANES).map(|lane| race_edits(&stage, lane, races / LANES, &texts));
    let mut readers = Vec::new();
    for lane in join_all(lanes).await {
        readers.push(lane?);
    }
    let conversations: Vec<[&str; 1]> = readers.iter().map(|(_, conversation)| [conversation.as_str()]).collect();
    let readers: Vec<(&Client, &[&str])> = readers
        .iter()
        .zip(&conversations)
        .map(|((client, _), conversation)| (client, conversation.as_slice()))
        .collect();
    let (history, report) = stage.close(&readers).await?;
    report.assert_green(Counters::default());
    let lost = history.calls.iter().filter(|call| call.answer == Answer::Rejected("ALREADY_DELETED".into())).count();
    let won = history
        .calls
        .iter()
        .filter(|call| matches!((&call.action, &call.answer), (Action::Edit { .. }, Answer::Stored { .. })))
        .count();
    println!("{won} edits came first, {lost} deletions");
    assert_eq!(won + lost, races / LANES * LANES, "every edit either came before or was refused");
    assert!(won > 0 && lost > 0, "there was a race");
    Ok(())
}

async fn race_edits(stage: &Stage, lane: usize, races: usize, texts: &AtomicU64) -> Result<(Client, String)> {
    let name = format!("lane-{lane}");
    let (one, other) = (stage.online(&name).await?, stage.user(&name)?);
    let group = one.create_group(Door::Http, &[], &format!("group-{lane}")).await?;
    let text = || text_with(texts.fetch_add(1, Ordering::Relaxed), 60);
    for race in 0..races {
        let send = attempt(&group, format!("send-{race}"), Action::send(text()));
        let Answer::Stored { message_id, .. } = one.attempt(Door::Socket, &send).await else {
            anyhow::bail!("a send was refused");
        };
        let edit = Action::Edit { message_id: message_id.clone(), text: text() };
        let edit = attempt(&group, format!("edit-{race}"), edit);
        let delete = attempt(&group, format!("delete-{race}"), Action::Delete { message_id });
        // Who is first changes from race to race.
        let doors = if race % 2 == 0 { [Door::Http, Door::Grpc] } else { [Door::Grpc, Door::Http] };
        let (_, deleted) = tokio::join!(one.attempt(doors[0], &edit), other.attempt(doors[1], &delete));
        anyhow::ensure!(matches!(deleted, Answer::Stored { .. }), "a deletion was refused: {deleted:?}");
        // The checker sees that no page has a text whose deletion was acknowledged.
        one.list_newest(Door::Socket, &group, 3).await?;
    }
    Ok((one, group))
}

async fn nobody_speaks_between_a_removal_and_the_next_joining(encoding: Encoding) -> Result<()> {
    const SENDERS: usize = 10;
    let rounds: usize = size_from_environment("VIBERCHAT_TEST_REMOVALS", 20);
    let stage = Stage::open(encoding).await?;
    let admin = stage.online("admin").await?;
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        senders.push(stage.online(&format!("sender-{number}")).await?);
    }
    let names: Vec<String> = senders.iter().map(|sender| sender.user().to_owned()).collect();
    let group = admin.create_group(Door::Socket, &names, "group").await?;
    let (stop, texts) = (AtomicBool::new(false), AtomicU64::new(1));
    let sending = join_all(senders.iter().map(|sender| send_on_and_on(sender, &group, &stop, &texts)));
    let churning = async {
        let churned = churn(&admin, &names[0], &group, rounds).await;
        stop.store(true, Ordering::Relaxed);
        churned
    };
    let (sent, churned) = tokio::join!(sending, churning);
    churned?;
    let (taken, refused) = sent[0];
    println!("the one who came and went: {taken} sends were taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "the sender was in and out");
    let (_, report) = stage.close(&[(&admin, &[group.as_str()])]).await?;
    report.assert_green(Counters::default());
    Ok(())
}

/// Sends without a pause by any door; returns how many were taken and refused.
async fn send_on_and_on(sender: &Client, group: &str, stop: &AtomicBool, texts: &AtomicU64) -> (u32, u32) {
    let (mut taken, mut refused) = (0, 0);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = text_with(texts.fetch_add(1, Ordering::Relaxed), 20);
        let mut send = attempt(group, format!("{}-{number}", sender.user()), Action::send(text));
        send.known_seq = sender.known_seq(group);
        let door = [Door::Socket, Door::Http, Door::Grpc][number % 3];
        match sender.attempt(door, &send).await {
            Answer::Stored { .. } => taken += 1,
            _ => refused += 1,
        }
        // Ten senders, and an admin who must be heard among them.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (taken, refused)
}

/// Removes and adds a member again and again, after times that differ.
async fn churn(admin: &Client, member: &str, group: &str, rounds: usize) -> Result<()> {
    for round in 0..rounds {
        let remove = Action::RemoveMember { member: member.to_owned() };
        change(admin, &attempt(group, format!("remove-{round}"), remove)).await?;
        // Now and then longer than the second in which the sender may still be shown something.
        let out_ms = if round % 5 == 4 { 1_300 } else { 7 * (round as u64 % 20) };
        tokio::time::sleep(Duration::from_millis(out_ms)).await;
        let add = Action::AddMembers { members: vec![member.to_owned()] };
        change(admin, &attempt(group, format!("add-{round}"), add)).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn change(admin: &Client, attempt: &Attempt) -> Result<()> {
    let start = Instant::now();
    loop {
        match admin.attempt(Door::Socket, attempt).await {
            Answer::Stored { .. } | Answer::Pending => return Ok(()),
            other if start.elapsed() > Duration::from_secs(10) => anyhow::bail!("{attempt:?} is refused: {other:?}"),
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
