use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::name::SessionId;
use super::super::status::{Activity, Presence, Status};
use super::*;

const GRACE: Duration = Duration::from_secs(9);
const LIMITS: Limits = Limits { gateways_max: 2, sessions_max: 10, unsaved_max: 100, grace: GRACE };
const AT: Timestamp = Timestamp::from_millis(600_000);
const LATER: Timestamp = Timestamp::from_millis(1_200_000);

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn gateway(id: &str) -> IncarnationId {
    IncarnationId::parse(id).unwrap()
}

fn session(id: &str, user_id: &str, activity: Option<Activity>) -> Report {
    Report { session: SessionId::parse(id).unwrap(), user: user(user_id), activity }
}

fn load(registry: &mut Registry, id: &str, row: Row) {
    registry.pin(&user(id));
    registry.load(&user(id), row);
}

/// One gateway with a session of each user, everything settled.
fn with_sessions(users: &[&str]) -> (Registry, Attachment, Instant) {
    let (mut registry, now) = (Registry::new(LIMITS), Instant::now());
    registry.settle();
    let attachment = registry.attach(&gateway("g"), now).unwrap();
    for id in users {
        load(&mut registry, id, Row::default());
    }
    let reports = users.iter().map(|id| session(id, id, Some(Activity::Active))).collect();
    registry.report(&gateway("g"), attachment, reports, true, AT);
    (registry, attachment, now)
}

fn shown(registry: &Registry, id: &str) -> Presence {
    registry.views(&user(id)).to_others
}

fn status(registry: &Registry, id: &str) -> Status {
    shown(registry, id).status
}

#[test]
fn a_detached_gateway_takes_its_sessions_with_it() {
    let (mut registry, attachment, _) = with_sessions(&["ann", "bob"]);
    assert_eq!(status(&registry, "ann"), Status::Online);
    let touched = registry.detach(&gateway("g"), attachment, LATER);
    assert_eq!(touched.len(), 2);
    assert_eq!(shown(&registry, "ann"), Presence { status: Status::Offline, last_seen: Some(Minute(20)) });
    assert_eq!(registry.counts().0, 0);
}

#[test]
fn a_lost_gateway_keeps_its_sessions_for_the_grace_and_no_longer() {
    let (mut registry, attachment, now) = with_sessions(&["ann"]);
    registry.hear(&gateway("g"), attachment, now + Duration::from_secs(2));
    registry.lose(&gateway("g"), attachment);
    let end = now + Duration::from_secs(2) + GRACE;
    assert!(registry.expire(end - Duration::from_millis(1), LATER).is_empty());
    assert_eq!(status(&registry, "ann"), Status::Online);
    assert_eq!(registry.expire(end, LATER), [user("ann")]);
    assert_eq!(status(&registry, "ann"), Status::Offline);
}

#[test]
fn who_comes_back_in_time_never_goes_offline() {
    let (mut registry, first, now) = with_sessions(&["ann", "bob"]);
    registry.lose(&gateway("g"), first);
    let second = registry.attach(&gateway("g"), now + Duration::from_secs(8)).unwrap();
    let ann = || vec![session("ann", "ann", Some(Activity::Active))];
    registry.report(&gateway("g"), second, ann(), false, LATER);
    assert_eq!((status(&registry, "ann"), status(&registry, "bob")), (Status::Online, Status::Online));
    // What the first stream still says is of no interest.
    assert!(registry.detach(&gateway("g"), first, LATER).is_empty());
    registry.lose(&gateway("g"), first);
    registry.report(&gateway("g"), second, Vec::new(), true, LATER);
    assert_eq!((status(&registry, "ann"), status(&registry, "bob")), (Status::Online, Status::Offline));
    assert!(registry.expire(now + Duration::from_secs(60), LATER).is_empty());
}

#[test]
fn what_is_never_listed_again_goes_when_the_first_grace_is_over() {
    let (mut registry, first, now) = with_sessions(&["ann"]);
    registry.lose(&gateway("g"), first);
    registry.attach(&gateway("g"), now + Duration::from_secs(8)).unwrap();
    registry.expire(now + GRACE, LATER);
    assert_eq!(status(&registry, "ann"), Status::Offline);
}

