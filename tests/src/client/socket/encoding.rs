//! The two encodings of the same frames.

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use tokio_websockets::Message;
use viberchat_proto::gateway::v1::{ClientFrame, ServerFrame, client_frame};

/// What the frames of a session look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON text.
    Json,
    /// Binary protobuf.
    Binary,
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Json, Self::Binary];

    /// How clients ask for it.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "viberchat.v1.json",
            Self::Binary => "viberchat.v1.proto",
        }
    }

    /// A frame as a message of the socket.
    ///
    /// # Panics
    /// Never: every frame has both forms.
    #[must_use]
    pub fn encode(self, id: u32, request: client_frame::Request) -> Message {
        let frame = ClientFrame { id, request: Some(request) };
        match self {
            Self::Json => Message::text(serde_json::to_string(&frame).expect("every frame has a JSON form")),
            Self::Binary => Message::binary(frame.encode_to_vec()),
        }
    }

    /// A message of the socket as a frame.
    ///
    /// # Errors
    /// If it is none in this encoding.
    pub fn decode(self, message: &Message) -> Result<ServerFrame> {
        match self {
            Self::Json => {
                let text = message.as_text().with_context(|| format!("not text: {message:?}"))?;
                Ok(serde_json::from_str(text)?)
            }
            Self::Binary => {
                ensure!(message.is_binary(), "not binary: {message:?}");
                Ok(ServerFrame::decode(&**message.as_payload())?)
            }
        }
    }
}
