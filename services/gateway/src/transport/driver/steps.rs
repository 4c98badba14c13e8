//! What a session asks for after a frame of its client.

use futures::FutureExt as _;
use tokio::time::Instant;
use viberchat_kit::error::{Error, Reason};
use viberchat_proto::gateway::v1::{Hello, RefreshedToken};
use viberchat_proto::message::v1::{Door, SendMessageRequest};

use super::Driver;
use crate::fanout::{Waiting, presence_unavailable};
use crate::frames::{self, Answer, Request};
use crate::session::{Step, UnderWay};
use crate::upstream::sends;

impl Driver {
    pub(super) fn step(&mut self, step: Step, now: Instant) {
        match step {
            Step::Done => {}
            Step::Hello { id, hello } => self.begin_hello(id, hello, now),
            Step::Attach => {
                if let Some(user) = &self.user {
                    self.gateway.registry.attach(user, &self.member);
                }
            }
            Step::Send { under_way, request } => self.send(under_way, request, now),
            Step::Focus(conversations) => {
                if let Some(user) = &self.user {
                    self.gateway.registry.focus(user, &self.member, &conversations);
                }
            }
            Step::Watch { under_way, user_ids } => self.watch(under_way, &user_ids, now),
            Step::Unwatch(user_ids) => {
                if let Some(user) = &self.user {
                    let watches = &self.gateway.registry.watches;
                    user.unwatch(&self.member, &user_ids, |ended| watches.end(user.id(), &ended));
                }
            }
            Step::RefreshToken { id, token } => self.refresh_token(id, &token, now),
            Step::Call { under_way, request } => self.call(under_way, request),
        }
    }

    pub(super) fn hello(&mut self, id: u32, hello: &Hello, now: Instant) -> Step {
        let verified = match self.gateway.verify_hello(hello) {
            Ok(verified) => verified,
            Err(refusal) => {
                self.member.session().refuse_hello(now, id, &refusal);
                return Step::Done;
            }
        };
        let resume = hello.resume;
        let gateway = &self.gateway;
        let identity = gateway.identity(hello);
        let welcome = gateway.welcome(id, &verified, &identity);
        let ends = (now + gateway.verifier.time_left(&verified.token), verified.token.expires_at);
        // Joined before anything is said, so that no change of memberships is missed.
        let sessions_max = gateway.config.user_sessions_max as usize;
        self.user = Some(gateway.registry.join(&verified.user, &self.member, sessions_max));
        let first_heartbeat = gateway.first_heartbeat();
        let mut session = self.member.session();
        let step = session.welcome(now, &welcome, identity, resume, ends, first_heartbeat);
        let next = session.next_tick(now);
        drop(session);
        self.report_activity();
        self.be_back_at(next);
        step
    }

    fn send(&mut self, under_way: UnderWay, mut request: SendMessageRequest, now: Instant) {
        let Some(user) = &self.user else { return };
        request.door = Door::Socket.into();
        request.keep_read_position = false;
        if let Err(error) = self.gateway.rate.check(user.id(), now) {
            return self.refuse(&under_way, &error);
        }
        if let Err(under_way) = self.gateway.sends.submit(&self.member, user.id(), under_way, request, now) {
            self.refuse(&under_way, &sends::unavailable());
        }
    }

    fn watch(&mut self, under_way: UnderWay, user_ids: &[String], now: Instant) {
        let Some(user) = &self.user else { return };
        let watches = &self.gateway.registry.watches;
        let expires = now + self.gateway.upstream.timeout;
        let mut under_way = Some(under_way);
        let mut unheard = None;
        let watched = user.watch(&self.member, user_ids, self.gateway.config.watched_users_max as usize, |added| {
            if let Some(under_way) = under_way.take() {
                let waiting = Waiting { user: user.clone(), member: self.member.clone(), under_way, added, expires };
                unheard = watches.ask(user_ids, waiting).err();
            }
        });
        if let Some(waiting) = unheard {
            waiting.refuse(watches, &presence_unavailable());
        }
        if let (Err(error), Some(under_way)) = (watched, under_way) {
            self.refuse(&under_way, &error);
        }
    }

    /// A token that is not good changes nothing: the session lasts as long as the one that it has.
    fn refresh_token(&mut self, id: u32, token: &str, now: Instant) {
        let Some(user) = &self.user else { return };
        let verified = self.gateway.verify_user(token).and_then(|verified| match verified.user == *user.id() {
            true => Ok(verified),
            false => Err(Error::new(Reason::PermissionDenied, "the token is another user's")),
        });
        let mut session = self.member.session();
        match verified {
            Ok(verified) => {
                let left = self.gateway.verifier.time_left(&verified.token);
                let expires = session.extend_token((now + left, verified.token.expires_at));
                let refreshed = RefreshedToken { token_expire_time: Some(expires.to_proto()) };
                session.reply(&frames::reply(id, Some(Answer::RefreshToken(refreshed))));
            }
            Err(error) => session.reply(&frames::error(id, &error)),
        }
        let next = session.next_tick(now);
        drop(session);
        self.be_back_at(next);
    }

    fn refuse(&self, under_way: &UnderWay, error: &Error) {
        let frame = self.encoding.encode(&frames::error(under_way.id, error));
        self.member.session().answer(under_way, frame);
    }

    fn call(&mut self, under_way: UnderWay, request: Request) {
        let Some(user) = &self.user else { return };
        let page_bytes_max = self.gateway.config.page_bytes_max as usize;
        if let Request::SetTyping(typing) = &request {
            self.gateway.registry.expect_typing(&typing.conversation_id);
        }
        let (user, upstream) = (user.id().clone(), self.gateway.upstream.clone());
        let answer = upstream.answer(user, under_way.id, request, self.encoding, page_bytes_max);
        self.calls.get_or_insert_default().push(Box::pin(answer.map(|frame| (under_way, frame))));
    }
}
