//! Senders over gRPC `SendMessages`: one stream each, all driven by one task.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use viberchat_kit::rpc::Channel;
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::message::v1::send_messages_response::Result as SendResult;
use viberchat_proto::message::v1::{SendMessagesRequest, SendMessagesResponse};
use viberchat_proto::types::v1::RequestContext;

use super::client::ANSWER_TIMEOUT;
use super::order;
use super::sample::{Faults, Latencies};

/// In flight of one sender that does not wait for answers. Beyond that the server is not sustaining the rate.
const PACED_WINDOW: usize = 4_096;
/// Of a paced sender: how exactly its times are kept.
const TURN: Duration = Duration::from_micros(50);
/// Connections that share the streams: one HTTP/2 connection has one lock.
const CHANNELS: usize = 2;

/// Who sends where.
pub(crate) struct Lane {
    pub(crate) user: String,
    pub(crate) conversation: String,
    /// Among the senders of the conversation.
    pub(crate) index: usize,
    /// What the sender knows of the conversation.
    pub(crate) head: u64,
}

/// What the observer has to wait for.
#[derive(Default)]
pub(crate) struct Progress {
    head: Cell<u64>,
    ended: Cell<bool>,
    changed: Notify,
}

impl Progress {
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.changed.notify_one();
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn is_over(&self, observed: u64) -> bool {
        self.ended.get() && observed >= self.head.get()
    }

    fn acked(&self, seq: u64) {
        self.head.set(self.head.get().max(seq));
    }
}

/// How much a phase brought.
pub(crate) struct Acked {
    pub(crate) count: u64,
    pub(crate) last: Instant,
}

pub(crate) struct Senders {
    senders: Vec<Sender>,
    /// In flight of one sender that waits for answers.
    window: usize,
}

struct Sender {
    lane: Lane,
    requests: mpsc::Sender<SendMessagesRequest>,
    responses: Streaming<SendMessagesResponse>,
    next_number: u64,
    /// Intended times by number, which is the correlation id, too.
    in_flight: HashMap<u64, Instant>,
    acked: u64,
    last_ack: Instant,
    faults: Faults,
}

impl Senders {
    /// Opens their streams; `connect` makes a connection.
    pub(crate) async fn open(
        connect: impl Fn() -> anyhow::Result<Channel>,
        lanes: Vec<Lane>,
        window: usize,
    ) -> anyhow::Result<Self> {
        let channels = (0..CHANNELS).map(|_| connect()).collect::<Result<Vec<_>, _>>()?;
        let mut senders = Vec::new();
        for (lane, channel) in lanes.into_iter().zip(channels.iter().cycle()) {
            let (requests, stream) = mpsc::channel(PACED_WINDOW);
            let mut client = MessageServiceClient::new(channel.clone());
            let opening = client.send_messages(ReceiverStream::new(stream));
            let responses = tokio::time::timeout(ANSWER_TIMEOUT, opening).await.context("no stream in time")??;
            senders.push(Sender {
                lane,
                requests,
                responses: responses.into_inner(),
                next_number: 0,
                in_flight: HashMap::new(),
                acked: 0,
                last_ack: Instant::now(),
                faults: Faults::default(),
            });
        }
        Ok(Self { senders, window })
    }

    /// Each sender keeps its window full for `time`, then waits for what is in flight.
    pub(crate) async fn saturate(&mut self, time: Duration, progress: &Progress) -> anyhow::Result<Acked> {
        let before = self.acked();
        let until = Instant::now() + time;
        let window = self.window;
        let mut running: FuturesUnordered<_> =
            self.senders.iter_mut().map(|sender| sender.saturate(until, window, progress)).collect();
        while let Some(ended) = running.next().await {
            ended?;
        }
        drop(running);
        let last = self.senders.iter().map(|sender| sender.last_ack).max().context("there are senders")?;
        Ok(Acked { count: self.acked() - before, last })
    }

