//! Texts of messages.

/// Why a text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidText {
    /// Nothing but white space.
    #[error("is blank")]
    Blank,
    /// Too long.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
}

/// Takes a text as it is; nothing is trimmed.
pub(crate) fn check_text(text: &str, bytes_max: usize) -> Result<(), InvalidText> {
    if text.len() > bytes_max {
        Err(InvalidText::TooLong(bytes_max))
    } else if text.trim().is_empty() {
        Err(InvalidText::Blank)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_white_space_is_blank() {
        for blank in ["", " ", "\n\t\u{a0}\u{2003}"] {
            assert_eq!(check_text(blank, 100), Err(InvalidText::Blank), "{blank:?}");
        }
        assert_eq!(check_text(" a ", 100), Ok(()));
    }

    #[test]
    fn the_limit_counts_bytes() {
        assert_eq!(check_text("äää", 6), Ok(()));
        assert_eq!(check_text("äääa", 6), Err(InvalidText::TooLong(6)));
    }
}
