use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use super::*;

/// A connection by its name, until it closes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line(&'static str, Rc<Cell<bool>>);

impl Open for Line {
    fn is_open(&self) -> bool {
        self.1.get()
    }
}

fn line(name: &'static str) -> Line {
    Line(name, Rc::new(Cell::new(true)))
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn table(ports: &[u16]) -> Table<Line> {
    let mut table = Table::default();
    table.set_addresses(&ports.iter().copied().map(at).collect::<Vec<_>>());
    for port in ports {
        table.set_slot(at(*port), 0, Slot::Up(line("first")));
        table.set_slot(at(*port), 1, Slot::Up(line("second")));
    }
    table
}

fn port(pick: &Pick<Line>) -> u16 {
    match pick {
        Pick::To(address, _) => address.port(),
        Pick::Wait | Pick::Nobody => panic!("{pick:?}"),
    }
}

fn key(number: u32) -> Wanted {
    Wanted::Near(Affinity::of(&number.to_be_bytes()))
}

#[test]
fn calls_wait_for_the_first_look_and_the_first_attempt_and_not_for_a_second() {
    let now = Instant::now();
    let mut table = Table::<Line>::default();
    assert_eq!(table.pick(Wanted::Any, &[], now), Pick::Wait, "not looked up");
    table.set_addresses(&[at(1)]);
    assert_eq!(table.pick(Wanted::Any, &[], now), Pick::Wait, "connecting");
    table.set_slot(at(1), 0, Slot::Down);
    table.set_slot(at(1), 1, Slot::Down);
    assert_eq!(table.pick(Wanted::Any, &[], now), Pick::Nobody, "not reached");
    table.set_slot(at(1), 1, Slot::Up(line("second")));
    assert_eq!(port(&table.pick(Wanted::Any, &[], now)), 1);
    table.set_addresses(&[]);
    assert_eq!(table.pick(Wanted::Any, &[], now), Pick::Nobody, "there are none");
}

#[test]
fn calls_without_a_key_take_all_instances_and_connections_in_turn() {
    let now = Instant::now();
    for ports in [&[1, 2][..], &[1, 2, 3], &[7]] {
        let mut table = table(ports);
        let mut counts = HashMap::new();
        for _ in 0..120 {
            match table.pick(Wanted::Any, &[], now) {
                Pick::To(address, connection) => *counts.entry((address, connection.0)).or_insert(0) += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(counts.len(), ports.len() * CONNECTIONS, "{counts:?}");
        let fair = 120 / counts.len();
        assert!(counts.values().all(|count| (fair / 2..=fair * 2).contains(count)), "{counts:?}");
    }
}

#[test]
fn calls_with_a_key_stay_until_their_instance_goes_and_come_back_with_it() {
    let now = Instant::now();
    let mut table = table(&[1, 2, 3]);
    let before: Vec<_> = (0..100).map(|number| port(&table.pick(key(number), &[], now))).collect();
    assert_eq!(before, (0..100).map(|number| port(&table.pick(key(number), &[], now))).collect::<Vec<_>>());
    table.set_slot(at(2), 0, Slot::Down);
    table.set_slot(at(2), 1, Slot::Down);
    for (number, place) in before.iter().enumerate() {
        let now_at = port(&table.pick(key(number as u32), &[], now));
        assert!(now_at != 2 && (*place == 2 || *place == now_at), "key {number} went from {place} to {now_at}");
    }
    table.set_slot(at(2), 1, Slot::Up(line("second")));
    assert_eq!(before, (0..100).map(|number| port(&table.pick(key(number), &[], now))).collect::<Vec<_>>());
}

#[test]
fn an_instance_that_was_tried_is_not_taken_again() {
    let now = Instant::now();
    let mut table = table(&[1, 2]);
    for number in 0..50 {
        assert_eq!(port(&table.pick(key(number), &[at(1)], now)), 2);
    }
    assert_eq!(table.pick(Wanted::Any, &[at(1), at(2)], now), Pick::Nobody);
}

#[test]
fn an_instance_whose_calls_fail_is_left_out_and_probed_by_one_call() {
    let now = Instant::now();
    let mut table = table(&[1, 2]);
    while !table.failed(at(1), now, 1.0) {}
    assert!((0..20).all(|number| port(&table.pick(key(number), &[], now)) == 2));
    let later = now + std::time::Duration::from_secs(10);
    let probed = (0..20).filter(|number| port(&table.pick(key(*number), &[], later)) == 1).count();
    assert_eq!(probed, 1);
    table.abandoned(at(1), later);
    assert_eq!((0..20).filter(|number| port(&table.pick(key(*number), &[], later)) == 1).count(), 1, "the next probe");
    table.succeeded(at(1));
    assert!((0..20).filter(|number| port(&table.pick(key(*number), &[], later)) == 1).count() > 1);
}

#[test]
fn a_connection_that_has_closed_is_not_taken_and_soon_replaced() {
    let now = Instant::now();
    let mut table = table(&[1]);
    let closing = line("closing");
    table.set_slot(at(1), 0, Slot::Up(closing.clone()));
    table.set_slot(at(1), 1, Slot::Down);
    assert_eq!(port(&table.pick(Wanted::Any, &[], now)), 1);
    closing.1.set(false);
    assert_eq!(table.pick(Wanted::Any, &[], now), Pick::Wait);
}

#[test]
fn instances_that_stay_keep_their_connections() {
    let now = Instant::now();
    let mut table = table(&[1, 2]);
    let changes = table.set_addresses(&[at(3), at(2)]);
    assert_eq!(changes, Changes { added: vec![at(3)], removed: vec![at(1)] });
    assert_eq!(port(&table.pick(Wanted::Any, &[], now)), 2);
    table.set_slot(at(1), 0, Slot::Up(line("late")));
    assert!((0..9).all(|number| port(&table.pick(key(number), &[], now)) == 2), "what has gone does not come back");
}

#[test]
fn a_call_for_one_instance_goes_there_or_nowhere() {
    let now = Instant::now();
    let mut table = table(&[1, 2]);
    assert!((0..9).all(|_| port(&table.pick(Wanted::Only(at(2)), &[], now)) == 2));
    assert_eq!(table.pick(Wanted::Only(at(2)), &[at(2)], now), Pick::Nobody, "tried");
    assert_eq!(table.pick(Wanted::Only(at(3)), &[], now), Pick::Nobody, "unknown");
    table.set_slot(at(2), 0, Slot::Connecting);
    table.set_slot(at(2), 1, Slot::Down);
    assert_eq!(table.pick(Wanted::Only(at(2)), &[], now), Pick::Wait, "the other one does not do");
}
