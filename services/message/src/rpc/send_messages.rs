//! Pipelined sends of many users on one stream.
//!
//! Sends go into their lanes in the order of their arrival. Only a send about whose users has to be asked waits, its sender or
//! those whom it mentions, and with it what the same user sends to the same conversation; all others pass.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;
use tonic::{Request, Status, Streaming};
use viberchat_kit::auth::{AuthorizedStream, Streamed, authorized_stream};
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::{ConversationId, UserId};
use viberchat_kit::rpc::into_status;
use viberchat_proto::message::v1::send_messages_response::Result as Outcome;
use viberchat_proto::message::v1::{SendMessageResponse, SendMessagesRequest, SendMessagesResponse};

use super::send_message::{acknowledge, decode};
use super::write::{self, Admission, Write};
use crate::app::App;
use crate::authorize::Need;
use crate::error;
use crate::lane::{Chain, Link};

type Answers = BoxStream<'static, std::result::Result<SendMessagesResponse, Status>>;

pub(super) fn handle(app: &Arc<App>, request: Request<Streaming<SendMessagesRequest>>) -> Result<Answers> {
    let requests = authorized_stream(request, &super::SEND_MESSAGES)?;
    let pipeline = Pipeline::new(app.clone(), requests);
    let answers = futures::stream::unfold(Some(pipeline), |state| async {
        let mut pipeline = state?;
        match pipeline.next().await? {
            Ok(answer) => Some((Ok(answer), Some(pipeline))),
            Err(error) => Some((Err(into_status(error)), None)),
        }
    });
    Ok(answers.boxed())
}

/// Whose sends keep their order.
type Key = (ConversationId, UserId);

/// A send that has arrived.
struct Arrived {
    correlation_id: u64,
    write: Write,
    deadline: Instant,
    link: Link,
}

impl Arrived {
    fn has_mentions(&self) -> bool {
        !self.write.intent.mentions().is_empty()
    }
}

struct Sequence {
    chain: Arc<Chain>,
    /// Sends that are not answered yet. At zero the order has nothing more to say.
    under_way: usize,
    /// Sends that wait until was asked about the users of the first one.
    parked: VecDeque<Arrived>,
}

struct Pipeline {
    app: Arc<App>,
    requests: AuthorizedStream<SendMessagesRequest>,
    /// The requests have ended, well or not.
    closed: bool,
    /// Why, if not well; said when everything under way was answered.
    end: Option<Error>,
    sequences: HashMap<Key, Sequence>,
    under_way: usize,
    storing: FuturesUnordered<BoxFuture<'static, (Key, SendMessagesResponse)>>,
    asking: FuturesUnordered<BoxFuture<'static, (Key, Result<Admission>)>>,
    ready: VecDeque<SendMessagesResponse>,
}

impl Pipeline {
    fn new(app: Arc<App>, requests: AuthorizedStream<SendMessagesRequest>) -> Self {
        Self {
            app,
            requests,
            closed: false,
            end: None,
            sequences: HashMap::new(),
            under_way: 0,
            storing: FuturesUnordered::new(),
            asking: FuturesUnordered::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next answer. `None`: all are given.
    async fn next(&mut self) -> Option<Result<SendMessagesResponse>> {
        let (soft, hard) = (self.app.lifecycle.soft(), self.app.lifecycle.hard());
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return Some(Ok(answer));
            }
            if self.closed && self.under_way == 0 {
                return self.end.take().map(Err);
            }
            let room = self.under_way < self.app.config.stream_in_flight_max;
            // Cancel safe: what is under way is kept in `self`, and requests stay in their stream.
            tokio::select! {
                biased;
                () = hard.cancelled() => return Some(Err(Error::new(Reason::Draining, "the service stops"))),
                Some((key, answer)) = self.storing.next() => {
                    self.answered(&key);
                    return Some(Ok(answer));
                }
                Some((key, admission)) = self.asking.next() => self.unpark(&key, admission),
                // What is under way is answered; what comes later is for another instance.
                () = soft.cancelled(), if !self.closed => {
                    self.closed = true;
                    self.end = Some(Error::new(Reason::Draining, "the service stops"));
                }
                request = self.requests.next(), if room && !self.closed => match request {
                    Some(Ok(request)) => self.arrive(request).await,
                    Some(Err(end)) => {
                        self.closed = true;
                        self.end = Some(end.into());
                    }
                    None => self.closed = true,
                },
            }
        }
    }

