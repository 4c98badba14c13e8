//! What comes from the server, in the order in which a listener gets it.

use async_nats::{Message, Subscriber};
use futures::StreamExt as _;

/// With the feature `testing` the way may be bad: see [`crate::fault::bad_bus`].
pub(super) struct Arrivals {
    subscriber: Subscriber,
    #[cfg(feature = "testing")]
    way: Option<bad::BadWay<Message>>,
}

impl Arrivals {
    pub(super) fn of(subscriber: Subscriber) -> Self {
        Self {
            subscriber,
            #[cfg(feature = "testing")]
            way: crate::fault::bad_bus().then(bad::BadWay::default),
        }
    }

    /// The next. Cancel safe. `None`: the connection was closed by us.
    pub(super) async fn next(&mut self) -> Option<Message> {
        #[cfg(feature = "testing")]
        if let Some(way) = &mut self.way {
            loop {
                if let Some(message) = way.arrived.pop_front() {
                    return Some(message);
                }
                // Cancel safe: what is taken is on its way before anything is awaited again.
                way.send(self.subscriber.next().await?);
            }
        }
        self.subscriber.next().await
    }
}

#[cfg(feature = "testing")]
mod bad {
    use std::collections::VecDeque;

    /// One of so many is lost: 5 %.
    const LOST: u64 = 20;
    /// One of so many comes twice.
    const DOUBLED: u64 = 7;
    /// One of so many comes after the next ones.
    const LATE: u64 = 5;
    /// How many overtake it.
    const OVERTAKEN_BY: usize = 3;

    /// Loses, doubles and reorders by counting, so that a run does it often and each run the same.
    pub(super) struct BadWay<M> {
        sent: u64,
        late: VecDeque<M>,
        /// How many still overtake the first of `late`.
        before: usize,
        pub(super) arrived: VecDeque<M>,
    }

    impl<M> Default for BadWay<M> {
        fn default() -> Self {
            Self { sent: 0, late: VecDeque::new(), before: 0, arrived: VecDeque::new() }
        }
    }

    impl<M: Clone> BadWay<M> {
        pub(super) fn send(&mut self, message: M) {
            self.sent += 1;
            match self.sent {
                sent if sent.is_multiple_of(LOST) => {}
                sent if sent.is_multiple_of(DOUBLED) => self.arrived.extend([message.clone(), message]),
                sent if sent.is_multiple_of(LATE) => {
                    self.late.push_back(message);
                    self.before = OVERTAKEN_BY;
                }
                _ => self.arrived.push_back(message),
            }
            match self.before {
                0 => self.arrived.extend(self.late.drain(..)),
                _ => self.before -= 1,
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn some_is_lost_some_doubled_and_some_late() {
            let mut way = BadWay::default();
            (1..=200_u32).for_each(|number| way.send(number));
            let came: Vec<u32> = way.arrived.into_iter().collect();
            let times = |number: u32| came.iter().filter(|came| **came == number).count();
            assert_eq!((1..=200).filter(|number| times(*number) == 0).count(), 10, "5 % are lost");
            assert!(times(7) == 2 && times(14) == 2, "some come twice");
            let place = |number: u32| came.iter().position(|came| *came == number);
            assert!(place(5) > place(7), "some are overtaken");
        }
    }
}
