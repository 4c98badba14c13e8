//! Texts that can be found again: each has a number, written so that it survives JSON, protobuf and a database page.

use std::collections::BTreeSet;

const PREFIX: &[u8] = b"txt";
const DIGITS: usize = 12;
const SUFFIX: u8 = b'e';

/// A text that carries the number, filled up to about `bytes`.
#[must_use]
pub fn text_with(number: u64, bytes: usize) -> String {
    let mut text = format!("txt{number:0DIGITS$}e");
    while text.len() < bytes {
        text.push_str(" lorem ipsum");
    }
    text
}

/// The numbers of all texts that stand in the bytes.
#[must_use]
pub fn texts_in(bytes: &[u8]) -> BTreeSet<u64> {
    let length = PREFIX.len() + DIGITS + 1;
    bytes.windows(length).filter(|window| window.starts_with(PREFIX)).filter_map(number_of).collect()
}

fn number_of(window: &[u8]) -> Option<u64> {
    let (digits, suffix) = window[PREFIX.len()..].split_at(DIGITS);
    if suffix != [SUFFIX] || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_anywhere_in_bytes() {
        let mut bytes = b"\x00\xfftx".to_vec();
        bytes.extend(text_with(7, 60).into_bytes());
        bytes.extend(b"txt00000000000xe\"");
        bytes.extend(text_with(123_456, 0).into_bytes());
        assert_eq!(texts_in(&bytes), BTreeSet::from([7, 123_456]));
    }
}
