use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use parking_lot::Mutex;
use viberchat_kit::bus;
use viberchat_kit::clock::{ManualClock, Timestamp};
use viberchat_kit::id::SystemEntropy;
use viberchat_kit::lifecycle::Lifecycle;
use viberchat_kit::telemetry::Metrics;

use super::*;
use crate::domain::status::Status;
use crate::store::{Answer, Row};

/// A store that fails when it is told to, and notes what it was given.
#[derive(Default)]
struct Flaky {
    broken: AtomicBool,
    written: Mutex<Vec<Vec<Write>>>,
}

impl Flaky {
    fn answer(&self) -> std::result::Result<(), StoreError> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("asleep".into())),
            false => Ok(()),
        }
    }
}

impl PresenceStore for Flaky {
    fn load<'a>(&'a self, _: &'a [UserId]) -> Answer<'a, HashMap<UserId, Row>> {
        async { self.answer().map(|()| HashMap::new()) }.boxed()
    }

    fn write<'a>(&'a self, writes: &'a [Write]) -> Answer<'a, ()> {
        async { self.answer().map(|()| self.written.lock().push(writes.to_vec())) }.boxed()
    }

    fn ping(&self) -> Answer<'_, ()> {
        async { self.answer() }.boxed()
    }
}

struct Fixture {
    store: Arc<Flaky>,
    presences: Arc<Presences>,
    rereads: Arc<Rereads>,
    saver: Saver,
    lifecycle: Lifecycle,
}

fn fixture() -> Fixture {
    fixture_with(None)
}

fn fixture_with(others: Option<Arc<Others>>) -> Fixture {
    let (store, lifecycle, config) = (Arc::<Flaky>::default(), Lifecycle::new(), Config::default());
    let metrics = ServiceMetrics::register(&Metrics::new());
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(600_000)));
    let presences = Arc::new(Presences::new(&config, store.clone(), clock, metrics.clone()));
    presences.settle();
    let typings = Arc::new(Typings::new(config.typing_limits(), None, metrics.clone()));
    let rereads = Arc::<Rereads>::default();
    let parts = Parts {
        presences: presences.clone(),
        typings,
        store: store.clone(),
        others,
        rereads: rereads.clone(),
        metrics,
    };
    let saver = Saver::start(parts, &config, &lifecycle.handle());
    Fixture { store, presences, rereads, saver, lifecycle }
}

impl Fixture {
    async fn set(&self, user: &UserId, setting: Setting) -> Result<Presence> {
        let admitted = self.presences.admit(vec![user.clone()]).await?;
        self.saver.set(user.clone(), setting, admitted).await
    }
}

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

#[tokio::test]
async fn a_status_that_could_not_be_written_is_not_shown() {
    let fixture = fixture();
    let kept = fixture.presences.admit(vec![ann()]).await.unwrap();
    fixture.store.broken.store(true, Ordering::SeqCst);
    assert_eq!(fixture.set(&ann(), Setting::Invisible).await.unwrap_err().reason, Reason::StoreUnavailable);
    assert_eq!(fixture.presences.views([&ann()])[0].to_oneself.status, Status::Offline);
    fixture.store.broken.store(false, Ordering::SeqCst);
    assert_eq!(fixture.set(&ann(), Setting::Invisible).await.unwrap().status, Status::Invisible);
    assert_eq!(*fixture.store.written.lock(), [vec![Write::Setting(ann(), Setting::Invisible)]]);
    drop(kept);
}

#[tokio::test]
async fn nobody_is_admitted_while_the_store_does_not_answer() {
    let fixture = fixture();
    fixture.store.broken.store(true, Ordering::SeqCst);
    assert!(fixture.presences.admit(vec![ann()]).await.is_err());
    assert_eq!(fixture.presences.views([&ann()])[0].to_others, Presence::UNKNOWN);
}

#[tokio::test]
async fn a_status_whose_caller_has_gone_is_written_and_shown_all_the_same() {
    let fixture = fixture();
    let kept = fixture.presences.admit(vec![ann()]).await.unwrap();
    // Dropped as soon as it is in the queue.
    assert!(fixture.set(&ann(), Setting::Busy).now_or_never().is_none());
    assert_eq!(fixture.set(&ann(), Setting::Invisible).await.unwrap().status, Status::Invisible);
    let written: Vec<_> = fixture.store.written.lock().concat();
    assert_eq!(written, [Write::Setting(ann(), Setting::Busy), Write::Setting(ann(), Setting::Invisible)]);
    drop(kept);
}

#[tokio::test]
async fn after_the_end_statuses_are_refused_and_not_lost() {
    let Fixture { presences, saver, lifecycle, .. } = fixture();
    let admitted = presences.admit(vec![ann()]).await.unwrap();
    assert!(lifecycle.shutdown(Duration::from_secs(5)).await.is_clean());
    let refused = saver.set(ann(), Setting::Busy, admitted).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Draining);
}

#[tokio::test]
async fn where_there_are_others_what_was_set_is_read_back_and_what_was_not_is_not() {
    // Nobody is at the first port: the bus is away.
    let (config, lifecycle) = (bus::Config { url: "nats://127.0.0.1:1".into(), ..<_>::default() }, Lifecycle::new());
    let bus = bus::Bus::connect(&config, lifecycle.handle(), &Metrics::new()).await.unwrap();
    let fixture = fixture_with(Some(Arc::new(Others::new(&bus, &SystemEntropy))));
    fixture.store.broken.store(true, Ordering::SeqCst);
    let kept = fixture.presences.admit(vec![]).await.unwrap();
    assert!(fixture.saver.set(ann(), Setting::Busy, kept).await.is_err());
    assert!(fixture.rereads.take_said().now_or_never().is_none(), "nothing was stored");
    fixture.store.broken.store(false, Ordering::SeqCst);
    fixture.set(&ann(), Setting::Busy).await.unwrap();
    assert_eq!(fixture.rereads.take_said().now_or_never(), Some(vec![ann()]));
}