    async fn arrive(&mut self, request: Streamed<SendMessagesRequest>) {
        let Streamed { context, correlation_id, request } = request;
        let decoded = context.and_then(|context| {
            let send = request.send.ok_or_else(|| Error::invalid_argument("send", "is missing"))?;
            Ok((decode(&self.app, &context, send)?, write::deadline(&self.app, &context)))
        });
        let (write, deadline) = match decoded {
            Ok(decoded) => decoded,
            // Nothing of this sender can have arrived after it, so nobody else fails with it.
            Err(error) => return self.ready.push_back(failed(correlation_id, &error)),
        };
        let key = (write.conversation_id, write.user.clone());
        let fresh = self.app.authorizer.fresh(key.0, &key.1).await;
        let sequence = self.sequences.entry(key.clone()).or_insert_with(Sequence::new);
        let arrived = Arrived { correlation_id, write, deadline, link: sequence.chain.link() };
        sequence.under_way += 1;
        self.under_way += 1;
        match fresh {
            // One that waits lets nobody of its sequence pass.
            Some(answer) if sequence.parked.is_empty() && !arrived.has_mentions() => {
                self.submit(key, arrived, Admission { answer, mentioned: Vec::new() });
            }
            _ => {
                sequence.parked.push_back(arrived);
                if sequence.parked.len() == 1 {
                    self.ask(key);
                }
            }
        }
    }

    /// Asks about the users of the first one that waits. Without a deadline: those who wait have different ones, and the
    /// lane looks at each. A question ends by itself.
    fn ask(&self, key: Key) {
        let first = self.sequences.get(&key).and_then(|sequence| sequence.parked.front());
        let mentions = first.map(|arrived| arrived.write.intent.mentions().to_vec()).unwrap_or_default();
        let app = self.app.clone();
        let question = async move {
            let admission = async {
                let answer = app.authorizer.answer(key.0, &key.1, Need::WRITE, None).await?;
                write::admit(&answer)?;
                let mentioned = write::mentioned(&app, key.0, &mentions, None).await?;
                Ok(Admission { answer, mentioned })
            };
            let admission = admission.await;
            (key, admission)
        };
        self.asking.push(question.boxed());
    }

    /// It is known what the users of the first one may do: it goes on, and in order all after it up to the next one that
    /// mentions somebody.
    fn unpark(&mut self, key: &Key, admission: Result<Admission>) {
        let Some(sequence) = self.sequences.get_mut(key) else { return };
        let mut parked = std::mem::take(&mut sequence.parked);
        let admission = match admission {
            Ok(admission) => admission,
            Err(error) => {
                return parked.iter().for_each(|arrived| self.refuse(key, arrived, error.clone()));
            }
        };
        let Admission { answer, mut mentioned } = admission;
        let mut is_first = true;
        while let Some(arrived) = parked.pop_front_if(|arrived| is_first || !arrived.has_mentions()) {
            is_first = false;
            let admission = Admission { answer: answer.clone(), mentioned: std::mem::take(&mut mentioned) };
            self.submit(key.clone(), arrived, admission);
        }
        if parked.is_empty() {
            return;
        }
        // It is there as long as one of its sends is under way.
        if let Some(sequence) = self.sequences.get_mut(key) {
            sequence.parked = parked;
            self.ask(key.clone());
        }
    }

    fn submit(&mut self, key: Key, arrived: Arrived, admission: Admission) {
        if arrived.link.is_broken() {
            return self.refuse(&key, &arrived, error::predecessor_failed());
        }
        let Arrived { correlation_id, write, deadline, link } = arrived;
        let kind = admission.answer.standing.kind;
        match write::submit(&self.app, write, admission, deadline, Some(link)) {
            Err(error) => {
                self.answered(&key);
                self.ready.push_back(failed(correlation_id, &error));
            }
            Ok(ticket) => {
                let app = self.app.clone();
                let storing = async move {
                    let acknowledged = match ticket.wait().await {
                        Ok(stored) => acknowledge(&app, key.0, &key.1, kind, stored).await,
                        Err(error) => Err(error),
                    };
                    (key, response(correlation_id, acknowledged))
                };
                self.storing.push(storing.boxed());
            }
        }
    }

    fn refuse(&mut self, key: &Key, arrived: &Arrived, error: Error) {
        let error = if arrived.link.is_broken() { error::predecessor_failed() } else { error };
        arrived.link.fail();
        self.answered(key);
        self.ready.push_back(failed(arrived.correlation_id, &error));
    }

    fn answered(&mut self, key: &Key) {
        self.under_way -= 1;
        if let Some(sequence) = self.sequences.get_mut(key) {
            sequence.under_way -= 1;
            if sequence.under_way == 0 {
                self.sequences.remove(key);
            }
        }
    }
}

impl Sequence {
    fn new() -> Self {
        Self { chain: Arc::default(), under_way: 0, parked: VecDeque::new() }
    }
}

fn response(correlation_id: u64, acknowledged: Result<SendMessageResponse>) -> SendMessagesResponse {
    match acknowledged {
        Ok(response) => SendMessagesResponse { correlation_id, result: Some(Outcome::Response(response)) },
        Err(error) => failed(correlation_id, &error),
    }
}

fn failed(correlation_id: u64, error: &Error) -> SendMessagesResponse {
    SendMessagesResponse { correlation_id, result: Some(Outcome::Error(error.to_proto())) }
}
