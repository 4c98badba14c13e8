//! The names of things: users, conversations, messages, requests.
//!
//! Ids never order anything, only `seq` does. That new ids begin with a time is for the stores' sake.

mod entropy;
mod text;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

pub use entropy::{Entropy, SeededEntropy, SharedEntropy, SystemEntropy};
pub use text::{RequestId, UserId};

use crate::clock::{Clock, Timestamp};

/// Text that is no id of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer than this many bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A control character.
    #[error("contains a control character")]
    ControlCharacter,
    /// Not a UUID in the hyphenated form.
    #[error("is not a UUID in its hyphenated form")]
    NotAUuid,
}

const VERSION_SHIFT: u32 = 76;
const VARIANT_RFC: u128 = 0b10 << 62;
const MILLIS_MASK: u64 = (1 << 48) - 1;
const SEQ_MASK: u64 = (1 << 40) - 1;
const SEQ_LOW_BITS: u32 = 28;
const SEQ_LOW_MASK: u64 = (1 << SEQ_LOW_BITS) - 1;
const MESSAGE_RANDOM_BITS: u32 = 34;

macro_rules! uuid_id {
    ($name:ident) => {
        impl $name {
            /// Takes the hyphenated form only, in any case.
            ///
            /// # Errors
            /// [`InvalidId::NotAUuid`] for everything else.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse_hyphenated(text).map(Self)
            }

            /// The 16 bytes, as the stores keep them.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id of these bytes; every 16 bytes are one.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A conversation: a UUID, version 7 when it is new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(Uuid);

uuid_id!(ConversationId);

impl ConversationId {
    /// A new id: UUIDv7 (RFC 9562), 48 bits of milliseconds and 74 random ones.
    pub fn new(clock: &dyn Clock, entropy: &dyn Entropy) -> Self {
        let mut random = [0; 16];
        entropy.fill(&mut random);
        let random = u128::from_be_bytes(random);
        let random = random & ((0xfff << 64) | ((1 << 62) - 1));
        Self(Uuid::from_u128(time_bits(clock.now()) | (7 << VERSION_SHIFT) | VARIANT_RFC | random))
    }
}

/// A message: a UUID, version 8 when it is new.
///
/// Layout of the new ones, from the most significant bit: 48 bits of milliseconds, 4 of version, the 12 high bits of
/// the seq, 2 of variant, the 28 low bits of the seq, 34 random ones. Together with the conversation such an id says
/// where its log entry lies, so that no table from ids to places is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Uuid);

uuid_id!(MessageId);

impl MessageId {
    /// The id of the message that is appended at `seq`. A seq is less than 2^40; more bits than that are dropped.
    pub fn for_seq(at: Timestamp, seq: u64, entropy: &dyn Entropy) -> Self {
        debug_assert!(seq <= SEQ_MASK, "a seq has 40 bits");
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let random = u64::from_be_bytes(random) >> (u64::BITS - MESSAGE_RANDOM_BITS);
        let seq = seq & SEQ_MASK;
        let high = u128::from(seq >> SEQ_LOW_BITS) << 64;
        let low = u128::from((seq & SEQ_LOW_MASK) << MESSAGE_RANDOM_BITS);
        Self(Uuid::from_u128(time_bits(at) | (8 << VERSION_SHIFT) | high | VARIANT_RFC | low | u128::from(random)))
    }

    /// The seq inside. `None`: not version 8, so the message was imported under its old id.
    pub fn seq(&self) -> Option<u64> {
        let bits = self.0.as_u128();
        let version = (bits >> VERSION_SHIFT) & 0xf;
        let variant = (bits >> 62) & 0b11;
        if version != 8 || variant != 0b10 {
            return None;
        }
        let high = ((bits >> 64) & 0xfff) as u64;
        let low = ((bits >> MESSAGE_RANDOM_BITS) as u64) & SEQ_LOW_MASK;
        Some((high << SEQ_LOW_BITS) | low)
    }
}

fn time_bits(at: Timestamp) -> u128 {
    let millis = u64::try_from(at.millis()).unwrap_or(0) & MILLIS_MASK;
    u128::from(millis) << 80
}

fn parse_hyphenated(text: &str) -> Result<Uuid, InvalidId> {
    // The other forms that the library takes have other lengths.
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(InvalidId::NotAUuid);
    }
    Uuid::try_parse(text).map_err(|_| InvalidId::NotAUuid)
}

#[cfg(test)]
mod tests;
