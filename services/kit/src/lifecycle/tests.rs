use super::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn tasks_that_end_softly_make_a_clean_shutdown() {
    let lifecycle = Lifecycle::new();
    let soft = lifecycle.handle().soft();
    let task = lifecycle.handle().spawn("drains", async move {
        soft.cancelled().await;
        7
    });
    assert_eq!(lifecycle.handle().running(), ["drains"]);
    let report = lifecycle.shutdown(LONG).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(task.await.unwrap(), 7);
}

#[tokio::test]
async fn what_does_not_drain_is_cut_off_and_named() {
    let lifecycle = Lifecycle::new();
    let hard = lifecycle.handle().hard();
    lifecycle.handle().spawn("clings", async move { hard.cancelled().await });
    let report = lifecycle.shutdown(Duration::from_millis(20)).await;
    assert_eq!(report, ShutdownReport { cut_off: vec!["clings"], left_running: vec![], panics: 0 });
}

#[tokio::test]
async fn what_never_ends_is_named_and_not_waited_for() {
    let lifecycle = Lifecycle::new();
    lifecycle.handle().spawn("stays", std::future::pending::<()>());
    let began = tokio::time::Instant::now();
    let report = lifecycle.shutdown(Duration::from_millis(1)).await;
    assert_eq!(report.left_running, ["stays"]);
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_panic_ends_its_task_only_and_is_counted() {
    let lifecycle = Lifecycle::new();
    let task = lifecycle.handle().spawn("fails", async { panic!("on purpose") });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(lifecycle.handle().panics(), 1);
    assert!(lifecycle.handle().running().is_empty());
    assert!(lifecycle.handle().spawn("works", async { true }).await.unwrap());
    assert!(!lifecycle.shutdown(LONG).await.is_clean());
}

#[tokio::test]
async fn an_aborted_task_is_no_longer_listed_and_no_panic() {
    let lifecycle = Lifecycle::new();
    let task = lifecycle.handle().spawn("aborted", std::future::pending::<()>());
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(lifecycle.handle().running().is_empty());
    assert!(lifecycle.shutdown(LONG).await.is_clean());
}

#[tokio::test]
async fn the_hard_token_follows_the_soft_one() {
    let lifecycle = Lifecycle::new();
    let (soft, hard) = (lifecycle.handle().soft(), lifecycle.handle().hard());
    assert!(!soft.is_cancelled() && !hard.is_cancelled());
    let seen = lifecycle.handle().spawn("looks", async move {
        soft.cancelled().await;
        hard.is_cancelled()
    });
    lifecycle.shutdown(LONG).await;
    assert!(!seen.await.unwrap(), "hard only after the drain");
}

#[tokio::test]
async fn a_signal_ends_the_wait() {
    let mut waiting = std::pin::pin!(signals());
    assert!(futures::poll!(waiting.as_mut()).is_pending(), "and from now on the process survives the signal");
    let process = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    assert_eq!(tokio::time::timeout(LONG, waiting).await.unwrap().unwrap(), "SIGTERM");
}
