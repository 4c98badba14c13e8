//! A socket's way to its session: its hello waits for a turn, and the turn ends when the session is settled.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use viberchat_proto::gateway::v1::Hello;

use super::{Driver, Running};
use crate::admission::Admission;
use crate::config::millis;
use crate::session::Step;

/// From the upgrade until the session is settled.
pub(super) struct Handshake {
    _place: OwnedSemaphorePermit,
    turn: Turn,
}

enum Turn {
    /// No hello yet.
    NotAsked,
    /// The hello waits.
    Waiting { turn: Running<Option<OwnedSemaphorePermit>>, hello: Held, _counted: Counted },
    /// The hello is served, or the resume.
    Taken { _permit: OwnedSemaphorePermit, until: Instant },
}

struct Held {
    id: u32,
    hello: Hello,
}

/// One that waits, in the metrics.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Handshake {
    pub(super) fn new(place: OwnedSemaphorePermit) -> Box<Self> {
        Box::new(Self { _place: place, turn: Turn::NotAsked })
    }
}

impl Driver {
    /// Serves a hello, or lets it wait for its turn.
    pub(super) fn begin_hello(&mut self, id: u32, hello: Hello, now: Instant) {
        if let Some(handshake) = &mut self.handshake
            && matches!(handshake.turn, Turn::NotAsked)
        {
            let admission = &self.gateway.admission;
            let Some(permit) = admission.try_turn() else {
                let turn = Box::pin(Admission::turn(admission.turns()));
                let counted = Counted::new(&self.gateway.metrics.handshakes_waiting);
                handshake.turn = Turn::Waiting { turn, hello: Held { id, hello }, _counted: counted };
                return self.member.session().hold_hello(now);
            };
            self.take_turn(permit, now);
        }
        let step = self.hello(id, &hello, now);
        self.step(step, now);
    }

    /// Whether the hello waits, so that nothing more is read.
    pub(super) fn is_waiting(&self) -> bool {
        self.handshake.as_ref().is_some_and(|handshake| matches!(handshake.turn, Turn::Waiting { .. }))
    }

    /// Looks whether the turn has come; says whether it has.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some(handshake) = &mut self.handshake else { return false };
        let Turn::Waiting { turn, .. } = &mut handshake.turn else { return false };
        let Poll::Ready(Some(permit)) = Pin::new(turn).poll_unpin(cx) else { return false };
        let Turn::Waiting { hello, .. } = std::mem::replace(&mut handshake.turn, Turn::NotAsked) else { return false };
        self.take_turn(permit, now);
        let step: Step = self.hello(hello.id, &hello.hello, now);
        self.step(step, now);
        true
    }

    /// Gives the turn to the next one if it is over.
    pub(super) fn end_handshake(&mut self, now: Instant) {
        let Some(handshake) = &self.handshake else { return };
        let Turn::Taken { until, .. } = handshake.turn else { return };
        if now >= until || self.member.session().is_settled() {
            self.handshake = None;
        }
    }

    fn take_turn(&mut self, permit: OwnedSemaphorePermit, now: Instant) {
        let until = now + millis(self.gateway.config.handshake_turn_ms);
        if let Some(handshake) = &mut self.handshake {
            handshake.turn = Turn::Taken { _permit: permit, until };
        }
        self.be_back_at(until);
    }
}
