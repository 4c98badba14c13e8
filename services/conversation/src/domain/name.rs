use std::collections::BTreeSet;

/// Characters that are kept of each word's beginning: as many as a search may have.
const WORD_CHARS_MAX: usize = super::limits::QUERY_CHARS_MAX;
/// Beginnings that are kept of one name.
const WORDS_MAX: usize = 16;

/// Text without regard to case, with single blanks: what names and searches are compared by.
///
/// Through upper case, so that `ß` meets `SS` and the final sigma the other one; character by character, so that a
/// prefix stays a prefix.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        let upper = word.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase);
        folded.extend(upper.flat_map(char::to_lowercase));
    }
    folded
}

/// What goes into page tokens is bounded.
const SORT_KEY_CHARS_MAX: usize = 64;

/// What names are sorted by. Those that share a beginning as long as this are sorted by id.
pub(crate) fn sort_key(name: &str) -> String {
    fold(name).chars().take(SORT_KEY_CHARS_MAX).collect()
}

/// A search, as far as words are kept.
pub(crate) fn search_prefix(query: &str) -> String {
    fold(query).chars().take(WORD_CHARS_MAX).collect()
}

/// Searches up to this many characters are so common that they have an index of their own.
pub(crate) const SHORT_PREFIX_CHARS_MAX: usize = 3;

/// The short beginnings of words, each once.
pub(crate) fn short_prefixes(words: &[String]) -> BTreeSet<String> {
    let prefix = |word: &String, chars: usize| word.chars().take(chars).collect();
    words.iter().flat_map(|word| (1..=SHORT_PREFIX_CHARS_MAX).map(move |chars| prefix(word, chars))).collect()
}

/// The folded text of a name from each beginning of a word: what a search is a prefix of.
pub(crate) fn search_words(name: &str) -> Vec<String> {
    let folded = fold(name);
    let mut inside_word = false;
    let mut begins = Vec::new();
    for (index, character) in folded.char_indices() {
        let word = character.is_alphanumeric();
        if index == 0 || (word && !inside_word) {
            begins.push(index);
        }
        inside_word = word;
    }
    begins.truncate(WORDS_MAX);
    begins.into_iter().map(|begin| folded[begin..].chars().take(WORD_CHARS_MAX).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_ignores_case_in_every_script() {
        assert_eq!(fold("STRAẞE"), "strasse");
        assert_eq!(fold("straße"), "strasse");
        assert_eq!(fold("Ärger"), "ärger");
        assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
        assert_eq!(fold("  Two \t words "), "two words");
    }

    #[test]
    fn a_sort_key_is_folded_and_bounded() {
        assert_eq!(sort_key("  Zoë  B"), "zoë b");
        assert_eq!(sort_key(&"ß".repeat(255)).chars().count(), SORT_KEY_CHARS_MAX);
    }

    #[test]
    fn a_name_is_found_by_the_beginning_of_each_word() {
        assert_eq!(search_words("Anna-Maria van Berg"), ["anna-maria van berg", "maria van berg", "van berg", "berg"]);
        assert_eq!(search_words("🎉party"), ["🎉party", "party"]);
        assert!(search_words("").is_empty());
    }

    #[test]
    fn short_beginnings_are_kept_apart() {
        let words = ["anna".to_owned(), "an".to_owned(), "日本".to_owned()];
        assert_eq!(short_prefixes(&words).into_iter().collect::<Vec<_>>(), ["a", "an", "ann", "日", "日本"]);
    }

    #[test]
    fn a_long_name_keeps_a_bounded_number_of_bounded_words() {
        let words = search_words(&"word ".repeat(51));
        assert_eq!(words.len(), WORDS_MAX);
        assert!(words.iter().all(|word| word.chars().count() <= WORD_CHARS_MAX));
    }
}
