//! The 16 senders: one stream each, all driven by one task.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use viberchat_proto::message::v1::message_service_client::MessageServiceClient;
use viberchat_proto::message::v1::send_messages_response::Result as SendResult;
use viberchat_proto::message::v1::{SendMessagesRequest, SendMessagesResponse};
use viberchat_proto::types::v1::RequestContext;

use super::super::client::ANSWER_TIMEOUT;
use super::super::order;
use super::super::sample::{Faults, Latencies};
use super::super::server::Server;

pub(super) const SENDERS: usize = 16;
/// In flight of one sender: twice a full batch of 64 in all would do; this leaves room for a slow sync.
const WINDOW: usize = 32;
/// In flight of one sender that does not wait for answers. Beyond that the server is not sustaining the rate.
const PACED_WINDOW: usize = 4_096;
/// Of a paced sender: how exactly its times are kept.
const TURN: Duration = Duration::from_micros(50);
/// Connections that share the streams: one HTTP/2 connection has one lock.
const CHANNELS: usize = 2;

pub(super) fn user(sender: usize) -> String {
    format!("w3-sender-{sender:02}")
}

/// What the observer has to wait for.
#[derive(Default)]
pub(super) struct Progress {
    head: Cell<u64>,
    ended: Cell<bool>,
    changed: Notify,
}

impl Progress {
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.changed.notify_one();
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn is_over(&self, observed: u64) -> bool {
        self.ended.get() && observed >= self.head.get()
    }

    fn acked(&self, seq: u64) {
        self.head.set(self.head.get().max(seq));
    }
}

/// How much a phase brought.
pub(super) struct Acked {
    pub(super) count: u64,
    pub(super) last: Instant,
}

pub(super) struct Senders(Vec<Sender>);

struct Sender {
    index: usize,
    user: String,
    conversation: String,
    requests: mpsc::Sender<SendMessagesRequest>,
    responses: Streaming<SendMessagesResponse>,
    next_number: u64,
    known_seq: u64,
    /// Intended times by number, which is the correlation id, too.
    in_flight: HashMap<u64, Instant>,
    acked: u64,
    last_ack: Instant,
    faults: Faults,
}

impl Senders {
    pub(super) async fn open(server: &Server, conversation: &str, head: u64) -> anyhow::Result<Self> {
        let channels = (0..CHANNELS).map(|_| server.grpc()).collect::<Result<Vec<_>, _>>()?;
        let mut senders = Vec::new();
        for index in 0..SENDERS {
            let (requests, stream) = mpsc::channel(PACED_WINDOW);
            let mut client = MessageServiceClient::new(channels[index % CHANNELS].clone());
            let opening = client.send_messages(ReceiverStream::new(stream));
            let responses = tokio::time::timeout(ANSWER_TIMEOUT, opening).await.context("no stream in time")??;
            senders.push(Sender {
                index,
                user: user(index),
                conversation: conversation.to_owned(),
                requests,
                responses: responses.into_inner(),
                next_number: 0,
                known_seq: head,
                in_flight: HashMap::new(),
                acked: 0,
                last_ack: Instant::now(),
                faults: Faults::default(),
            });
        }
        Ok(Self(senders))
    }

    /// Each sender keeps its window full for `time`, then waits for what is in flight.
    pub(super) async fn saturate(&mut self, time: Duration, progress: &Progress) -> anyhow::Result<Acked> {
        let before = self.acked();
        let until = Instant::now() + time;
        let mut running: FuturesUnordered<_> =
            self.0.iter_mut().map(|sender| sender.saturate(until, progress)).collect();
        while let Some(ended) = running.next().await {
            ended?;
        }
        drop(running);
        let last = self.0.iter().map(|sender| sender.last_ack).max().context("there are senders")?;
        Ok(Acked { count: self.acked() - before, last })
    }

    /// Sends at `rate` whatever the answers do. Each turn sends all that is due and takes all that has come. Between turns
    /// the thread sleeps, as the runtime's timers tick too slowly for this; what comes meanwhile waits that long.
    pub(super) async fn pace(&mut self, rate: f64, time: Duration, progress: &Progress) -> anyhow::Result<Latencies> {
        let total = (rate * time.as_secs_f64()) as u64;
        let start = Instant::now();
        let mut latencies = Latencies::new();
        let mut sent = 0;
        while sent < total || self.in_flight() > 0 {
            let due = ((start.elapsed().as_secs_f64() * rate) as u64).min(total);
            while sent < due {
                let intended = start + Duration::from_secs_f64(sent as f64 / rate);
                self.0[sent as usize % SENDERS].send(intended)?;
                sent += 1;
            }
            // The first lets the runtime read from the sockets, the second lets the connections take what was read.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            for sender in &mut self.0 {
                sender.take_arrived(&mut latencies, progress)?;
            }
            std::thread::sleep(TURN);
            if start.elapsed() > time + ANSWER_TIMEOUT {
                bail!("{} sends were not answered in time", self.in_flight());
            }
        }
        Ok(latencies)
    }

    pub(super) fn acked(&self) -> u64 {
        self.0.iter().map(|sender| sender.acked).sum()
    }

    pub(super) fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        self.0.iter().for_each(|sender| faults.add(&sender.faults));
        faults
    }

    fn in_flight(&self) -> usize {
        self.0.iter().map(|sender| sender.in_flight.len()).sum()
    }
}

impl Sender {
    async fn saturate(&mut self, until: Instant, progress: &Progress) -> anyhow::Result<()> {
        loop {
            while self.in_flight.len() < WINDOW && Instant::now() < until {
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
            on_behalf_of: self.user.clone(),
            correlation_id: number + 1,
            timeout_ms: 10_000,
            ..RequestContext::default()
        };
        let send = order::message(&self.conversation, self.index, number, self.known_seq);
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
                self.known_seq = self.known_seq.max(seq);
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
