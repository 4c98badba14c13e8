use proptest::prelude::*;

use super::*;

fn settings() -> impl Strategy<Value = Setting> {
    prop_oneof![Just(Setting::Online), Just(Setting::Away), Just(Setting::Busy), Just(Setting::Invisible)]
}

fn known() -> impl Strategy<Value = Known> {
    (settings(), 0..4u32, 0..4u32, proptest::option::of(0..1_000i64), any::<bool>()).prop_map(
        |(setting, active, idle, last_seen, settled)| Known {
            setting,
            active,
            idle,
            last_seen: last_seen.map(Minute),
            settled,
        },
    )
}

proptest! {
    #[test]
    fn an_invisible_user_looks_as_one_without_sessions(known in known(), visible in settings()) {
        prop_assume!(visible != Setting::Invisible);
        let invisible = Known { setting: Setting::Invisible, ..known };
        let absent = Known { setting: visible, active: 0, idle: 0, ..known };
        prop_assert_eq!(invisible.views().to_others, absent.views().to_others);
        prop_assert_eq!(invisible.views().to_oneself.status, Status::Invisible);
    }

    #[test]
    fn nobody_is_offline_before_all_gateways_could_report(known in known()) {
        let known = Known { settled: false, ..known };
        prop_assert!(known.views().to_others.status != Status::Offline);
        prop_assert!(known.views().to_oneself.status != Status::Offline);
    }

    #[test]
    fn only_the_user_ever_sees_invisible(known in known()) {
        prop_assert!(known.views().to_others.status != Status::Invisible);
    }

    #[test]
    fn last_seen_comes_with_offline_only(known in known()) {
        let Views { to_oneself, to_others } = known.views();
        for presence in [to_oneself, to_others] {
            prop_assert!(presence.status == Status::Offline || presence.last_seen.is_none());
        }
    }

    #[test]
    fn who_is_visible_and_has_a_session_is_there(known in known()) {
        prop_assume!(known.setting != Setting::Invisible && known.active + known.idle > 0);
        let status = known.views().to_others.status;
        let expected = match known.setting {
            Setting::Busy => Status::Busy,
            Setting::Online if known.active > 0 => Status::Online,
            _ => Status::Away,
        };
        prop_assert_eq!(status, expected);
    }
}

#[test]
fn a_minute_is_cut_off_and_never_rounded_up() {
    assert_eq!(Minute::of(Timestamp::from_millis(119_999)), Minute(1));
    assert_eq!(Minute::of(Timestamp::from_millis(-1)), Minute(-1));
    assert_eq!(Minute(2).begin(), Timestamp::from_millis(120_000));
}
