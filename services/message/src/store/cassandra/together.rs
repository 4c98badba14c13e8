use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::store::Result;

/// One question for all who asked before it began: what it finds is as new as each of them may expect.
#[derive(Debug, Default)]
pub(super) struct Together {
    asked: AtomicU64,
    last: Mutex<Last>,
}

/// The last question.
#[derive(Debug)]
struct Last {
    /// All who had asked when it began.
    answers: u64,
    result: Result<()>,
}

impl Default for Last {
    fn default() -> Self {
        Self { answers: 0, result: Ok(()) }
    }
}

impl Together {
    /// Asks, or takes the answer of a question that began after this call. Of those who wait for a question that fails
    /// nobody asks again: that the store does not answer is to be said once its time is over.
    pub(super) async fn ask(&self, question: impl Future<Output = Result<()>>) -> Result<()> {
        let own = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut last = self.last.lock().await;
        if last.answers < own {
            let answers = self.asked.load(Ordering::Relaxed);
            let result = question.await;
            *last = Last { answers, result };
        }
        last.result.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::join_all;
    use tokio::sync::Notify;

    use super::*;
    use crate::store::StoreError;

    #[tokio::test]
    async fn all_who_ask_while_one_asks_share_the_next_question() {
        let (together, go, questions) = (Together::default(), Arc::new(Notify::new()), AtomicU64::new(0));
        let question = || async {
            questions.fetch_add(1, Ordering::Relaxed);
            go.notified().await;
            Ok(())
        };
        let asking = join_all((0..64).map(|_| together.ask(question())));
        let letting = async {
            for asked in 1..=2 {
                while questions.load(Ordering::Relaxed) < asked {
                    tokio::task::yield_now().await;
                }
                go.notify_one();
            }
        };
        let (answers, ()) = tokio::join!(asking, letting);
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(questions.load(Ordering::Relaxed), 2, "the first asked alone, the others came while it did");
        // What was answered before a call is no answer to it.
        let (again, ()) = tokio::join!(together.ask(question()), async { go.notify_one() });
        assert!(again.is_ok() && questions.load(Ordering::Relaxed) == 3);
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_a_question_that_was_dropped_is_asked_by_the_next() {
        let (together, questions) = (Together::default(), AtomicU64::new(0));
        let failing = || async {
            questions.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err(StoreError::Unavailable("asleep".to_owned()))
        };
        let failed = join_all((0..64).map(|_| together.ask(failing()))).await;
        assert!(failed.iter().all(Result::is_err));
        assert_eq!(questions.load(Ordering::Relaxed), 2, "nobody waits for one failure after the other");
        assert!(together.ask(async { Ok(()) }).await.is_ok());
        let dropped = tokio::time::timeout(std::time::Duration::ZERO, together.ask(std::future::pending())).await;
        assert!(dropped.is_err() && together.ask(failing()).await.is_err());
    }
}
