//! The one Attach stream: tells the presence service of this gateway's sessions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use viberchat_kit::error::Error;
use viberchat_proto::presence::v1::attach_request::Report;
use viberchat_proto::presence::v1::attach_response::Answer;
use viberchat_proto::presence::v1::{
    AttachDetach, AttachHeartbeat, AttachHello, AttachRequest, SessionReport, SessionsChanged,
};

use super::retry::Backoff;
use super::{Upstream, refused};
use crate::fanout::Registry;

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
pub(crate) struct Reports {
    /// `None`: no stream is open; the next one begins with a list of all.
    changed: Mutex<Option<HashMap<String, SessionReport>>>,
    is_changed: Notify,
}

impl Reports {
    /// A session came, went, or is used or not.
    pub(crate) fn report(&self, report: SessionReport) {
        if let Some(changed) = self.changed.lock().as_mut() {
            changed.insert(report.session_id.clone(), report);
            self.is_changed.notify_one();
        }
    }

    /// At most one report's worth.
    fn take(&self) -> Vec<SessionReport> {
        let mut changed = self.changed.lock();
        let Some(changed) = changed.as_mut() else { return Vec::new() };
        if changed.len() <= REPORT_SESSIONS_MAX {
            return std::mem::take(changed).into_values().collect();
        }
        let ids: Vec<_> = changed.keys().take(REPORT_SESSIONS_MAX).cloned().collect();
        self.is_changed.notify_one();
        ids.iter().filter_map(|id| changed.remove(id)).collect()
    }
}

/// Keeps the stream open, until `end`; then says good-bye.
pub(crate) async fn run(
    registry: Arc<Registry>,
    reports: Arc<Reports>,
    upstream: Upstream,
    incarnation_id: String,
    end: CancellationToken,
) {
    let mut backoff = Backoff::default();
    loop {
        let welcomed = Arc::new(Notify::new());
        let feed = Feed {
            welcomed: welcomed.clone(),
            registry: registry.clone(),
            reports: reports.clone(),
            incarnation_id: incarnation_id.clone(),
            end: end.clone(),
            heartbeats: heartbeats(),
            phase: Phase::Hello,
        };
        let late = async {
            end.cancelled().await;
            tokio::time::sleep(DETACH_MAX).await;
        };
        // Cancel safe: a stream that is dropped half-way is opened anew, or the process ends.
        let error = tokio::select! {
            error = attach(&welcomed, &upstream, feed, &mut backoff) => error,
            () = late => return,
        };
        *reports.changed.lock() = None;
        if end.is_cancelled() {
            return;
        }
        if backoff.is_first() {
            tracing::warn!(%error, "the stream of sessions broke");
        }
        if end.run_until_cancelled(tokio::time::sleep(backoff.next())).await.is_none() {
            return;
        }
    }
}

fn heartbeats() -> Interval {
    let mut heartbeats = interval(HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeats
}

async fn attach(welcomed: &Notify, upstream: &Upstream, feed: Feed, backoff: &mut Backoff) -> Error {
    let opened = timeout(upstream.timeout, upstream.presence.clone().attach(feed.into_stream())).await;
    let mut stream = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused(status),
        Err(_) => return super::pump::late(),
    };
    loop {
        match timeout(SILENCE_MAX, stream.message()).await {
            Ok(Ok(Some(response))) => {
                if let Some(Answer::Welcome(_)) = response.answer {
                    welcomed.notify_one();
                }
            }
            Ok(Err(status)) => return refused(status),
            Ok(Ok(None)) | Err(_) => return super::pump::late(),
        }
        backoff.reset();
    }
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
    registry: Arc<Registry>,
    reports: Arc<Reports>,
    incarnation_id: String,
    end: CancellationToken,
    heartbeats: Interval,
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
                    // From here on changes are noted; what happens while all are listed is told after the list.
                    *self.reports.changed.lock() = Some(HashMap::new());
                    self.phase = Phase::Listing(list(&self.registry));
                }
                Phase::Listing(pages) => match pages.pop_front() {
                    Some(page) => return Some(Report::Sessions(page)),
                    None => self.phase = Phase::Live,
                },
                Phase::Live => {
                    // Cancel safe: all three only wait.
                    tokio::select! {
                        biased;
                        () = self.reports.is_changed.notified() => {
                            let sessions = self.reports.take();
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
fn list(registry: &Registry) -> VecDeque<SessionsChanged> {
    let sessions = registry.session_reports();
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