#[test]
fn a_user_is_online_while_any_session_is() {
    let (mut registry, first, now) = with_sessions(&["ann"]);
    let second = registry.attach(&gateway("h"), now).unwrap();
    registry.report(&gateway("h"), second, vec![session("x", "ann", Some(Activity::Idle))], true, AT);
    registry.detach(&gateway("g"), first, AT);
    assert_eq!(shown(&registry, "ann"), Presence { status: Status::Away, last_seen: None });
    registry.report(&gateway("h"), second, vec![session("x", "ann", None)], false, LATER);
    assert_eq!(status(&registry, "ann"), Status::Offline);
}

#[test]
fn nobody_is_offline_before_all_could_report() {
    let mut registry = Registry::new(LIMITS);
    load(&mut registry, "ann", Row { setting: Setting::Online, last_seen: Some(Minute(3)) });
    assert_eq!(shown(&registry, "ann"), Presence::UNKNOWN);
    assert_eq!(registry.settle(), [user("ann")]);
    assert_eq!(shown(&registry, "ann"), Presence { status: Status::Offline, last_seen: Some(Minute(3)) });
    assert!(registry.settle().is_empty());
}

#[test]
fn nothing_is_shown_of_a_user_before_the_store_was_asked() {
    let (mut registry, now) = (Registry::new(LIMITS), Instant::now());
    registry.settle();
    let attachment = registry.attach(&gateway("g"), now).unwrap();
    registry.pin(&user("ann"));
    registry.report(&gateway("g"), attachment, vec![session("s", "ann", Some(Activity::Active))], true, AT);
    assert_eq!(shown(&registry, "ann"), Presence::UNKNOWN);
    assert!(registry.is_invisible(&user("ann")));
    registry.load(&user("ann"), Row { setting: Setting::Invisible, last_seen: None });
    assert_eq!(status(&registry, "ann"), Status::Offline);
}

#[test]
fn a_row_that_was_read_before_a_change_does_not_undo_it() {
    let (mut registry, _, _) = with_sessions(&["ann"]);
    registry.set(&user("ann"), Setting::Invisible, AT);
    registry.load(&user("ann"), Row { setting: Setting::Online, last_seen: None });
    assert_eq!(status(&registry, "ann"), Status::Offline);
}

#[test]
fn the_last_seen_time_of_an_invisible_user_stands_still() {
    let (mut registry, attachment, _) = with_sessions(&["ann"]);
    registry.set(&user("ann"), Setting::Invisible, AT);
    let frozen = Presence { status: Status::Offline, last_seen: Some(Minute::of(AT)) };
    assert_eq!(shown(&registry, "ann"), frozen);
    registry.report(&gateway("g"), attachment, vec![session("ann", "ann", None)], false, LATER);
    assert_eq!(shown(&registry, "ann"), frozen);
    registry.report(&gateway("g"), attachment, vec![session("b", "ann", Some(Activity::Active))], false, LATER);
    registry.set(&user("ann"), Setting::Invisible, LATER);
    registry.see_all(LATER);
    registry.detach(&gateway("g"), attachment, LATER);
    assert_eq!(shown(&registry, "ann"), frozen);
    registry.set(&user("ann"), Setting::Online, LATER);
    assert_eq!(shown(&registry, "ann"), frozen, "nobody was there when it was set");
}

#[test]
fn more_sessions_than_allowed_are_counted_and_left_out() {
    let (mut registry, attachment, _) = with_sessions(&["ann"]);
    let many = (0..20).map(|n| session(&format!("s{n}"), "ann", Some(Activity::Idle))).collect();
    let (_, too_many) = registry.report(&gateway("g"), attachment, many, false, AT);
    assert_eq!((too_many, registry.counts().0), (11, 10));
    let now = Instant::now();
    registry.attach(&gateway("h"), now).unwrap();
    assert_eq!(registry.attach(&gateway("i"), now), Err(TooManyGateways));
    assert!(registry.attach(&gateway("g"), now).is_ok());
}

