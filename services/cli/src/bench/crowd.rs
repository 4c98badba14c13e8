//! Many members of a group on sockets of this process. They read as cheaply as can be, because they share one core.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::stream::FuturesUnordered;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_websockets::{Message, WebSocketStream};

use super::client::Client;
use super::order;
use super::sample::Faults;
use super::server::Server;

/// Handshakes under way at once.
const HANDSHAKES: usize = 64;
/// What does not come by then is lost.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// As JSON; its answer is not waited for.
pub(crate) const HEARTBEAT: &str = r#"{"id":4000000000,"heartbeat":{}}"#;

/// A socket of which only seqs and numbers of entries are looked at.
pub(crate) struct Listener {
    socket: WebSocketStream<TcpStream>,
    next_seq: u64,
    disordered: u64,
}

/// Those who listen.
#[derive(Default)]
pub(crate) struct Crowd {
    listeners: Vec<Listener>,
}

/// What has come so far, over all.
pub(crate) struct Delivered {
    total: Cell<u64>,
    wanted: Cell<u64>,
    reached: Notify,
    last: Cell<Instant>,
    frame_bytes: Cell<usize>,
}

impl Delivered {
    fn new() -> Self {
        Self {
            total: Cell::new(0),
            wanted: Cell::new(u64::MAX),
            reached: Notify::new(),
            last: Cell::new(Instant::now()),
            frame_bytes: Cell::new(0),
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.get()
    }

    /// Bytes of the last frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.frame_bytes.get()
    }

    /// Waits until so many have come in all, and returns when that was. For one task at a time; cancel safe.
    pub(crate) async fn reach(&self, total: u64) -> Instant {
        self.wanted.set(total);
        while self.total.get() < total {
            self.reached.notified().await;
        }
        self.last.get()
    }

    fn add(&self, frame_bytes: usize) {
        let total = self.total.get() + 1;
        self.total.set(total);
        self.frame_bytes.set(frame_bytes);
        if total == self.wanted.get() {
            self.last.set(Instant::now());
            self.reached.notify_one();
        }
    }
}

impl Crowd {
    /// Connects a socket for each user, all ready.
    pub(crate) async fn connect(server: &Server, users: &[String]) -> anyhow::Result<Self> {
        let connecting = users.iter().map(async |user| {
            let mut client = Client::connect(server.http, user, &server.token(user)?, false).await?;
            client.ready().await?;
            anyhow::Ok(Listener { socket: client.into_socket()?, next_seq: 0, disordered: 0 })
        });
        let listeners = futures::stream::iter(connecting).buffered(HANDSHAKES).try_collect().await?;
        Ok(Self { listeners })
    }

    /// All say that they live; to be called more often than the silence that the server bears.
    pub(crate) async fn heartbeat(&mut self) -> anyhow::Result<()> {
        for listener in &mut self.listeners {
            listener.socket.send(Message::text(HEARTBEAT.to_owned())).await?;
        }
        Ok(())
    }

    /// Ends all connections at once, as a machine does that dies: nobody says goodbye, or closes.
    pub(crate) fn break_off(self) -> anyhow::Result<()> {
        for listener in self.listeners {
            listener.socket.into_inner().set_zero_linger()?;
        }
        Ok(())
    }

    /// While `send` runs, the first `members` read the entries of one conversation after `head`, up to `last`. Shows each
    /// message's number as it comes.
    pub(crate) async fn hear<T>(
        &mut self,
        members: usize,
        (head, last): (u64, u64),
        send: impl AsyncFnOnce(&Delivered) -> anyhow::Result<T>,
        on_message: impl FnMut(u64),
    ) -> anyhow::Result<T> {
        let listeners = self.listeners.get_mut(..members).context("there are so many listeners")?;
        listeners.iter_mut().for_each(|listener| listener.next_seq = head + 1);
        let (delivered, on_message) = (Delivered::new(), RefCell::new(on_message));
        // A reader that was stopped in the middle of its work would only be polled again at once.
        let reading = tokio::task::unconstrained(async {
            let all: FuturesUnordered<_> =
                listeners.iter_mut().map(|listener| listener.hear(last, &delivered, &on_message)).collect();
            all.try_collect::<()>().await
        });
        // All listen before the first is sent: the first future is polled first.
        let both = futures::future::try_join(reading, send(&delivered));
        match tokio::time::timeout(DELIVERY_TIMEOUT, both).await {
            Ok(both) => Ok(both?.1),
            Err(_) => {
                bail!("{} of {} deliveries never came", self.missing(members, last), members as u64 * (last - head))
            }
        }
    }

    fn missing(&self, members: usize, last: u64) -> u64 {
        self.listeners[..members].iter().map(|listener| (last + 1).saturating_sub(listener.next_seq)).sum()
    }

    /// What came out of its place so far.
    pub(crate) fn faults(&self) -> Faults {
        Faults { disordered: self.listeners.iter().map(|listener| listener.disordered).sum(), ..Faults::default() }
    }
}

impl Listener {
    async fn hear(
        &mut self,
        last: u64,
        delivered: &Delivered,
        on_message: &RefCell<impl FnMut(u64)>,
    ) -> anyhow::Result<()> {
        while self.next_seq <= last {
            let message = self.socket.next().await.context("the server closed a socket")??;
            if let Some((code, reason)) = message.as_close() {
                bail!("the server closed a socket: {} {reason}", u16::from(code));
            }
            let Some(text) = message.as_text() else { continue };
            let Some(glimpse) = order::glimpse(text) else { continue };
            self.disordered += u64::from(glimpse.seq != self.next_seq);
            self.next_seq = self.next_seq.max(glimpse.seq + 1);
            delivered.add(text.len());
            if let Some(number) = glimpse.number {
                on_message.borrow_mut()(number);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_waited_for_is_reached_with_the_delivery_that_completes_it() {
        let delivered = Delivered::new();
        delivered.add(10);
        let mut waiting = Box::pin(delivered.reach(3));
        assert!((&mut waiting).now_or_never().is_none());
        delivered.add(10);
        assert!((&mut waiting).now_or_never().is_none());
        delivered.add(11);
        assert!((&mut waiting).now_or_never().is_some());
        assert_eq!((delivered.total(), delivered.frame_bytes()), (3, 11));
    }
}
