//! How many calls may be sent again: a fifth of all, so that a service in trouble does not get twice the load. Pure.

/// What a call brings, and what sending one again takes.
const CALL: u32 = 1;
const RETRY: u32 = 5;
/// Ten in a row, after quiet times.
const TOKENS_MAX: u32 = 10 * RETRY;

/// A token bucket.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(TOKENS_MAX)
    }
}

impl Budget {
    /// A call begins.
    pub(super) fn call(&mut self) {
        self.0 = (self.0 + CALL).min(TOKENS_MAX);
    }

    /// Whether one may be sent again, which is paid for at once.
    pub(super) fn retry(&mut self) -> bool {
        let left = self.0.checked_sub(RETRY);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_at_once_and_a_fifth_of_all_calls_after_that() {
        let mut budget = Budget::default();
        let at_once = std::iter::repeat_with(|| budget.retry()).take_while(|may| *may).count();
        assert_eq!(at_once, 10);
        let mut count = 0;
        for _ in 0..1_000 {
            budget.call();
            count += usize::from(budget.retry());
        }
        assert_eq!(count, 200);
        (0..1_000).for_each(|_| budget.call());
        assert_eq!(std::iter::repeat_with(|| budget.retry()).take_while(|may| *may).count(), 10, "it does not pile up");
    }
}
