//! Why a session is closed: the codes of the client protocol, which say by their range whether to connect again.

use tokio_websockets::CloseCode;

/// 4000–4499: connect again; 4500–4999: do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// The client said nothing for too long.
    Silent,
    /// The gateway stops.
    Draining,
    /// The gateway cannot tell now whether the token is valid.
    Unavailable,
    /// The client stopped reading.
    SlowConsumer,
    /// The token has ended.
    TokenExpired,
    /// The token is not valid, or none for users.
    BadToken,
    /// The user has too many sessions; the oldest goes.
    Replaced,
    /// An operator disconnected the user.
    Kicked,
    /// Too many frames that are none, or no hello.
    ProtocolError,
    /// The client said good-bye.
    Normal,
}

impl Close {
    /// The number on the wire.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Silent => 4000,
            Self::Draining => 4001,
            Self::Unavailable => 4002,
            Self::SlowConsumer => 4008,
            Self::TokenExpired => 4010,
            Self::BadToken => 4501,
            Self::Replaced | Self::Kicked => 4503,
            Self::ProtocolError => 4504,
        }
    }

    /// For people, and the label in the metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Silent => "silent",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::SlowConsumer => "slow consumer",
            Self::TokenExpired => "token expired",
            Self::BadToken => "bad token",
            Self::Replaced => "too many sessions",
            Self::Kicked => "disconnected by the operator",
            Self::ProtocolError => "protocol error",
        }
    }

    /// The close frame.
    pub(crate) fn message(self) -> tokio_websockets::Message {
        let code = CloseCode::try_from(self.code()).expect("all codes are in the ranges for applications");
        tokio_websockets::Message::close(Some(code), self.as_str())
    }
}
