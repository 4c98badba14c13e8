//! What waits for a socket: encoded frames, bounded by bytes until the connection has taken them.

use std::collections::VecDeque;

use bytes::Bytes;

/// Frames that the connection has not taken are at most so many bytes, or one frame: what the library holds is held too.
const FED_BYTES_MAX: usize = 32 * 1024;

/// What a queued frame costs besides its bytes.
const FRAME_OVERHEAD_BYTES: usize = 64;

/// A queue this long is given back to the allocator once it is empty.
const KEPT_CAPACITY: usize = 16;

struct Frame {
    bytes: Bytes,
    is_reply: bool,
}

/// Frames in the order in which they are written. Pushes have a limit of their own, so that they never take the place of
/// replies, and a shared frame counts for each socket that it waits for.
pub(crate) struct Outbox {
    frames: VecDeque<Frame>,
    push_bytes: usize,
    reply_bytes: usize,
    /// Given out, and not known to be taken.
    fed_bytes: usize,
    push_bytes_max: usize,
    reply_bytes_max: usize,
}

impl Outbox {
    pub(crate) fn new(push_bytes_max: usize, reply_bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), push_bytes: 0, reply_bytes: 0, fed_bytes: 0, push_bytes_max, reply_bytes_max }
    }

    /// Queues a push, or says that there is no room. An empty queue takes every frame.
    #[must_use]
    pub(crate) fn try_push(&mut self, bytes: Bytes) -> bool {
        let cost = cost_of(&bytes);
        let fits = self.push_bytes == 0 || self.push_bytes + cost <= self.push_bytes_max;
        if fits {
            self.force_push(bytes);
        }
        fits
    }

    /// Queues a push that is small and belongs to one that had room.
    pub(crate) fn force_push(&mut self, bytes: Bytes) {
        self.push_bytes += cost_of(&bytes);
        self.frames.push_back(Frame { bytes, is_reply: false });
    }

    /// Queues a reply. Replies are bounded by not reading what would be replied to: see [`Outbox::has_room_for_replies`].
    pub(crate) fn reply(&mut self, bytes: Bytes) {
        self.reply_bytes += cost_of(&bytes);
        self.frames.push_back(Frame { bytes, is_reply: true });
    }

    /// The next frame to write. `None`: there is none, or the connection has to take what it was given first.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let fed_bytes = self.fed_bytes;
        let frame =
            self.frames.pop_front_if(|frame| fed_bytes == 0 || fed_bytes + cost_of(&frame.bytes) <= FED_BYTES_MAX)?;
        self.fed_bytes += cost_of(&frame.bytes);
        let bytes = if frame.is_reply { &mut self.reply_bytes } else { &mut self.push_bytes };
        *bytes -= cost_of(&frame.bytes);
        if self.frames.is_empty() && self.frames.capacity() > KEPT_CAPACITY {
            self.frames = VecDeque::new();
        }
        Some(frame.bytes)
    }

    /// The connection has taken all that was given out.
    pub(crate) fn taken(&mut self) {
        self.fed_bytes = 0;
    }

    /// Bytes of a page that is sure to find room, if it is read because there is [`Outbox::has_room_for_filling`]: half of
    /// what is left, since a frame is longer than what is stored.
    pub(crate) fn page_bytes_max(&self) -> usize {
        self.push_bytes_max.saturating_sub(self.push_bytes) / 2
    }

    /// Whether pushes that are made on demand may be made now: half of the room is kept for live ones.
    pub(crate) fn has_room_for_filling(&self) -> bool {
        self.push_bytes < self.push_bytes_max / 2
    }

    /// Whether typing may be pushed now: only while next to nothing waits.
    pub(crate) fn has_room_for_typing(&self) -> bool {
        self.push_bytes < self.push_bytes_max / 8
    }

    /// Whether another frame may be read from the socket.
    pub(crate) fn has_room_for_replies(&self) -> bool {
        self.reply_bytes < self.reply_bytes_max
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// All bytes that wait, those that the connection has not taken included.
    pub(crate) fn bytes(&self) -> usize {
        self.push_bytes + self.reply_bytes + self.fed_bytes
    }
}

fn cost_of(bytes: &Bytes) -> usize {
    bytes.len() + FRAME_OVERHEAD_BYTES
}
