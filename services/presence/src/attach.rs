//! A gateway's stream: its sessions come, go and change; heartbeats go both ways.
//!
//! The stream is the gateway's life. It ends well with `detach`: then the sessions are gone at once. However else it ends,
//! they count until the gateway was not heard of for the grace time, or attaches again. A gateway that attaches again takes
//! the place of its earlier stream, which just ends.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use viberchat_kit::auth::{AuthorizedStream, Streamed};
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::rpc::into_status;
use viberchat_proto::presence::v1::attach_request::Report as Reported;
use viberchat_proto::presence::v1::attach_response::Answer;
use viberchat_proto::presence::v1::{
    AttachHeartbeat, AttachHello, AttachRequest, AttachResponse, AttachWelcome, SessionsChanged,
};

use crate::app::App;
use crate::convert::report_from_proto;
use crate::domain::name::IncarnationId;
use crate::domain::registry::{Attachment, Report};
use crate::error::{draining, limit_exceeded};

/// Sessions of one report.
const SESSIONS_MAX: usize = 500;
/// Answers that may wait for a gateway to read them. They are heartbeats: what finds no room is left out.
const ANSWERS_MAX: usize = 8;

/// The latest stream of each gateway, to be ended by the next one. As many as the registry has gateways.
#[derive(Default)]
pub(crate) struct Attachments(Mutex<HashMap<IncarnationId, (Attachment, CancellationToken)>>);

/// A gateway that has said hello. Dropped without a word it is lost.
struct Attached {
    app: Arc<App>,
    incarnation: IncarnationId,
    attachment: Attachment,
    replaced: CancellationToken,
}

impl Attached {
    fn new(app: &Arc<App>, incarnation: IncarnationId) -> Result<Self> {
        let replaced = CancellationToken::new();
        let mut streams = app.attachments.0.lock();
        // Numbered under the lock: the later stream is the one that is kept.
        let attachment = app.presences.attach(&incarnation)?;
        if let Some((_, earlier)) = streams.insert(incarnation.clone(), (attachment, replaced.clone())) {
            earlier.cancel();
        }
        drop(streams);
        Ok(Self { app: Arc::clone(app), incarnation, attachment, replaced })
    }

    fn detach(&self) {
        self.app.presences.detach(&self.incarnation, self.attachment);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // After a detach, or behind a later stream, this changes nothing.
        self.app.presences.lose(&self.incarnation, self.attachment);
        let mut streams = self.app.attachments.0.lock();
        if streams.get(&self.incarnation).is_some_and(|(attachment, _)| *attachment == self.attachment) {
            streams.remove(&self.incarnation);
        }
    }
}

/// What the gateway reads: the answers, then why the stream ended.
pub(crate) struct Answers {
    answers: mpsc::Receiver<AttachResponse>,
    /// Written once by the stream's task, before it lets go of its end of `answers`.
    end: Arc<OnceLock<Error>>,
    ended: bool,
}

impl Stream for Answers {
    type Item = std::result::Result<AttachResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match self.answers.poll_recv(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(next) => next,
        };
        self.ended = next.is_none();
        let end = || self.end.get().cloned().map(|error| Err(into_status(error)));
        Poll::Ready(next.map(Ok).or_else(end))
    }
}

/// Serves the stream in a task of its own: a gateway that does not read is heard all the same.
pub(crate) fn open(app: &Arc<App>, requests: AuthorizedStream<AttachRequest>) -> Answers {
    let (sender, answers) = mpsc::channel(ANSWERS_MAX);
    let end = Arc::<OnceLock<Error>>::default();
    let (why, lifecycle) = (Arc::clone(&end), app.lifecycle.clone());
    let mut stream = AttachStream { app: Arc::clone(app), sender, attached: None };
    lifecycle.spawn("presence.attach_stream", async move {
        if let Err(error) = stream.serve(requests).await {
            why.get_or_init(|| error);
        }
    });
    Answers { answers, end, ended: false }
}