#[test]
fn a_user_is_forgotten_when_nothing_is_left_to_keep() {
    let (mut registry, attachment, _) = with_sessions(&["ann"]);
    registry.unpin(&user("ann"));
    registry.detach(&gateway("g"), attachment, AT);
    assert_eq!(registry.unsaved(), [(user("ann"), Minute(10))]);
    registry.saved(&user("ann"), Minute(9));
    assert_eq!(registry.counts().2, 1, "an older time was saved");
    registry.saved(&user("ann"), Minute(10));
    assert_eq!(registry.counts(), (0, 0, 0));
    assert!(registry.unsaved().is_empty());
}

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Attach(u8),
    Report(u8, u8, u8, Option<bool>),
    Complete(u8),
    Detach(u8),
    Set(u8, Setting),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let setting =
        prop_oneof![Just(Setting::Online), Just(Setting::Away), Just(Setting::Busy), Just(Setting::Invisible)];
    let step = prop_oneof![
        (0..2u8).prop_map(Step::Attach),
        (0..2u8, 0..4u8, 0..3u8, proptest::option::of(any::<bool>())).prop_map(|(g, s, u, a)| Step::Report(g, s, u, a)),
        (0..2u8).prop_map(Step::Complete),
        (0..2u8).prop_map(Step::Detach),
        (0..3u8, setting).prop_map(|(u, setting)| Step::Set(u, setting)),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    /// The registry against the plainest model: a list of sessions.
    #[test]
    fn what_is_shown_follows_from_the_sessions_and_the_setting(steps in steps()) {
        let (mut registry, now) = (Registry::new(LIMITS), Instant::now());
        registry.settle();
        let mut sessions: BTreeMap<(u8, u8), (u8, bool, Attachment)> = BTreeMap::new();
        let mut attached: BTreeMap<u8, Attachment> = BTreeMap::new();
        let mut settings = [Setting::Online; 3];
        for id in 0..3u8 {
            load(&mut registry, &id.to_string(), Row::default());
        }
        for step in steps {
            match step {
                Step::Attach(g) => {
                    attached.insert(g, registry.attach(&gateway(&g.to_string()), now).unwrap());
                }
                Step::Report(g, s, u, active) => {
                    let Some(attachment) = attached.get(&g).copied() else { continue };
                    let activity = active.map(|active| if active { Activity::Active } else { Activity::Idle });
                    let report = session(&s.to_string(), &u.to_string(), activity);
                    registry.report(&gateway(&g.to_string()), attachment, vec![report], false, AT);
                    match active {
                        Some(active) => drop(sessions.insert((g, s), (u, active, attachment))),
                        None => drop(sessions.remove(&(g, s))),
                    }
                }
                Step::Complete(g) => {
                    let Some(attachment) = attached.get(&g).copied() else { continue };
                    registry.report(&gateway(&g.to_string()), attachment, Vec::new(), true, AT);
                    sessions.retain(|(of, _), (_, _, listed)| *of != g || *listed == attachment);
                }
                Step::Detach(g) => {
                    let Some(attachment) = attached.remove(&g) else { continue };
                    registry.detach(&gateway(&g.to_string()), attachment, AT);
                    sessions.retain(|(of, _), _| *of != g);
                }
                Step::Set(u, setting) => {
                    registry.set(&user(&u.to_string()), setting, AT);
                    settings[usize::from(u)] = setting;
                }
            }
            prop_assert_eq!(registry.counts().0, sessions.len());
            for id in 0..3u8 {
                let of_user = || sessions.values().filter(|(u, _, _)| *u == id);
                let expected = match settings[usize::from(id)] {
                    Setting::Invisible => Status::Offline,
                    _ if of_user().count() == 0 => Status::Offline,
                    Setting::Busy => Status::Busy,
                    Setting::Online if of_user().any(|(_, active, _)| *active) => Status::Online,
                    _ => Status::Away,
                };
                prop_assert_eq!(status(&registry, &id.to_string()), expected);
            }
        }
    }
}

