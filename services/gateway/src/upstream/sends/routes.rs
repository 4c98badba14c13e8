//! Which stream a send takes. Pure.

use std::collections::HashMap;

use tokio::time::{Duration, Instant};
use viberchat_kit::id::UserId;
use viberchat_kit::rpc::affinity_score;

use crate::upstream::instances::Place;

/// Whose sends keep their order: a user's to a conversation.
pub(super) type Key = (UserId, String);

/// All sends to a conversation go to the instance that it is nearest to, so that appends meet there and do not lose their
/// conditions to each other; nothing relies on it. But as long as a send of a user is under way, the next ones to that
/// conversation go the same way, or they could be stored before it. When its stream breaks, what the user has sent meanwhile,
/// not knowing that, must not take another one.
#[derive(Default)]
pub(super) struct Routes {
    streams: HashMap<Place, Stream>,
    /// An instance has answered since the start.
    was_up: bool,
    under_way: HashMap<Key, Route>,
    /// Sends of which failed with their stream, and until when the next ones fail with them.
    failed: HashMap<Key, Instant>,
}

/// Longer than it takes until a user hears of it.
const FAILED_FOR: Duration = Duration::from_millis(500);

struct Stream {
    /// What the instance is called in rendezvous.
    name: String,
    /// The instance has answered. One that has not is taken only as long as none has: it may never do so.
    is_up: bool,
}

struct Route {
    place: Place,
    sends: usize,
}

impl Routes {
    /// A stream is being opened.
    pub(super) fn open(&mut self, place: Place) {
        let name = place.map(|address| address.to_string()).unwrap_or_default();
        self.streams.insert(place, Stream { name, is_up: false });
    }

    /// It is open.
    pub(super) fn up(&mut self, place: Place) {
        if let Some(stream) = self.streams.get_mut(&place) {
            stream.is_up = true;
            self.was_up = true;
        }
    }

    /// It takes no more. What is under way on it is ended by the caller.
    pub(super) fn close(&mut self, place: Place, now: Instant) {
        self.streams.remove(&place);
        let lost = self.under_way.iter().filter(|(_, route)| route.place == place);
        self.failed.extend(lost.map(|(key, _)| (key.clone(), now + FAILED_FOR)));
    }

    /// A send was lost, and its stream was not.
    pub(super) fn fail(&mut self, key: Key, now: Instant) {
        self.failed.insert(key, now + FAILED_FOR);
    }

    /// Forgets what has failed long ago.
    pub(super) fn expire(&mut self, now: Instant) {
        self.failed.retain(|_, until| *until > now);
    }

    /// Where a send goes. `None`: there is no stream for it.
    pub(super) fn begin(&mut self, key: &Key, now: Instant) -> Option<Place> {
        if self.failed.get(key).is_some_and(|until| *until > now) {
            return None;
        }
        if let Some(route) = self.under_way.get_mut(key) {
            let place = route.place;
            self.streams.get(&place)?;
            route.sends += 1;
            return Some(place);
        }
        let candidates = self.streams.iter().filter(|(_, stream)| stream.is_up || !self.was_up);
        let nearest = candidates.max_by_key(|(_, stream)| affinity_score(&key.1, &stream.name));
        let place = *nearest?.0;
        self.under_way.insert(key.clone(), Route { place, sends: 1 });
        Some(place)
    }

    /// A send was answered.
    pub(super) fn end(&mut self, key: &Key) {
        let Some(route) = self.under_way.get_mut(key) else { return };
        route.sends -= 1;
        if route.sends == 0 {
            self.under_way.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn at(port: u16) -> Place {
        Some(SocketAddr::from(([10, 0, 0, 1], port)))
    }

    fn key(user: &str, conversation: usize) -> Key {
        (UserId::parse(user).unwrap(), format!("conversation {conversation}"))
    }

    fn open(routes: &mut Routes, place: Place) {
        routes.open(place);
        routes.up(place);
    }

    /// Where the next send goes, when it is the only one.
    fn alone(routes: &mut Routes, key: &Key) -> Option<Place> {
        let place = routes.begin(key, Instant::now())?;
        routes.end(key);
        Some(place)
    }

    #[test]
    fn a_conversation_has_one_instance_whoever_sends_and_instances_share_them() {
        let mut routes = Routes::default();
        assert_eq!(alone(&mut routes, &key("ann", 0)), None);
        [1, 2, 3].into_iter().for_each(|port| open(&mut routes, at(port)));
        let mut counts: HashMap<Place, usize> = HashMap::new();
        for conversation in 0..300 {
            let place = alone(&mut routes, &key("ann", conversation)).unwrap();
            assert_eq!(alone(&mut routes, &key("bob", conversation)), Some(place));
            *counts.entry(place).or_default() += 1;
        }
        assert!(counts.len() == 3 && counts.values().all(|count| *count > 60), "{counts:?}");
        assert!(routes.under_way.is_empty());
    }

    #[test]
    fn what_is_under_way_holds_the_next_ones_to_its_stream_and_nobody_elses() {
        let mut routes = Routes::default();
        open(&mut routes, at(1));
        let moved = |routes: &mut Routes| (0..).map(|n| key("bob", n)).find(|key| alone(routes, key) == Some(at(2)));
        let (first, second);
        {
            let mut both = Routes::default();
            [1, 2].into_iter().for_each(|port| open(&mut both, at(port)));
            let (_, conversation) = moved(&mut both).unwrap();
            (first, second) =
                ((UserId::parse("ann").unwrap(), conversation.clone()), (UserId::parse("bob").unwrap(), conversation));
        }
        let now = Instant::now();
        assert_eq!(routes.begin(&first, now), Some(at(1)));
        open(&mut routes, at(2));
        assert_eq!(routes.begin(&first, now), Some(at(1)), "the one before it is not answered");
        assert_eq!(alone(&mut routes, &second), Some(at(2)));
        routes.end(&first);
        routes.end(&first);
        assert_eq!(alone(&mut routes, &first), Some(at(2)));
    }

    #[test]
    fn a_stream_that_is_only_being_opened_is_taken_at_the_start_and_never_again() {
        let mut routes = Routes::default();
        routes.open(at(1));
        assert_eq!(alone(&mut routes, &key("ann", 0)), Some(at(1)));
        open(&mut routes, at(2));
        assert!((0..50).all(|conversation| alone(&mut routes, &key("ann", conversation)) == Some(at(2))));
        routes.close(at(2), Instant::now());
        assert_eq!(alone(&mut routes, &key("ann", 0)), None, "it may never open");
        routes.up(at(1));
        assert_eq!(alone(&mut routes, &key("ann", 0)), Some(at(1)));
    }

    #[test]
    fn what_comes_behind_a_send_that_was_lost_fails_with_it_and_takes_no_other_stream() {
        let (mut routes, now) = (Routes::default(), Instant::now());
        [1, 2].into_iter().for_each(|port| open(&mut routes, at(port)));
        let (lost, other) = (key("ann", 0), key("bob", 0));
        let place = routes.begin(&lost, now).unwrap();
        routes.close(place, now);
        routes.end(&lost);
        assert_eq!(routes.begin(&lost, now), None);
        assert!(routes.begin(&other, now).is_some_and(|next| next != place));
        let later = now + FAILED_FOR;
        routes.expire(later);
        assert!(routes.failed.is_empty() && routes.begin(&lost, later).is_some());
    }
}
