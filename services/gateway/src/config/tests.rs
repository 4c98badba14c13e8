use super::*;

#[test]
fn the_defaults_are_good() {
    assert_eq!(Config::default().validate(), Ok(()));
}

#[test]
fn each_number_is_checked() {
    let defaults = serde_json::to_value(Config::default()).expect("it serializes");
    for (key, value) in defaults.as_object().expect("a table") {
        if !value.is_number() {
            continue;
        }
        let mut changed = defaults.clone();
        changed[key] = 0.into();
        let config: Config = serde_json::from_value(changed).expect("zero is a number");
        let may_be_zero =
            ["sends_per_second_max", "signals_per_second_max", "drain_ms", "linger_ms", "token_notice_ms"]
                .contains(&key.as_str());
        match config.validate() {
            Ok(()) => assert!(may_be_zero, "{key} = 0 was accepted"),
            Err(error) => assert!(!may_be_zero && error.key == key, "{key} = 0: {error}"),
        }
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let refused = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.validate().expect_err("refused").key
    };
    assert_eq!(refused(|c| c.silence_ms_max = 20_000), "silence_ms_max");
    assert_eq!(refused(|c| c.heartbeat_ms = u32::MAX), "silence_ms_max", "no overflow");
    assert_eq!(refused(|c| c.pump_entries_max = 500), "pump_entries_max");
    assert_eq!(refused(|c| c.page_bytes_max = 1000), "page_bytes_max");
    assert_eq!(refused(|c| c.sends_burst_max = 10), "sends_burst_max");
    assert_eq!(refused(|c| c.signals_burst_max = 5), "signals_burst_max");
    for origin in ["chat.example.org", "https://chat.example.org/", "ftp://chat.example.org", "https://", "*"] {
        let config = Config { allowed_origins: vec![origin.to_owned()], ..Config::default() };
        assert_eq!(config.validate().expect_err(origin).key, "allowed_origins");
    }
}

#[test]
fn unknown_keys_are_refused() {
    assert!(serde_json::from_str::<Config>(r#"{"heartbeat": 1}"#).is_err());
}