/// What was read in a reading that began now.
fn reload(registry: &mut Registry, id: &str, row: Row) -> Reloaded {
    let reading = registry.begin_reading();
    registry.reload(&user(id), row, reading, LATER)
}

const AWAY: Row = Row { setting: Setting::Away, last_seen: None };
const HIDDEN: Row = Row { setting: Setting::Invisible, last_seen: None };

#[test]
fn what_another_instance_has_stored_shows_when_it_is_read_again() {
    let (mut registry, ..) = with_sessions(&["ann"]);
    assert_eq!(reload(&mut registry, "ann", AWAY), Reloaded::Changed);
    assert_eq!(status(&registry, "ann"), Status::Away);
    assert_eq!(reload(&mut registry, "ann", AWAY), Reloaded::Same);
    assert_eq!(reload(&mut registry, "eve", AWAY), Reloaded::NotKept);
    assert!(!registry.keeps(&user("eve")), "nobody asks for her");
    assert_eq!(registry.kept(|user| user.as_str() != "bob"), [user("ann")]);
    assert!(registry.kept(|user| user.as_str() != "ann").is_empty());
}

#[test]
fn who_hid_at_another_instance_was_seen_until_that_is_known_here() {
    let (mut registry, ..) = with_sessions(&["ann"]);
    assert_eq!(reload(&mut registry, "ann", HIDDEN), Reloaded::Changed);
    assert!(registry.is_invisible(&user("ann")));
    assert_eq!(shown(&registry, "ann"), Presence { status: Status::Offline, last_seen: Some(Minute(20)) });
    let later = Row { last_seen: Some(Minute(21)), ..HIDDEN };
    assert_eq!(reload(&mut registry, "ann", later), Reloaded::Changed);
    assert_eq!(shown(&registry, "ann").last_seen, Some(Minute(21)), "others saw them there");
    assert_eq!(reload(&mut registry, "ann", HIDDEN), Reloaded::Same);
    assert_eq!(shown(&registry, "ann").last_seen, Some(Minute(21)), "never back");
}

#[test]
fn a_reading_that_began_before_a_status_was_set_here_changes_nothing() {
    let (mut registry, ..) = with_sessions(&["ann"]);
    let reading = registry.begin_reading();
    registry.set(&user("ann"), Setting::Invisible, LATER);
    assert_eq!(registry.reload(&user("ann"), AWAY, reading, LATER), Reloaded::Same);
    assert!(registry.is_invisible(&user("ann")));
}

#[test]
fn of_two_readings_the_one_that_began_later_wins() {
    let (mut registry, ..) = with_sessions(&["ann"]);
    let (earlier, later) = (registry.begin_reading(), registry.begin_reading());
    assert_eq!(registry.reload(&user("ann"), HIDDEN, later, LATER), Reloaded::Changed);
    assert_eq!(registry.reload(&user("ann"), AWAY, earlier, LATER), Reloaded::Same);
    assert!(registry.is_invisible(&user("ann")));
}

#[test]
fn a_reading_that_began_before_the_user_came_is_not_taken_for_what_is_read_then() {
    let mut registry = Registry::new(LIMITS);
    let reading = registry.begin_reading();
    registry.pin(&user("ann"));
    assert_eq!(registry.reload(&user("ann"), AWAY, reading, LATER), Reloaded::Same);
    registry.load(&user("ann"), HIDDEN);
    assert!(registry.is_invisible(&user("ann")));
}

#[test]
fn the_last_seen_time_of_a_later_clock_stays() {
    let mut registry = Registry::new(LIMITS);
    registry.settle();
    load(&mut registry, "ann", Row { last_seen: Some(Minute(99)), ..Row::default() });
    let attachment = registry.attach(&gateway("g"), Instant::now()).unwrap();
    for activity in [Some(Activity::Active), None] {
        registry.report(&gateway("g"), attachment, vec![session("s", "ann", activity)], true, AT);
    }
    assert_eq!(shown(&registry, "ann"), Presence { status: Status::Offline, last_seen: Some(Minute(99)) });
}
