//! Stopping, in order.
//!
//! 1. The soft token: no connection is accepted any more, no request becomes a socket. When an operator asks for a drain,
//!    the process goes on, but takes no socket either.
//! 2. Each session is told `goaway`, with a time to come back that spreads the clients over the window.
//! 3. Over the window the sessions are closed one by one (4001). One that is being closed reads nothing more, and ends
//!    when what it has under way is answered and written.
//! 4. When the last session is gone, and the process stops, the streams to the services end. The hard token ends
//!    everything that is left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::close::Close;
use crate::config::millis;
use crate::fanout::Member;
use crate::gateway::Gateway;

/// How often it is looked whether all sessions are gone.
const LOOK: Duration = Duration::from_millis(20);

/// Steps of the window.
const STEP: Duration = Duration::from_millis(20);

/// Waits for the soft stop, or until an operator asks; then takes all sessions down. With the soft stop cancels `streams`.
pub(crate) async fn run(gateway: Arc<Gateway>, streams: CancellationToken) {
    let (soft, hard) = (gateway.lifecycle.soft(), gateway.lifecycle.hard());
    let drain = async {
        soft.run_until_cancelled(gateway.draining.cancelled()).await;
        close_all(&gateway).await;
        soft.cancelled().await;
        // Nobody came meanwhile, unless they were already on their way.
        if gateway.metrics.sockets.get() > 0 {
            close_all(&gateway).await;
        }
    };
    // Cancel safe: at the hard stop everything is dropped anyway.
    if hard.run_until_cancelled(drain).await.is_none() {
        // Sockets ask for the hard stop when their time has come: it has.
        gateway.wheel.members().iter().for_each(|member| member.set_due());
    }
    streams.cancel();
}

/// An operator asks for a drain. Returns how many sessions there are to be told.
pub(crate) fn begin(gateway: &Gateway) -> usize {
    gateway.draining.cancel();
    usize::try_from(gateway.metrics.sockets.get()).unwrap_or(0)
}

/// Whether no socket is taken any more.
pub(crate) fn is_draining(gateway: &Gateway) -> bool {
    gateway.draining.is_cancelled() || gateway.lifecycle.soft().is_cancelled()
}

async fn close_all(gateway: &Gateway) {
    let members = gateway.wheel.members();
    let window = millis(gateway.config.drain_ms);
    for member in &members {
        let mut session = member.session();
        session.goaway(random_part(gateway, window));
        member.wake(&mut session);
    }
    let begin = Instant::now();
    let mut closed = 0;
    while closed < members.len() {
        let passed = begin.elapsed();
        let due = if passed >= window { members.len() } else { part_of(members.len(), passed, window) };
        members[closed..due].iter().for_each(close);
        closed = due;
        tokio::time::sleep(STEP).await;
    }
    // Also those that became sockets while the soft token was being set.
    while gateway.metrics.sockets.get() > 0 {
        gateway.wheel.members().iter().for_each(close);
        tokio::time::sleep(LOOK).await;
    }
}

fn close(member: &Arc<Member>) {
    let mut session = member.session();
    session.close(Close::Draining);
    member.wake(&mut session);
}

fn part_of(count: usize, passed: Duration, window: Duration) -> usize {
    (count as u128 * passed.as_nanos() / window.as_nanos().max(1)) as usize
}

fn random_part(gateway: &Gateway, window: Duration) -> u32 {
    let mut random = [0; 4];
    gateway.entropy.fill(&mut random);
    let window_ms = u32::try_from(window.as_millis()).unwrap_or(u32::MAX);
    u32::from_ne_bytes(random).checked_rem(window_ms).unwrap_or(0)
}