struct AttachStream {
    app: Arc<App>,
    sender: mpsc::Sender<AttachResponse>,
    /// `None`: no hello yet.
    attached: Option<Attached>,
}

impl AttachStream {
    async fn serve(&mut self, mut requests: AuthorizedStream<AttachRequest>) -> Result<()> {
        let soft = self.app.lifecycle.soft();
        let heartbeat = Duration::from_millis(self.app.config.attach_heartbeat_ms);
        let silence = Duration::from_millis(self.app.config.attach_silence_ms);
        let mut heartbeats = interval_at(Instant::now() + heartbeat, heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sender = self.sender.clone();
        let mut heard_at = Instant::now();
        loop {
            let replaced = self.attached.as_ref().map(|attached| attached.replaced.clone());
            // All branches are cancel safe: a request is taken by the branch that wins only.
            tokio::select! {
                () = sender.closed() => return Ok(()),
                () = soft.cancelled() => return Err(draining()),
                () = cancelled(replaced.as_ref()) => return Ok(()),
                () = sleep_until(heard_at + silence) => {
                    return Err(Error::new(Reason::DeadlineExceeded, "the gateway was silent for too long"));
                }
                _ = heartbeats.tick() => self.answer(Answer::Heartbeat(AttachHeartbeat {})),
                request = requests.next() => match request {
                    None => return Ok(()),
                    Some(request) => {
                        heard_at = Instant::now();
                        if self.hear(request?).await? {
                            return Ok(());
                        }
                    }
                },
            }
        }
    }

    /// Whether the stream is over.
    async fn hear(&mut self, streamed: Streamed<AttachRequest>) -> Result<bool> {
        streamed.context?;
        let report = streamed.request.report.ok_or_else(|| Error::invalid_argument("report", "is absent"))?;
        match (report, &self.attached) {
            (Reported::Hello(hello), None) => self.attach(&hello)?,
            (Reported::Hello(_), Some(_)) => return Err(Error::invalid_argument("hello", "comes more than once")),
            (_, None) => return Err(Error::invalid_argument("hello", "has to come first")),
            (Reported::Heartbeat(AttachHeartbeat {}), Some(attached)) => {
                self.app.presences.hear(&attached.incarnation, attached.attachment);
            }
            (Reported::Sessions(changed), Some(attached)) => {
                self.app.presences.hear(&attached.incarnation, attached.attachment);
                self.change(attached, changed).await?;
            }
            (Reported::Detach(_), Some(attached)) => {
                attached.detach();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn attach(&mut self, hello: &AttachHello) -> Result<()> {
        let incarnation = IncarnationId::parse(&hello.incarnation_id)
            .ok_or_else(|| Error::invalid_argument("hello.incarnation_id", "is not 1 to 64 bytes of text"))?;
        self.attached = Some(Attached::new(&self.app, incarnation)?);
        self.answer(Answer::Welcome(AttachWelcome {}));
        Ok(())
    }

    async fn change(&self, attached: &Attached, changed: SessionsChanged) -> Result<()> {
        let SessionsChanged { sessions, complete } = changed;
        if sessions.len() > SESSIONS_MAX {
            return Err(limit_exceeded("sessions in one report", SESSIONS_MAX));
        }
        let mut reports: Vec<Report> = Vec::with_capacity(sessions.len());
        for (index, session) in sessions.into_iter().enumerate() {
            let wrong = |field| Error::invalid_argument(format!("sessions[{index}].{field}"), "is malformed");
            reports.push(report_from_proto(&session).map_err(wrong)?);
        }
        let users = reports.iter().map(|report| report.user.clone()).collect();
        // Their rows first: nobody is shown as there before it is known whether they hide.
        let _admitted = self.app.presences.admit(users).await?;
        self.app.presences.report(&attached.incarnation, attached.attachment, reports, complete);
        Ok(())
    }

    fn answer(&self, answer: Answer) {
        // A gateway that does not read misses heartbeats, and ends the stream itself.
        let _ = self.sender.try_send(AttachResponse { answer: Some(answer) });
    }
}

/// Waits until the token is cancelled; for ever if there is none.
async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}
