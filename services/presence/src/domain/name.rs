//! What gateways call themselves and their sessions.

use std::sync::Arc;

/// Bytes of a name at most.
pub(crate) const NAME_BYTES_MAX: usize = 64;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub(crate) struct $name(Arc<str>);

        impl $name {
            /// `None`: empty, too long, or with a control character.
            pub(crate) fn parse(text: &str) -> Option<Self> {
                let good = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
                good.then(|| Self(Arc::from(text)))
            }
        }
    };
}

name!(
    /// One life of a gateway: new at each of its starts.
    IncarnationId
);

name!(
    /// A session, unique at its gateway.
    SessionId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        assert!(IncarnationId::parse(&"x".repeat(64)).is_some());
        for wrong in ["", &"x".repeat(65), "a\nb"] {
            assert!(SessionId::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
