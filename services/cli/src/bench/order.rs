//! What is sent, and the check of what came: every entry once, at the next place, in its sender's order.

use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{LogEntry, SendMessageRequest};

use super::sample::Faults;

/// Of each message's text.
const TEXT_BYTES: usize = 200;

/// The request for a sender's message of this number; numbers begin at 0.
pub(crate) fn message(conversation: &str, sender: usize, number: u64, known_seq: u64) -> SendMessageRequest {
    let id = format!("{sender}-{number}");
    SendMessageRequest {
        conversation_id: conversation.to_owned(),
        text: format!("{id:.<TEXT_BYTES$}"),
        client_message_id: id,
        known_seq: Some(known_seq),
        ..SendMessageRequest::default()
    }
}

fn parse(text: &str) -> Option<(usize, u64)> {
    let (sender, number) = text.trim_end_matches('.').split_once('-')?;
    Some((sender.parse().ok()?, number.parse().ok()?))
}

/// Follows one conversation's stream of entries.
#[derive(Debug)]
pub(crate) struct Observer {
    next_seq: u64,
    next_numbers: Vec<u64>,
    messages: u64,
    pub(crate) faults: Faults,
}

impl Observer {
    /// The stream goes on after `head`; the next message of each sender has number 0.
    pub(crate) fn after(head: u64, senders: usize) -> Self {
        Self { next_seq: head + 1, next_numbers: vec![0; senders], messages: 0, faults: Faults::default() }
    }

    /// Takes the next entry; says whose message it is, and its number.
    pub(crate) fn observe(&mut self, entry: &LogEntry) -> Option<(usize, u64)> {
        let in_place = entry.seq == self.next_seq;
        self.next_seq = self.next_seq.max(entry.seq + 1);
        let Some(Body::Message(message)) = entry.body.as_ref().and_then(|body| body.body.as_ref()) else {
            self.faults.disordered += u64::from(!in_place);
            return None;
        };
        let named = parse(&message.text);
        let expected = named.and_then(|(sender, number)| {
            let next = self.next_numbers.get_mut(sender)?;
            // A refused one leaves a hole in the numbers, never in the seqs.
            let expected = number >= *next;
            *next = (*next).max(number + 1);
            Some(expected)
        });
        self.messages += 1;
        self.faults.disordered += u64::from(!in_place || expected != Some(true));
        named
    }

    /// The last seq that came.
    pub(crate) fn head(&self) -> u64 {
        self.next_seq - 1
    }

    /// Messages that came.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// What is missing of `sent` messages.
    pub(crate) fn end(mut self, sent: u64) -> Faults {
        self.faults.lost += sent.saturating_sub(self.messages);
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use viberchat_proto::message::v1::{EntryBody, MessageSent};

    use super::*;

    fn entry(seq: u64, sender: usize, number: u64) -> LogEntry {
        let text = message("c", sender, number, 0).text;
        let body = Body::Message(MessageSent { text, ..MessageSent::default() });
        LogEntry { seq, body: Some(EntryBody { body: Some(body) }), ..LogEntry::default() }
    }

    fn observe(entries: &[LogEntry], sent: u64) -> Faults {
        let mut observer = Observer::after(4, 2);
        for entry in entries {
            observer.observe(entry);
        }
        observer.end(sent)
    }

    #[test]
    fn a_text_has_200_bytes_and_says_whose_it_is() {
        let text = message("c", 3, 1_000, 0).text;
        assert_eq!(text.len(), 200);
        assert_eq!(parse(&text), Some((3, 1_000)));
        assert_eq!(parse("hello"), None);
    }

    #[test]
    fn a_contiguous_stream_has_no_fault() {
        assert_eq!(observe(&[entry(5, 0, 0), entry(6, 1, 0), entry(7, 0, 1)], 3), Faults::default());
    }

    #[test]
    fn a_hole_a_repetition_and_a_swap_are_each_seen() {
        assert_eq!(observe(&[entry(5, 0, 0), entry(7, 0, 1)], 2).disordered, 1);
        assert_eq!(observe(&[entry(5, 0, 0), entry(5, 0, 0)], 1).disordered, 1);
        assert_eq!(observe(&[entry(5, 0, 0), entry(6, 0, 0)], 1).disordered, 1);
        assert_eq!(observe(&[entry(5, 0, 1), entry(6, 0, 0)], 2).disordered, 1);
    }

    #[test]
    fn what_was_sent_and_never_came_is_lost() {
        assert_eq!(observe(&[entry(5, 0, 0)], 3).lost, 2);
    }
}
