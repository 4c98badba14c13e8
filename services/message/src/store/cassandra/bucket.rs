//! The partitions of a log: which entries share one.

/// How many entries a bucket holds, as a power of two. A constant of the format.
pub(crate) const SHIFT: u32 = 13;

/// How a log is cut. Only tests cut it smaller, to see buckets roll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buckets {
    shift: u32,
}

impl Buckets {
    /// With `1 << shift` entries each.
    pub(super) fn of(shift: u32) -> Self {
        Self { shift }
    }

    /// The bucket of an entry.
    pub(super) fn of_seq(self, seq: u64) -> u64 {
        seq.saturating_sub(1) >> self.shift
    }

    /// The first entry of a bucket.
    pub(super) fn first(self, bucket: u64) -> u64 {
        (bucket << self.shift) + 1
    }

    /// The last entry of a bucket.
    pub(super) fn last(self, bucket: u64) -> u64 {
        (bucket + 1) << self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_8192_entries() {
        let buckets = Buckets::of(SHIFT);
        let of: Vec<u64> = [1, 8_192, 8_193, 16_384, 16_385].map(|seq| buckets.of_seq(seq)).into();
        assert_eq!(of, [0, 0, 1, 1, 2]);
        assert_eq!((buckets.first(0), buckets.last(0)), (1, 8_192));
        assert_eq!((buckets.first(3), buckets.last(3)), (24_577, 32_768));
    }
}
