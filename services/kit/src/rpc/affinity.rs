//! Which instance a call goes to: rendezvous hashing (Thaler, Ravishankar 1998). Every caller that sees the same instances
//! picks the same one for a key, and when one goes only its own keys move.

use tonic::Request;

use crate::hash::fnv1a;

/// What calls with something in common go to the same instance by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Affinity(u64);

/// Calls with the same key go to the same instance, as long as the instances stay the same. For speed, never for
/// correctness. A call without a key goes to any.
pub fn affinity<T>(request: &mut Request<T>, key: &str) {
    request.extensions_mut().insert(Affinity::of(key.as_bytes()));
}

/// How much `key` wants to be at `instance`, which is named by its address: the greatest wins. For who chooses an instance for
/// a stream as [`affinity`] does for a call.
pub fn affinity_score(key: &str, instance: &str) -> u64 {
    Affinity::of(key.as_bytes()).score(instance.as_bytes())
}

impl Affinity {
    /// Of all calls that have to meet at one instance.
    pub(super) const ONE: Self = Self(0);

    pub(super) fn of(key: &[u8]) -> Self {
        Self(fnv1a(key))
    }

    /// How much the key wants to be at an instance: the greatest wins.
    pub(super) fn score(self, instance: &[u8]) -> u64 {
        mix(fnv1a(instance) ^ mix(self.0))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves half of the output's.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: usize = 10_000;

    fn place(key: usize, instances: &[&str]) -> String {
        let affinity = Affinity::of(format!("conversation {key}").as_bytes());
        let best = instances.iter().max_by_key(|instance| affinity.score(instance.as_bytes()));
        (*best.unwrap()).to_owned()
    }

    #[test]
    fn keys_are_spread_evenly_over_names_that_are_alike() {
        let instances = ["10.0.0.1:8081", "10.0.0.2:8081", "10.0.0.3:8081", "10.0.0.4:8081"];
        for instance in instances {
            let count = (0..KEYS).filter(|key| place(*key, &instances) == instance).count();
            assert!((2_250..=2_750).contains(&count), "{instance} has {count} of {KEYS}");
        }
    }

    #[test]
    fn only_the_keys_of_an_instance_that_goes_move() {
        let (all, left) = (["a:1", "b:1", "c:1"], ["a:1", "c:1"]);
        for key in 0..KEYS {
            let before = place(key, &all);
            assert!(before == "b:1" || before == place(key, &left), "key {key} moved");
        }
    }

    /// Processes of different releases have to agree.
    #[test]
    fn the_place_of_a_key_is_the_same_for_ever() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf, "the first value of SplitMix64 with seed 0");
    }
}
