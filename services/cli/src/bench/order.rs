//! What is sent, and the check of what came: every entry once, at the next place, in its sender's order.

use viberchat_proto::message::v1::entry_body::Body;
use viberchat_proto::message::v1::{LogEntry, SendMessageRequest};

use super::sample::Faults;

/// Of each message's text.
const TEXT_BYTES: usize = 200;
/// Whose message it is, and its number, stand within so many bytes.
const NAME_BYTES_MAX: usize = 40;

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

/// What one of many readers has to know of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glimpse {
    pub(crate) seq: u64,
    /// The sender's number of a message that [`message`] made.
    pub(crate) number: Option<u64>,
}

/// Finds these in a pushed entry without decoding it, so that thousands of readers fit on one core. `None`: it is no entry.
pub(crate) fn glimpse(frame: &str) -> Option<Glimpse> {
    let (_, entry) = frame.split_once(r#""entry":{"#)?;
    let (_, rest) = entry.split_once(r#""seq":""#)?;
    let (seq, rest) = rest.split_once('"')?;
    let number = rest.split_once(r#""text":""#).and_then(|(_, text)| {
        let (_, number) = text.get(..text.len().min(NAME_BYTES_MAX))?.split_once('-')?;
        number.split_once('.')?.0.parse().ok()
    });
    Some(Glimpse { seq: seq.parse().ok()?, number })
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
    fn a_glimpse_sees_what_decoding_sees() {
        use viberchat_proto::gateway::v1 as gateway;
        let pushed = |entry| {
            let push = gateway::Push { kind: Some(gateway::push::Kind::Entry(entry)) };
            let frame = gateway::ServerFrame { id: 0, kind: Some(gateway::server_frame::Kind::Push(push)) };
            serde_json::to_string(&frame).unwrap()
        };
        let entry = LogEntry { conversation_id: "c".into(), actor_user_id: "\"seq\":\"1".into(), ..entry(70, 3, 12) };
        assert_eq!(glimpse(&pushed(entry)), Some(Glimpse { seq: 70, number: Some(12) }));
        let system = LogEntry { seq: 4, ..LogEntry::default() };
        assert_eq!(glimpse(&pushed(system)), Some(Glimpse { seq: 4, number: None }));
        assert_eq!(glimpse(r#"{"id":7,"reply":{"send":{"message":{"seq":"3"}}}}"#), None);
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
