//! What others see of a user, and what the user sees of others.

use std::time::{Duration, Instant};

use rand::{Rng as _, seq::IndexedRandom as _};
use viberchat_proto::presence::v1::Status;

use super::Actor;
use crate::{
    history::Door,
    workload::crowd::{Place, user_name},
};

/// Statuses that users set. Most are there to be seen.
const STATUSES: [Status; 5] = [Status::Online, Status::Online, Status::Away, Status::Busy, Status::Invisible];

/// The most conversations on one screen.
const FOCUSED_MAX: usize = 20;

/// How long a user who has set a status keeps it, now and then: long enough to be seen.
const SEEN: Duration = Duration::from_millis(1_200);

impl Actor {
    /// Watches all users and looks at the own conversations, once in each session.
    pub(in crate::workload) async fn look(&mut self) {
        let Some(session) = self.client.socket().map(crate::client::Socket::session) else { return };
        if self.looking == Some(session) {
            return;
        }
        let users: Vec<String> = (0..self.plan.users).filter(|user| *user != self.number).map(user_name).collect();
        let mine = self.shared.places.iter().filter(|place| place.members.contains(&self.number));
        let focused: Vec<String> = mine.map(|place| place.id.clone()).take(FOCUSED_MAX).collect();
        // A session that ends meanwhile looks again when it is resumed.
        if self.client.watch_presence(&users).await.is_ok() && self.client.focus(&focused).await.is_ok() {
            self.looking = Some(session);
        }
    }

    /// Types, or sets a status.
    pub(super) async fn show(&mut self, conversation: &str) {
        if !self.plan.sessions {
            return;
        }
        let door = self.any_door();
        if self.rng.random_bool(0.6) {
            let typing = self.rng.random_bool(0.8);
            return drop(self.client.set_typing(door, conversation, typing).await);
        }
        let status = *STATUSES.choose(&mut self.rng).expect("there are some");
        drop(self.client.set_status(door, status).await);
        // Who is invisible stays so for long enough that a leak would be seen.
        if status == Status::Invisible || self.rng.random_bool(0.2) {
            tokio::time::sleep(SEEN).await;
        }
    }

    /// Blocks a neighbour for some steps.
    pub(super) async fn block(&mut self) {
        if self.blocked.is_none() {
            let peer = user_name((self.number + 1) % self.plan.users);
            let door = self.any_door();
            if self.client.block(door, &peer, true).await.is_ok() {
                self.blocked = Some((peer, Instant::now()));
            }
        }
    }

    /// Sends into the direct with whom the user has blocked: that is to be refused.
    pub(super) async fn try_the_block(&mut self) {
        let Some((peer, _)) = &self.blocked else { return };
        let is_theirs = |place: &&Place| {
            place.admin.is_none()
                && place.members.contains(&self.number)
                && place.members.iter().any(|member| user_name(*member) == *peer)
        };
        let direct = self.shared.places.iter().find(is_theirs).map(|place| place.id.clone());
        if let Some(direct) = direct {
            self.send(&direct).await;
        }
    }

    /// Takes the block away.
    pub(in crate::workload) async fn unblock(&mut self) {
        if let Some((peer, _)) = &self.blocked
            && self.client.block(Door::Http, peer, false).await.is_ok()
        {
            self.blocked = None;
        }
    }
}
