//! The Attach stream to one instance.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::Error;
use viberchat_kit::rpc::Channel;
use viberchat_proto::presence::v1::attach_request::Report;
use viberchat_proto::presence::v1::attach_response::Answer;
use viberchat_proto::presence::v1::presence_service_client::PresenceServiceClient;
use viberchat_proto::presence::v1::{
    AttachDetach, AttachHeartbeat, AttachHello, AttachRequest, SessionReport, SessionsChanged,
};

use super::super::retry::Backoff;
use super::super::{pump, refused};
use super::Attached;

/// Sessions of one report.
const REPORT_SESSIONS_MAX: usize = 500;

/// The gateway's heartbeats, and the service's.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A service that sends nothing for this long is not there.
const SILENCE_MAX: Duration = Duration::from_secs(8);

/// How long the service may take to hear the good-bye.
const DETACH_MAX: Duration = Duration::from_secs(1);

/// What changed since the stream was last fed: the latest of each session, so no more than there are and were.
#[derive(Default)]
pub(super) struct Changes {
    state: Mutex<State>,
    is_changed: Notify,
}

#[derive(Default)]
struct State {
    /// The number of the latest stream.
    stream: u64,
    /// `None`: no stream is open; the next one begins with a list of all.
    latest: Option<HashMap<String, SessionReport>>,
}

impl Changes {
    /// A session came, went, or is used or not.
    pub(super) fn report(&self, report: SessionReport) {
        if let Some(latest) = self.state.lock().latest.as_mut() {
            latest.insert(report.session_id.clone(), report);
            self.is_changed.notify_one();
        }
    }

    /// From here on changes are noted for a stream. Returns its number.
    fn open(&self) -> u64 {
        let mut state = self.state.lock();
        state.stream += 1;
        state.latest = Some(HashMap::new());
        state.stream
    }

    fn close(&self) {
        self.state.lock().latest = None;
    }

    /// At most one report's worth. `None`: the stream is over, and what there is belongs to its successor.
    fn take(&self, stream: u64) -> Option<Vec<SessionReport>> {
        let mut state = self.state.lock();
        if state.stream != stream {
            // The word was meant for the other one.
            self.is_changed.notify_one();
            return None;
        }
        let latest = state.latest.as_mut()?;
        if latest.len() <= REPORT_SESSIONS_MAX {
            return Some(std::mem::take(latest).into_values().collect());
        }
        let ids: Vec<_> = latest.keys().take(REPORT_SESSIONS_MAX).cloned().collect();
        self.is_changed.notify_one();
        Some(ids.iter().filter_map(|id| latest.remove(id)).collect())
    }
}

/// One instance that is told.
pub(super) struct Link {
    pub(super) client: PresenceServiceClient<Channel>,
    /// Named anew for each link: over two addresses of one instance it is two gateways, not one that comes again and again.
    pub(super) incarnation_id: String,
    pub(super) changes: Arc<Changes>,
    pub(super) attached: Arc<Attached>,
}

impl Link {
    /// Keeps the stream open, until `end`; then says good-bye. Where the instance is not looked for any more, it ends when
    /// the stream does: as long as it is there others may look at its presences.
    pub(super) async fn run(self, is_wanted: impl Fn() -> bool, end: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let welcomed = Arc::new(Notify::new());
            let feed = Feed {
                welcomed: welcomed.clone(),
                attached: self.attached.clone(),
                changes: self.changes.clone(),
                incarnation_id: self.incarnation_id.clone(),
                end: end.clone(),
                heartbeats: heartbeats(),
                stream: 0,
                phase: Phase::Hello,
            };
            let late = async {
                end.cancelled().await;
                tokio::time::sleep(DETACH_MAX).await;
            };
            // Cancel safe: a stream that is dropped half-way is opened anew, or the process ends.
            let error = tokio::select! {
                error = self.attach(&welcomed, feed, &mut backoff) => error,
                () = late => return,
            };
            self.changes.close();
            if end.is_cancelled() || !is_wanted() {
                return;
            }
            if backoff.is_first() {
                tracing::warn!(%error, "a stream of sessions broke");
            }
            if end.run_until_cancelled(tokio::time::sleep(backoff.next())).await.is_none() {
                return;
            }
        }
    }

    async fn attach(&self, welcomed: &Notify, feed: Feed, backoff: &mut Backoff) -> Error {
        let opened = timeout(self.attached.timeout, self.client.clone().attach(feed.into_stream())).await;
        let mut stream = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return refused(status),
            Err(_) => return pump::late(),
        };
        loop {
            match timeout(SILENCE_MAX, stream.message()).await {
                Ok(Ok(Some(response))) => {
                    if let Some(Answer::Welcome(_)) = response.answer {
                        welcomed.notify_one();
                    }
                }
                Ok(Err(status)) => return refused(status),
                Ok(Ok(None)) | Err(_) => return pump::late(),
            }
            backoff.reset();
        }
    }
}

