//! Users chat at random, and the history checker judges what they saw.

use anyhow::Result;
use viberchat_tests::{
    cluster::{Server, Settings},
    history::Counters,
    workload::{Plan, chat_and_judge, size_from_environment},
};

fn settings() -> Result<Settings> {
    Settings::new(env!("CARGO_BIN_EXE_viberchat-under-test"))
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_chat_lose_their_sessions_and_resume_see_what_the_contract_promises() -> Result<()> {
    let mut servers = [Server::start(&settings()?).await?];
    let steps = size_from_environment("VIBERCHAT_TEST_STEPS", 150);
    let report = chat_and_judge(&Plan { steps, ..Plan::default() }, &mut servers).await?;
    report.assert_green(Counters { duplicates: 10, resumed: 5, filled: 1, conditions_lost: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_on_one_store_lose_conditions_and_keep_every_promise() -> Result<()> {
    let settings = settings()?;
    let mut servers = [Server::start(&settings).await?, Server::start(&settings).await?];
    let steps = size_from_environment("VIBERCHAT_TEST_STEPS", 150);
    let plan = Plan { sessions: false, steps, ..Plan::default() };
    let report = chat_and_judge(&plan, &mut servers).await?;
    report.assert_green(Counters { duplicates: 10, conditions_lost: 5, resumed: 0, filled: 0 });
    Ok(())
}
