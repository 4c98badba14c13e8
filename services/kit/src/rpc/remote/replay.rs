//! A request that can be sent again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http::Request;
use http::request::Parts;
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;

/// A message is one frame. What has more than this is a stream.
const FRAMES_MAX: usize = 4;

/// A request before it is sent. That of a unary call is kept; that of a stream can be taken once.
pub(super) struct Replay {
    parts: Parts,
    body: Kept,
}

enum Kept {
    Whole(Bytes),
    Streamed(Option<Body>),
}

impl Replay {
    /// Takes what of the body is there already. If that is all, it is kept.
    pub(super) fn of(request: Request<Body>) -> Self {
        let (parts, mut body) = request.into_parts();
        let (mut whole, mut frames) = (BytesMut::new(), VecDeque::new());
        while frames.len() < FRAMES_MAX {
            match body.frame().now_or_never() {
                Some(None) => return Self { parts, body: Kept::Whole(whole.freeze()) },
                Some(Some(Ok(frame))) if frame.is_data() => {
                    whole.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
                    frames.push_back(Ok(frame));
                }
                Some(Some(frame)) => {
                    frames.push_back(frame);
                    break;
                }
                None => break,
            }
        }
        Self { parts, body: Kept::Streamed(Some(Body::new(Begun { frames, rest: body }))) }
    }

    /// The request to send. `None`: its stream is lost with an earlier attempt.
    pub(super) fn attempt(&mut self) -> Option<Request<Body>> {
        let body = match &mut self.body {
            Kept::Whole(bytes) => Body::new(Full::new(bytes.clone())),
            Kept::Streamed(body) => body.take()?,
        };
        Some(Request::from_parts(self.parts.clone(), body))
    }

    /// The attempt came back as it went.
    pub(super) fn give_back(&mut self, request: Request<Body>) {
        if let Kept::Streamed(body) = &mut self.body {
            *body = Some(request.into_body());
        }
    }

    /// Whether there is something to send.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.body, Kept::Streamed(None))
    }
}

/// A body whose first frames were read already.
struct Begun {
    frames: VecDeque<Result<Frame<Bytes>, Status>>,
    rest: Body,
}

impl HttpBody for Begun {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http_body_util::StreamBody;

    use super::*;

    async fn text(request: Request<Body>) -> Bytes {
        request.into_body().collect().await.unwrap().to_bytes()
    }

    fn frame(text: &'static str) -> Result<Frame<Bytes>, Status> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn a_message_is_sent_as_often_as_wanted() {
        let body = Body::new(Full::new(Bytes::from_static(b"message")));
        let mut replay = Replay::of(Request::builder().uri("/a/b").body(body).unwrap());
        for _ in 0..3 {
            let request = replay.attempt().unwrap();
            assert_eq!(request.uri(), "/a/b");
            assert_eq!(text(request).await, "message");
        }
    }

    #[tokio::test]
    async fn a_stream_is_sent_once_whole_and_again_only_if_it_came_back() {
        let later = stream::once(async {
            tokio::task::yield_now().await;
            frame("three")
        });
        let body = Body::new(StreamBody::new(stream::iter([frame("one"), frame("two")]).chain(later).boxed()));
        let mut replay = Replay::of(Request::new(body));
        let request = replay.attempt().unwrap();
        assert!(replay.attempt().is_none() && !replay.is_there());
        replay.give_back(request);
        assert_eq!(text(replay.attempt().unwrap()).await, "onetwothree");
        assert!(!replay.is_there());
    }

    #[tokio::test]
    async fn a_stream_that_has_much_at_once_is_not_kept() {
        let body = Body::new(StreamBody::new(stream::iter((0..100).map(|_| frame("x")))));
        let mut replay = Replay::of(Request::new(body));
        assert_eq!(text(replay.attempt().unwrap()).await.len(), 100);
        assert!(!replay.is_there());
    }
}
