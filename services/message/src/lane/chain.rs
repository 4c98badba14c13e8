//! Order of one sender's pipelined sends: after a failure, what was already under way behind it fails too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sends of one user in one conversation on one stream. A lane decides them in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// The last number given. Written by the stream.
    issued: AtomicU64,
    /// Sends up to this number came before a failure was told, so they must not be stored after it. Written by whoever
    /// delivers a failure, read by the lane.
    failed_through: AtomicU64,
}

/// One send in its chain.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    chain: Arc<Chain>,
    number: u64,
}

impl Chain {
    /// The next send, at its arrival.
    pub(crate) fn link(self: &Arc<Self>) -> Link {
        Link { chain: self.clone(), number: self.issued.fetch_add(1, Ordering::SeqCst) + 1 }
    }
}

impl Link {
    /// This send has failed: all that have arrived until now fail with it.
    pub(crate) fn fail(&self) {
        let arrived = self.chain.issued.load(Ordering::SeqCst);
        self.chain.failed_through.fetch_max(arrived, Ordering::SeqCst);
    }

    /// Whether an earlier send failed after this one had arrived.
    pub(crate) fn is_broken(&self) -> bool {
        // Numbers before the failed one are decided already, so the comparison only meets later ones.
        self.chain.failed_through.load(Ordering::SeqCst) >= self.number
    }

    /// Whether both are of one chain.
    pub(crate) fn is_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chain, &other.chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_had_arrived_fails_with_the_failed_one() {
        let chain = Arc::new(Chain::default());
        let (first, second) = (chain.link(), chain.link());
        first.fail();
        let third = chain.link();
        assert!(second.is_broken());
        assert!(!third.is_broken());
    }
}
