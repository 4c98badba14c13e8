//! Every setting of the gateway with its default, and what is refused.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the gateway. Sizes are bytes, times milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Origins of other sites whose pages may call, like `https://chat.example.org`. The gateway's own always may.
    pub allowed_origins: Vec<String>,
    /// Open connections at most, sockets and HTTP together.
    pub connections_max: u32,
    /// Sessions of one user at most; one more closes the oldest (4503).
    pub user_sessions_max: u32,
    /// A connection has to send its whole request header within this time.
    pub header_timeout_ms: u32,
    /// A socket has to send hello within this time.
    pub hello_timeout_ms: u32,
    /// And the end of its resume within this time.
    pub resume_timeout_ms: u32,
    /// Heartbeats come at least this often.
    pub heartbeat_ms: u32,
    /// A client that says nothing for this long is closed (4000).
    pub silence_ms_max: u32,
    /// A client that reads nothing for this long, while something waits for it, is closed (4008).
    pub stall_ms_max: u32,
    /// A frame from a client, and the body of a call over HTTP.
    pub frame_bytes_max: u32,
    /// Pushes that wait for a socket. What does not fit is filled in later from the log.
    pub outbox_push_bytes_max: u32,
    /// Replies that wait for a socket or are on their way. While they are more, nothing is read from it.
    pub outbox_reply_bytes_max: u32,
    /// A page on a socket; larger ones are asked for again with fewer items.
    pub page_bytes_max: u32,
    /// Frames of one session that are being answered at the same time. While they are more, nothing is read from it.
    pub frames_under_way_max: u32,
    /// Unreadable frames within a minute that close a session (4504).
    pub bad_frames_max: u32,
    /// Entries that a resume fills in; more than that is a gap.
    pub resume_entries_max: u32,
    /// Conversations that a resume may name.
    pub resume_cursors_max: u32,
    /// Entries asked for at once when a conversation is filled from the log.
    pub pump_entries_max: u32,
    /// Sends a second of one user; 0: no limit.
    pub sends_per_second_max: u32,
    /// Sends of one user that may come at once.
    pub sends_burst_max: u32,
    /// Frames of one session that set typing, status, focus, watched users or a newer token, a second; 0: no limit.
    pub signals_per_second_max: u32,
    /// Such frames that may come at once.
    pub signals_burst_max: u32,
    /// Users whose presence one session may follow.
    pub watched_users_max: u32,
    /// Sessions whose hello or resume is served at the same time; others wait for their turn.
    pub handshakes_max: u32,
    /// Sockets that may wait for their turn, or have not said hello. One more is refused with 503.
    pub handshakes_waiting_max: u32,
    /// A slow resume gives its turn to the next one after this long, and goes on.
    pub handshake_turn_ms: u32,
    /// How long a call to a service may take when the client says nothing else.
    pub call_timeout_ms: u32,
    /// How long before its end a token is announced to expire.
    pub token_notice_ms: u32,
    /// Stopping: sockets are closed one by one over this time. It is part of the `drain_ms` of the process.
    pub drain_ms: u32,
    /// Without news from the conversation service for this long, nothing is pushed; each reader asks for itself.
    pub membership_grace_ms: u32,
    /// What only former sessions needed is still followed for this long.
    pub linger_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            connections_max: 20_000,
            user_sessions_max: 64,
            header_timeout_ms: 10_000,
            hello_timeout_ms: 10_000,
            resume_timeout_ms: 30_000,
            heartbeat_ms: 15_000,
            silence_ms_max: 45_000,
            stall_ms_max: 30_000,
            frame_bytes_max: 128 * 1024,
            outbox_push_bytes_max: 96 * 1024,
            outbox_reply_bytes_max: 32 * 1024,
            page_bytes_max: 128 * 1024,
            frames_under_way_max: 32,
            bad_frames_max: 10,
            resume_entries_max: 500,
            resume_cursors_max: 10_000,
            pump_entries_max: 50,
            sends_per_second_max: 50,
            sends_burst_max: 100,
            signals_per_second_max: 10,
            signals_burst_max: 50,
            watched_users_max: 500,
            handshakes_max: 256,
            handshakes_waiting_max: 10_000,
            handshake_turn_ms: 2_000,
            call_timeout_ms: 5_000,
            token_notice_ms: 60_000,
            drain_ms: 5_000,
            membership_grace_ms: 10_000,
            linger_ms: 10_000,
        }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidConfig {
    /// The setting.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        for (key, value) in self.counts() {
            // Without a limit for sends, its burst means nothing.
            let may_be_zero = matches!(
                key,
                "sends_per_second_max" | "signals_per_second_max" | "drain_ms" | "linger_ms" | "token_notice_ms"
            );
            if value == 0 && !may_be_zero {
                return Err(InvalidConfig { key, problem: "must be more than 0" });
            }
        }
        let ordered: [(&'static str, bool, &'static str); 7] = [
            (
                "silence_ms_max",
                self.silence_ms_max >= self.heartbeat_ms.saturating_mul(2),
                "must be at least two heartbeats",
            ),
            ("heartbeat_ms", self.heartbeat_ms >= 100, "must be at least 100"),
            ("frame_bytes_max", self.frame_bytes_max >= 16 * 1024, "must be at least 16384"),
            ("page_bytes_max", self.page_bytes_max >= 128 * 1024, "must be at least 131072: the longest message"),
            ("pump_entries_max", self.pump_entries_max <= 200, "must be at most 200, the service's page"),
            ("sends_burst_max", self.sends_burst_max >= self.sends_per_second_max, "must be at least the rate"),
            ("signals_burst_max", self.signals_burst_max >= self.signals_per_second_max, "must be at least the rate"),
        ];
        for (key, holds, problem) in ordered {
            if !holds {
                return Err(InvalidConfig { key, problem });
            }
        }
        if self.allowed_origins.iter().any(|origin| !is_origin(origin)) {
            return Err(InvalidConfig {
                key: "allowed_origins",
                problem: "each is scheme://host[:port], nothing more",
            });
        }
        Ok(())
    }

    fn counts(&self) -> [(&'static str, u32); 30] {
        [
            ("connections_max", self.connections_max),
            ("user_sessions_max", self.user_sessions_max),
            ("header_timeout_ms", self.header_timeout_ms),
            ("hello_timeout_ms", self.hello_timeout_ms),
            ("resume_timeout_ms", self.resume_timeout_ms),
            ("heartbeat_ms", self.heartbeat_ms),
            ("silence_ms_max", self.silence_ms_max),
            ("stall_ms_max", self.stall_ms_max),
            ("frame_bytes_max", self.frame_bytes_max),
            ("outbox_push_bytes_max", self.outbox_push_bytes_max),
            ("outbox_reply_bytes_max", self.outbox_reply_bytes_max),
            ("page_bytes_max", self.page_bytes_max),
            ("frames_under_way_max", self.frames_under_way_max),
            ("bad_frames_max", self.bad_frames_max),
            ("resume_entries_max", self.resume_entries_max),
            ("resume_cursors_max", self.resume_cursors_max),
            ("pump_entries_max", self.pump_entries_max),
            ("sends_per_second_max", self.sends_per_second_max),
            ("sends_burst_max", self.sends_burst_max),
            ("signals_per_second_max", self.signals_per_second_max),
            ("signals_burst_max", self.signals_burst_max),
            ("watched_users_max", self.watched_users_max),
            ("handshakes_max", self.handshakes_max),
            ("handshakes_waiting_max", self.handshakes_waiting_max),
            ("handshake_turn_ms", self.handshake_turn_ms),
            ("call_timeout_ms", self.call_timeout_ms),
            ("token_notice_ms", self.token_notice_ms),
            ("drain_ms", self.drain_ms),
            ("membership_grace_ms", self.membership_grace_ms),
            ("linger_ms", self.linger_ms),
        ]
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https") && !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' '])
}

/// A setting in milliseconds as a duration.
pub(crate) fn millis(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
mod tests;