fn heartbeats() -> Interval {
    let mut heartbeats = interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeats
}

enum Phase {
    Hello,
    /// Hello was said.
    Welcome,
    /// All sessions are being listed.
    Listing(VecDeque<SessionsChanged>),
    Live,
    Over,
}

/// The reports of one stream.
struct Feed {
    /// The service has answered the hello.
    welcomed: Arc<Notify>,
    attached: Arc<Attached>,
    changes: Arc<Changes>,
    incarnation_id: String,
    end: CancellationToken,
    heartbeats: Interval,
    /// As its changes are numbered; 0 before the list.
    stream: u64,
    phase: Phase,
}

impl Feed {
    fn into_stream(self) -> impl Stream<Item = AttachRequest> + Send + 'static {
        futures::stream::unfold(self, |mut feed| async move {
            let report = feed.next().await?;
            Some((AttachRequest { report: Some(report) }, feed))
        })
    }

    async fn next(&mut self) -> Option<Report> {
        loop {
            match &mut self.phase {
                Phase::Hello => {
                    self.phase = Phase::Welcome;
                    return Some(Report::Hello(AttachHello { incarnation_id: self.incarnation_id.clone() }));
                }
                Phase::Welcome => {
                    self.end.run_until_cancelled(self.welcomed.notified()).await?;
                    // Before the list: what happens while all are listed is told after it.
                    self.stream = self.changes.open();
                    self.phase = Phase::Listing(list(&self.attached.registry.session_reports()));
                }
                Phase::Listing(pages) => match pages.pop_front() {
                    Some(page) => return Some(Report::Sessions(page)),
                    None => self.phase = Phase::Live,
                },
                Phase::Live => {
                    // Cancel safe: all three only wait.
                    tokio::select! {
                        biased;
                        () = self.changes.is_changed.notified() => {
                            let sessions = self.changes.take(self.stream)?;
                            if !sessions.is_empty() {
                                return Some(Report::Sessions(SessionsChanged { sessions, complete: false }));
                            }
                        }
                        () = self.end.cancelled() => {
                            self.phase = Phase::Over;
                            return Some(Report::Detach(AttachDetach {}));
                        }
                        _ = self.heartbeats.tick() => return Some(Report::Heartbeat(AttachHeartbeat {})),
                    }
                }
                Phase::Over => return None,
            }
        }
    }
}

/// All sessions, in pages of which the last says so.
fn list(sessions: &[SessionReport]) -> VecDeque<SessionsChanged> {
    let mut pages: VecDeque<_> = sessions
        .chunks(REPORT_SESSIONS_MAX)
        .map(|page| SessionsChanged { sessions: page.to_vec(), complete: false })
        .collect();
    match pages.back_mut() {
        Some(last) => last.complete = true,
        None => pages.push_back(SessionsChanged { sessions: Vec::new(), complete: true }),
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(number: usize) -> SessionReport {
        SessionReport { session_id: number.to_string(), ..SessionReport::default() }
    }

    #[test]
    fn what_happens_without_a_stream_is_in_the_next_list_and_the_rest_is_told_in_pages() {
        let changes = Changes::default();
        changes.report(report(0));
        let stream = changes.open();
        assert_eq!(changes.take(stream), Some(Vec::new()));
        (0..REPORT_SESSIONS_MAX + 2).chain(0..9).for_each(|number| changes.report(report(number)));
        let pages = [changes.take(stream).unwrap().len(), changes.take(stream).unwrap().len()];
        assert_eq!(pages, [REPORT_SESSIONS_MAX, 2], "of each session the latest");
    }

    #[test]
    fn a_stream_that_is_over_takes_nothing_from_its_successor() {
        let changes = Changes::default();
        let earlier = changes.open();
        changes.close();
        assert_eq!(changes.take(earlier), None);
        let later = changes.open();
        changes.report(report(1));
        assert_eq!(changes.take(earlier), None);
        assert_eq!(changes.take(later), Some(vec![report(1)]));
    }
}
