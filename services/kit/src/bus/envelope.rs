//! The bytes of a hint and of a beacon.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{PublisherId, SHARDS};

/// The first byte. Listeners skip what is of another format.
const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 1 + size_of::<PublisherId>();

/// The last part of a beacon's subject; that of a hint is the number of its shard.
pub(super) const BEACON: &str = "beacon";

/// What came by the bus.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    Hint { publisher: PublisherId, shard: u8, number: u64, payload: Bytes },
    Beacon { publisher: PublisherId, numbers: Box<[u64; SHARDS]> },
}

pub(super) fn hint(publisher: PublisherId, number: u64, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + size_of::<u64>() + payload.len());
    bytes.put_u8(FORMAT);
    bytes.put_slice(&publisher);
    bytes.put_u64(number);
    bytes.put_slice(payload);
    bytes.freeze()
}

pub(super) fn beacon(publisher: PublisherId, numbers: &[u64; SHARDS]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + size_of_val(numbers));
    bytes.put_u8(FORMAT);
    bytes.put_slice(&publisher);
    numbers.iter().for_each(|number| bytes.put_u64(*number));
    bytes.freeze()
}

/// `None`: it is not ours, or of another format.
pub(super) fn decode(subject: &str, bytes: &Bytes) -> Option<Envelope> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let (format, publisher) = head.split_first()?;
    if *format != FORMAT {
        return None;
    }
    let publisher = publisher.try_into().ok()?;
    let end = subject.rsplit('.').next()?;
    if end == BEACON {
        let (words, rest) = rest.as_chunks::<{ size_of::<u64>() }>();
        let numbers: Box<[u64]> = words.iter().map(|word| u64::from_be_bytes(*word)).collect();
        let numbers = numbers.try_into().ok().filter(|_| rest.is_empty())?;
        return Some(Envelope::Beacon { publisher, numbers });
    }
    let (number, _) = rest.split_first_chunk()?;
    let payload = bytes.slice(HEAD_BYTES + size_of::<u64>()..);
    Some(Envelope::Hint { publisher, shard: end.parse().ok()?, number: u64::from_be_bytes(*number), payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHER: PublisherId = [7; 16];

    #[test]
    fn what_is_encoded_is_decoded() {
        let bytes = hint(PUBLISHER, 9, b"payload");
        let expected = Envelope::Hint { publisher: PUBLISHER, shard: 255, number: 9, payload: Bytes::from("payload") };
        assert_eq!(decode("space.v1.log.255", &bytes), Some(expected));
        let mut numbers = [0; SHARDS];
        numbers[3] = u64::MAX;
        let bytes = beacon(PUBLISHER, &numbers);
        let expected = Envelope::Beacon { publisher: PUBLISHER, numbers: Box::new(numbers) };
        assert_eq!(decode("space.v1.log.beacon", &bytes), Some(expected));
    }

    #[test]
    fn what_is_not_ours_is_skipped() {
        let good = hint(PUBLISHER, 9, b"payload");
        for subject in ["space.v1.log.256", "space.v1.log.-1", "space.v1.log.", "", "space.v1.log.beacon"] {
            assert_eq!(decode(subject, &good), None, "{subject}");
        }
        for length in 0..HEAD_BYTES + size_of::<u64>() {
            assert_eq!(decode("space.v1.log.1", &good.slice(..length)), None, "{length} bytes");
        }
        let mut later = good.to_vec();
        later[0] = FORMAT + 1;
        assert_eq!(decode("space.v1.log.1", &later.into()), None, "a later format");
        let long = [beacon(PUBLISHER, &[1; SHARDS]).as_ref(), b"x"].concat();
        assert_eq!(decode("space.v1.log.beacon", &long.into()), None, "too long");
    }
}
