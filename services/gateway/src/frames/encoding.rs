//! The encodings: JSON text and binary protobuf of the same frames.

use std::cell::OnceCell;

use bytes::Bytes;
use prost::Message as _;
use serde::Deserialize;
use tokio_websockets::Message;
use viberchat_proto::gateway::v1::{ClientFrame, ServerFrame};

use super::Request;

/// A frame that asks for nothing known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Its id, if that much could be read; else 0.
    pub(crate) id: u32,
    /// What is wrong with it, for people.
    pub(crate) problem: &'static str,
}

/// How the frames of a socket are written. Chosen by its subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Protobuf's JSON, in text messages.
    Json,
    /// Protobuf, in binary messages.
    Proto,
}

impl Encoding {
    /// The subprotocol that stands for it.
    pub(crate) const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "viberchat.v1.json",
            Self::Proto => "viberchat.v1.proto",
        }
    }

    /// The encoding of a subprotocol.
    pub(crate) fn named(subprotocol: &str) -> Option<Self> {
        [Self::Json, Self::Proto].into_iter().find(|encoding| encoding.subprotocol() == subprotocol)
    }

    /// Writes a frame.
    pub(crate) fn encode(self, frame: &ServerFrame) -> Bytes {
        match self {
            Self::Json => serde_json::to_vec(frame).expect("a protobuf message always has a JSON form").into(),
            Self::Proto => frame.encode_to_vec().into(),
        }
    }

    /// Reads a frame of a client.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<(u32, Request), Unreadable> {
        let frame = match self {
            Self::Json => serde_json::from_slice(bytes)
                .map_err(|_| Unreadable { id: id_in_json(bytes), problem: "the frame is not JSON of a ClientFrame" }),
            Self::Proto => ClientFrame::decode(bytes)
                .map_err(|_| Unreadable { id: id_in_proto(bytes), problem: "the frame is not a ClientFrame" }),
        };
        let frame: ClientFrame = frame?;
        if frame.id == 0 {
            return Err(Unreadable { id: 0, problem: "the frame has no id greater than 0" });
        }
        match frame.request {
            Some(request) => Ok((frame.id, request)),
            None => Err(Unreadable { id: frame.id, problem: "the frame asks for nothing that is known" }),
        }
    }

    /// Reads a message of a client. `None`: it is no frame.
    pub(crate) fn read(self, message: &Message) -> Option<Result<(u32, Request), Unreadable>> {
        match self {
            Self::Json if message.is_text() => Some(self.decode(message.as_payload())),
            Self::Proto if message.is_binary() => Some(self.decode(message.as_payload())),
            Self::Json if message.is_binary() => Some(Err(foreign("binary frames are not part of this subprotocol"))),
            Self::Proto if message.is_text() => Some(Err(foreign("text frames are not part of this subprotocol"))),
            Self::Json | Self::Proto => None,
        }
    }

    /// The message that carries a frame.
    pub(crate) fn message(self, frame: Bytes) -> Message {
        match self {
            Self::Json => Message::text(frame),
            Self::Proto => Message::binary(frame),
        }
    }
}

fn foreign(problem: &'static str) -> Unreadable {
    Unreadable { id: 0, problem }
}

/// The id of a frame whose rest is wrong, so that its sender learns which one it was.
fn id_in_json(text: &[u8]) -> u32 {
    #[derive(Deserialize)]
    struct IdOnly {
        id: u32,
    }
    serde_json::from_slice::<IdOnly>(text).map_or(0, |frame| frame.id)
}

/// The same: the fields of the frame have to be whole, what is in them need not.
fn id_in_proto(bytes: &[u8]) -> u32 {
    #[derive(prost::Message)]
    struct IdOnly {
        #[prost(uint32, tag = "1")]
        id: u32,
    }
    IdOnly::decode(bytes).map_or(0, |frame| frame.id)
}

/// A frame that goes to many sockets: written at most once in each encoding, and only if somebody uses it.
pub(crate) struct Shared {
    frame: ServerFrame,
    json: OnceCell<Bytes>,
    proto: OnceCell<Bytes>,
}

impl Shared {
    pub(crate) fn new(frame: ServerFrame) -> Self {
        Self { frame, json: OnceCell::new(), proto: OnceCell::new() }
    }

    /// The frame in an encoding.
    pub(crate) fn bytes(&self, encoding: Encoding) -> &Bytes {
        let cell = match encoding {
            Encoding::Json => &self.json,
            Encoding::Proto => &self.proto,
        };
        cell.get_or_init(|| encoding.encode(&self.frame))
    }
}
