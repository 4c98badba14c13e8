use viberchat_kit::clock::Timestamp;

/// A member's own view of a conversation. Nobody else sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberSettings {
    /// Kept on top of the list.
    pub(crate) pinned: bool,
    /// No notifications until then; `None`: not muted.
    pub(crate) mute_until: Option<Timestamp>,
    /// Kept in the list of archived ones.
    pub(crate) archived: bool,
    /// What the member calls it; empty: nothing of their own.
    pub(crate) nickname: String,
    /// Entries up to this seq are hidden from the member.
    pub(crate) cleared_seq: u64,
}

/// New values; absent ones stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SettingsUpdate {
    pub(crate) pinned: Option<bool>,
    /// The epoch, or earlier: unmute.
    pub(crate) mute_until: Option<Timestamp>,
    pub(crate) archived: Option<bool>,
    pub(crate) nickname: Option<String>,
    pub(crate) cleared_seq: Option<u64>,
}

impl MemberSettings {
    /// What an update makes of them.
    pub(crate) fn updated(&self, update: &SettingsUpdate) -> Self {
        Self {
            pinned: update.pinned.unwrap_or(self.pinned),
            mute_until: match update.mute_until {
                Some(until) => Some(until).filter(|until| until.millis() > 0),
                None => self.mute_until,
            },
            archived: update.archived.unwrap_or(self.archived),
            nickname: update.nickname.as_ref().unwrap_or(&self.nickname).clone(),
            // Only forward: what one has deleted for oneself never comes back.
            cleared_seq: update.cleared_seq.unwrap_or(0).max(self.cleared_seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_update() -> impl Strategy<Value = SettingsUpdate> {
        let time = prop::option::of((-5..5_i64).prop_map(Timestamp::from_millis));
        let fields = (
            any::<Option<bool>>(),
            time,
            any::<Option<bool>>(),
            prop::option::of("[a-c]{0,2}"),
            prop::option::of(0..9_u64),
        );
        fields.prop_map(|(pinned, mute_until, archived, nickname, cleared_seq)| SettingsUpdate {
            pinned,
            mute_until,
            archived,
            nickname,
            cleared_seq,
        })
    }

    proptest! {
        #[test]
        fn what_is_named_changes_and_nothing_else(updates in prop::collection::vec(any_update(), 1..8)) {
            let mut settings = MemberSettings::default();
            for update in updates {
                let before = settings.clone();
                settings = before.updated(&update);
                prop_assert_eq!(settings.pinned, update.pinned.unwrap_or(before.pinned));
                prop_assert_eq!(settings.archived, update.archived.unwrap_or(before.archived));
                prop_assert_eq!(&settings.nickname, update.nickname.as_ref().unwrap_or(&before.nickname));
                prop_assert!(settings.cleared_seq >= before.cleared_seq);
                prop_assert!(settings.cleared_seq == before.cleared_seq || Some(settings.cleared_seq) == update.cleared_seq);
                match update.mute_until {
                    None => prop_assert_eq!(settings.mute_until, before.mute_until),
                    Some(until) if until.millis() > 0 => prop_assert_eq!(settings.mute_until, Some(until)),
                    Some(_) => prop_assert_eq!(settings.mute_until, None),
                }
                // Repeats without harm.
                prop_assert_eq!(settings.updated(&update), settings.clone());
            }
        }
    }
}