    /// Sends at `rate` whatever the answers do. Each turn sends all that is due and takes all that has come. Between turns
    /// the thread sleeps, as the runtime's timers tick too slowly for this; what comes meanwhile waits that long.
    pub(crate) async fn pace(&mut self, rate: f64, time: Duration, progress: &Progress) -> anyhow::Result<Latencies> {
        let total = (rate * time.as_secs_f64()) as u64;
        let (start, count) = (Instant::now(), self.senders.len());
        let mut latencies = Latencies::new();
        let mut sent = 0;
        while sent < total || self.in_flight() > 0 {
            let due = ((start.elapsed().as_secs_f64() * rate) as u64).min(total);
            while sent < due {
                let intended = start + Duration::from_secs_f64(sent as f64 / rate);
                self.senders[sent as usize % count].send(intended)?;
                sent += 1;
            }
            // The first lets the runtime read from the sockets, the second lets the connections take what was read.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            for sender in &mut self.senders {
                sender.take_arrived(&mut latencies, progress)?;
            }
            std::thread::sleep(TURN);
            if start.elapsed() > time + ANSWER_TIMEOUT {
                bail!("{} sends were not answered in time", self.in_flight());
            }
        }
        Ok(latencies)
    }

    pub(crate) fn acked(&self) -> u64 {
        self.senders.iter().map(|sender| sender.acked).sum()
    }

    /// Who sent where, with what they know of it now, and how many messages each has in the log.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (&Lane, u64)> {
        self.senders.iter().map(|sender| (&sender.lane, sender.acked))
    }

    pub(crate) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        self.senders.iter().for_each(|sender| faults.add(&sender.faults));
        faults
    }

    fn in_flight(&self) -> usize {
        self.senders.iter().map(|sender| sender.in_flight.len()).sum()
    }
}

impl Sender {
    async fn saturate(&mut self, until: Instant, window: usize, progress: &Progress) -> anyhow::Result<()> {
        loop {
            while self.in_flight.len() < window && Instant::now() < until {
                self.send(Instant::now())?;
            }
            if self.in_flight.is_empty() {
                return Ok(());
            }
            let response = tokio::time::timeout(ANSWER_TIMEOUT, self.responses.message()).await;
            let response = response.context("a send was not answered in time")??;
            self.take(&response.context("the server ended the stream")?, None, progress);
        }
    }

    fn send(&mut self, intended: Instant) -> anyhow::Result<()> {
        let number = self.next_number;
        let context = RequestContext {
            on_behalf_of: self.lane.user.clone(),
            correlation_id: number + 1,
            timeout_ms: 10_000,
            ..RequestContext::default()
        };
        let send = order::message(&self.lane.conversation, self.lane.index, number, self.lane.head);
        let request = SendMessagesRequest { context: Some(context), send: Some(send) };
        self.requests
            .try_send(request)
            .context("the server does not keep up with the rate that it sustained before")?;
        self.next_number += 1;
        self.in_flight.insert(number + 1, intended);
        Ok(())
    }

    /// Takes what is there without waiting. The caller asks again and again, so no waker is needed.
    fn take_arrived(&mut self, latencies: &mut Latencies, progress: &Progress) -> anyhow::Result<()> {
        while let Some(response) = self.responses.message().now_or_never() {
            self.take(&response?.context("the server ended the stream")?, Some(latencies), progress);
        }
        Ok(())
    }

    fn take(&mut self, response: &SendMessagesResponse, latencies: Option<&mut Latencies>, progress: &Progress) {
        let now = Instant::now();
        let Some(intended) = self.in_flight.remove(&response.correlation_id) else {
            self.faults.refuse("ANSWERED_TWICE");
            return;
        };
        match &response.result {
            Some(SendResult::Response(ack)) if !ack.duplicate && ack.message.is_some() => {
                let seq = ack.message.as_ref().map_or(0, |message| message.seq);
                self.acked += 1;
                self.last_ack = now;
                self.lane.head = self.lane.head.max(seq);
                progress.acked(seq);
                if let Some(latencies) = latencies {
                    latencies.record(now - intended);
                }
            }
            Some(SendResult::Response(_)) => self.faults.refuse("DUPLICATE"),
            Some(SendResult::Error(error)) => self.faults.refuse(&error.reason),
            None => self.faults.refuse("EMPTY_ANSWER"),
        }
    }
}
