//! Tells streams of what there is news. Bounded by what they follow: of the same thing they hear once, however often it
//! changes before they look.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What one stream has to look at. Written by whoever changes something, taken by the stream.
#[derive(Debug)]
pub(crate) struct Inbox<K> {
    news: Mutex<HashSet<K>>,
    wake: Notify,
}

impl<K> Default for Inbox<K> {
    fn default() -> Self {
        Self { news: Mutex::default(), wake: Notify::new() }
    }
}

impl<K: Eq + Hash> Inbox<K> {
    /// There is news of it.
    pub(crate) fn mark(&self, key: K) {
        self.news.lock().insert(key);
        self.wake.notify_one();
    }

    /// There is news of all these.
    pub(crate) fn mark_all(&self, keys: impl IntoIterator<Item = K>) {
        self.news.lock().extend(keys);
        self.wake.notify_one();
    }

    /// Waits for news and takes all there is. Cancel safe.
    pub(crate) async fn take(&self) -> HashSet<K> {
        loop {
            let news = std::mem::take(&mut *self.news.lock());
            if !news.is_empty() {
                return news;
            }
            self.wake.notified().await;
        }
    }
}

/// Which streams follow what.
#[derive(Debug)]
pub(crate) struct Hub<K>(HashMap<K, Vec<Arc<Inbox<K>>>>);

impl<K> Default for Hub<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Hub<K> {
    /// From now on the stream hears of it. Once for each key and stream.
    pub(crate) fn follow(&mut self, key: K, inbox: &Arc<Inbox<K>>) {
        self.0.entry(key).or_default().push(Arc::clone(inbox));
    }

    pub(crate) fn unfollow(&mut self, key: &K, inbox: &Arc<Inbox<K>>) {
        let Some(inboxes) = self.0.get_mut(key) else { return };
        inboxes.retain(|other| !Arc::ptr_eq(other, inbox));
        if inboxes.is_empty() {
            self.0.remove(key);
        }
    }

    /// Tells all streams that follow it.
    pub(crate) fn publish(&self, key: &K) {
        for inbox in self.0.get(key).into_iter().flatten() {
            inbox.mark(key.clone());
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_stream_hears_once_of_what_changed_often() {
        let (mut hub, inbox, other) = (Hub::default(), Arc::default(), Arc::default());
        hub.follow("ann", &inbox);
        hub.follow("bob", &inbox);
        hub.follow("bob", &other);
        for _ in 0..1_000 {
            hub.publish(&"ann");
        }
        hub.publish(&"bob");
        hub.publish(&"eve");
        assert_eq!(inbox.take().await, ["ann", "bob"].into());
        assert_eq!(other.take().await, ["bob"].into());
        assert!(inbox.take().now_or_never().is_none(), "nothing is left");
    }

    #[tokio::test]
    async fn who_follows_no_more_hears_nothing_and_leaves_nothing() {
        let (mut hub, inbox) = (Hub::default(), Arc::<Inbox<&str>>::default());
        hub.follow("ann", &inbox);
        hub.unfollow(&"ann", &inbox);
        hub.publish(&"ann");
        assert!(inbox.take().now_or_never().is_none());
        assert!(hub.is_empty());
    }
}
