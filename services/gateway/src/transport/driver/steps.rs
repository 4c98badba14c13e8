//! What a session asks for after a frame of its client.

use futures::FutureExt as _;
use tokio::time::Instant;
use viberchat_proto::gateway::v1::Hello;
use viberchat_proto::message::v1::{Door, SendMessageRequest};

use super::Driver;
use crate::frames::{self, Request};
use crate::session::{Step, UnderWay};
use crate::upstream::sends;

impl Driver {
    pub(super) fn step(&mut self, step: Step, now: Instant) {
        match step {
            Step::Done => {}
            Step::Hello { id, hello } => {
                let step = self.hello(id, &hello, now);
                self.step(step, now);
            }
            Step::Attach => {
                if let Some(user) = &self.user {
                    self.gateway.registry.attach(user, &self.member);
                }
            }
            Step::Send { under_way, request } => self.send(under_way, request, now),
            Step::Call { under_way, request } => self.call(under_way, request),
        }
    }

    fn hello(&mut self, id: u32, hello: &Hello, now: Instant) -> Step {
        let verified = match self.gateway.verify_hello(hello) {
            Ok(verified) => verified,
            Err(refusal) => {
                self.member.session().refuse_hello(now, id, &refusal);
                return Step::Done;
            }
        };
        let resume = hello.resume;
        let gateway = &self.gateway;
        let welcome = gateway.welcome(id, &verified);
        let ends = (now + gateway.verifier.time_left(&verified.token), verified.token.expires_at);
        // Joined before anything is said, so that no change of memberships is missed.
        let sessions_max = gateway.config.user_sessions_max as usize;
        self.user = Some(gateway.registry.join(&verified.user, &self.member, sessions_max));
        let first_heartbeat = gateway.first_heartbeat();
        let mut session = self.member.session();
        let step = session.welcome(now, welcome, resume, ends, first_heartbeat);
        let next = session.next_tick(now);
        drop(session);
        self.be_back_at(next);
        step
    }

    fn send(&mut self, under_way: UnderWay, mut request: SendMessageRequest, now: Instant) {
        let Some(user) = &self.user else { return };
        request.door = Door::Socket.into();
        request.keep_read_position = false;
        if let Err(error) = self.gateway.rate.check(user.id(), now) {
            let frame = frames::error(under_way.id, &error);
            return self.member.session().answer(&under_way, frame);
        }
        if let Err(under_way) = self.gateway.sends.submit(&self.member, user.id(), under_way, request, now) {
            let frame = frames::error(under_way.id, &sends::unavailable());
            self.member.session().answer(&under_way, frame);
        }
    }

    fn call(&mut self, under_way: UnderWay, request: Request) {
        let Some(user) = &self.user else { return };
        let page_bytes_max = self.gateway.config.page_bytes_max as usize;
        let answer = self.gateway.upstream.clone().answer(user.id().clone(), under_way.id, request, page_bytes_max);
        self.calls.get_or_insert_default().push(Box::pin(answer.map(|frame| (under_way, frame))));
    }
}
