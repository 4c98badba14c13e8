//! Numbers of statuses, the same for every engine.

use crate::domain::status::Setting;

pub(super) fn status_of(setting: Setting) -> i64 {
    match setting {
        Setting::Online => 1,
        Setting::Away => 2,
        Setting::Busy => 3,
        Setting::Invisible => 4,
    }
}

pub(super) fn setting_of(status: i64) -> Option<Setting> {
    [Setting::Online, Setting::Away, Setting::Busy, Setting::Invisible]
        .into_iter()
        .find(|setting| status_of(*setting) == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_number_of_its_own_and_no_other_number_is_one() {
        for setting in [Setting::Online, Setting::Away, Setting::Busy, Setting::Invisible] {
            assert_eq!(setting_of(status_of(setting)), Some(setting));
        }
        assert_eq!((setting_of(0), setting_of(5)), (None, None));
    }
}
