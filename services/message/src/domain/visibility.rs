//! What of a log a member sees: everything, or what came during their own stays; and nothing that they have cleared.

/// What those who join later see of what was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum History {
    /// Everything.
    #[default]
    Shared,
    /// Only what came during their own stays.
    SinceJoining,
}

/// A stay in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The entry of joining; 0 in a direct.
    pub(crate) from_seq: u64,
    /// The entry of leaving; 0: still there.
    pub(crate) to_seq: u64,
}

/// The places that a member sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// Both ends belong to it. In order, disjoint, with something hidden between any two.
    shown: Vec<(u64, u64)>,
    cleared_seq: u64,
}

impl View {
    /// Of a member with these stays, who has cleared the log up to `cleared_seq`.
    pub(crate) fn of(history: History, spans: &[Span], cleared_seq: u64) -> Self {
        let first = cleared_seq.saturating_add(1);
        let mut stays: Vec<(u64, u64)> = match history {
            History::Shared => vec![(1, u64::MAX)],
            History::SinceJoining => spans.iter().map(Span::ends).collect(),
        };
        stays.iter_mut().for_each(|(from, _)| *from = first.max(*from));
        stays.retain(|(from, to)| from <= to && cleared_seq < u64::MAX);
        stays.sort_unstable();
        let mut shown: Vec<(u64, u64)> = Vec::with_capacity(stays.len());
        for (from, to) in stays {
            match shown.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = to.max(*end),
                _ => shown.push((from, to)),
            }
        }
        Self { shown, cleared_seq }
    }

    /// The member has deleted the conversation for themselves up to here.
    pub(crate) fn cleared_seq(&self) -> u64 {
        self.cleared_seq
    }

    /// Whether the member sees the entry at this place, as far as it stands for itself.
    pub(crate) fn shows(&self, seq: u64) -> bool {
        self.shown.iter().any(|(from, to)| (*from..=*to).contains(&seq))
    }

    /// Whether the member sees an entry that is about the message at `target_seq`. An edit says what a message says.
    pub(crate) fn shows_entry(&self, seq: u64, target_seq: Option<u64>) -> bool {
        self.shows(seq) && target_seq.is_none_or(|target_seq| self.shows(target_seq))
    }

    /// The last place of the hidden run that begins after `after_seq`; `after_seq` itself if the next one is shown.
    pub(crate) fn hidden_through(&self, after_seq: u64) -> u64 {
        match self.shown.iter().find(|(_, to)| *to > after_seq) {
            Some((from, _)) if *from > after_seq => from - 1,
            Some(_) => after_seq,
            None => u64::MAX,
        }
    }

    /// The first place of the hidden run that ends before `before_seq`; `before_seq` itself if the one before is shown.
    /// `None`: nothing before it is shown.
    pub(crate) fn hidden_from(&self, before_seq: u64) -> Option<u64> {
        let (_, to) = self.shown.iter().rev().find(|(from, _)| *from < before_seq)?;
        Some(before_seq.min(to.saturating_add(1)))
    }
}

impl Span {
    fn ends(&self) -> (u64, u64) {
        (self.from_seq, if self.to_seq == 0 { u64::MAX } else { self.to_seq })
    }
}

#[cfg(test)]
mod tests;
