//! The store's conformance suite on a real Cassandra, in one keyspace, with buckets of eight entries so that every test rolls
//! some, and what only this engine can get wrong.

use futures::future::join_all;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;
use viberchat_engines::{Server, say};
use viberchat_kit::clock::{SystemClock, Timestamp};
use viberchat_kit::id::{Entropy as _, SystemEntropy};
use viberchat_kit::telemetry::Metrics;

use super::*;
use crate::domain::entry::Kind;
use crate::domain::position::Position;
use crate::store::conformance::{ALL, Backend, Writer, bodies, id, in_space, put, stamp, user, write_id};
use crate::store::faulty::FaultyBackend;
use crate::store::{MessageRecord, StateChange};

/// Eight entries a bucket.
const SHIFT: u32 = 3;

/// The keyspace that the tests of this process share.
struct Cassandra(CassandraConfig);

impl Cassandra {
    async fn find() -> Option<Self> {
        static CONFIG: OnceCell<Option<CassandraConfig>> = OnceCell::const_new();
        CONFIG.get_or_init(Self::prepare).await.clone().map(Self)
    }

    async fn prepare() -> Option<CassandraConfig> {
        let config = new_keyspace().await?;
        migrate(&config, false).await.unwrap();
        Some(config)
    }

    fn store(&self) -> BoxFuture<'_, CassandraStore> {
        let metrics = StoreMetrics::new(&Metrics::new());
        async { CassandraStore::open_with(&self.0, Arc::new(SystemClock), metrics, SHIFT).await.unwrap() }.boxed()
    }
}

/// A keyspace that is not there yet.
async fn new_keyspace() -> Option<CassandraConfig> {
    let address = tokio::task::spawn_blocking(|| Server::Cassandra.address()).await.unwrap()?;
    let mut random = [0; 8];
    SystemEntropy.fill(&mut random);
    Some(CassandraConfig {
        contact_points: vec![address],
        namespace: format!("test_{:016x}", u64::from_be_bytes(random)),
        replication_factor: 1,
        migrate_on_start: true,
        connect_timeout_ms: 60_000,
        request_timeout_ms: 30_000,
        append_timeout_ms: 30_000,
        ..CassandraConfig::default()
    })
}

impl Backend for Cassandra {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async { Arc::new(self.store().await) as Arc<dyn Store> }.boxed()
    }
}

mod bare {
    use super::*;
    stamp!(backend: Cassandra::find());
}

mod through_faults {
    use super::*;
    stamp!(backend: async { Cassandra::find().await.map(FaultyBackend) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_roll_buckets_without_a_gap_and_each_write_is_there_once() {
    const WRITERS: usize = 16;
    const WRITES: usize = 6;
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let handles = join_all((0..4).map(|_| cassandra.open())).await;
        let writers = (0..WRITERS).map(|writer| {
            let handle = &handles[writer % handles.len()];
            async move {
                let mut acknowledged = 0;
                for n in 0..WRITES {
                    loop {
                        let head = handle.heads(vec![id(1)]).await.unwrap()[0];
                        assert!(head.seq >= acknowledged, "what was acknowledged is seen");
                        let mut log = Writer { conversation_id: id(1), head };
                        let (request, name) = (format!("m{n}"), format!("user{writer}"));
                        if put(handle, log.message(&name, &request, &format!("{name} {n}"))).await == Appended::Stored {
                            acknowledged = log.head.seq;
                            break;
                        }
                    }
                }
            }
        });
        join_all(writers).await;
        let mut all = bodies(&handles[0], 1).await;
        assert_eq!(all.len(), WRITERS * WRITES);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), WRITERS * WRITES);
        let numbers = handles[1].read_log(id(1), 0, ALL).await.unwrap().records;
        assert!(numbers.iter().all(|record| record.head.message_no == record.head.seq));
    }))
    .await;
}

/// Appends `n` messages, one at a time.
async fn fill(handle: &Arc<dyn Store>, log: &mut Writer, n: usize) {
    for _ in 0..n {
        let request = format!("m{}", log.head.seq);
        assert_eq!(put(handle, log.message("alice", &request, &request)).await, Appended::Stored);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_handles_that_open_a_bucket_at_once_one_does() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let (one, two) = (cassandra.open().await, cassandra.open().await);
        let mut log = Writer::new(id(1));
        for bucket in 1..6 {
            fill(&one, &mut log, 7).await;
            log = Writer { conversation_id: id(1), head: two.heads(vec![id(1)]).await.unwrap()[0] };
            fill(&two, &mut log, usize::from(bucket == 1)).await;
            assert_eq!(log.head.seq, 8 * bucket, "full");
            // Both know it, and want the next one.
            assert_eq!(one.heads(vec![id(1)]).await.unwrap(), [log.head]);
            let mut other = Writer { conversation_id: id(1), head: log.head };
            let (mine, theirs) = (log.message("alice", "mine", "a"), other.message("bob", "theirs", "b"));
            let (mine, theirs) = futures::join!(one.append(mine), two.append(theirs));
            let (stored, lost) = (Appended::Stored, Appended::Conflict { head: log.head.seq });
            let answers = (mine.unwrap(), theirs.unwrap());
            assert!([(stored, lost), (lost, stored)].contains(&answers), "{answers:?}");
        }
        assert_eq!(bodies(&cassandra.open().await, 1).await.len(), 41);
    }))
    .await;
}

#[tokio::test]
async fn who_believes_in_another_head_opens_no_bucket() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let handle = cassandra.open().await;
        let mut log = Writer::new(id(1));
        fill(&handle, &mut log, 3).await;
        for expected_head in [8, 16, 64] {
            let mut append = Writer { conversation_id: id(1), head: log.head }.message("bob", "b", "lost");
            append.expected_head = expected_head;
            append.records[0].head.seq = expected_head + 1;
            assert_eq!(handle.append(append).await.unwrap(), Appended::Conflict { head: 3 });
        }
        assert_eq!(bodies(&cassandra.open().await, 1).await.len(), 3);
    }))
    .await;
}

#[tokio::test]
async fn a_head_is_found_with_a_hint_that_lags_by_three_buckets_or_leads_by_one() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let mut log = Writer::new(id(1));
        let writing = Arc::new(cassandra.store().await);
        let handle = writing.clone() as Arc<dyn Store>;
        fill(&handle, &mut log, 3).await;
        writing.write_waiting(writing.all_due()).await;
        // Full buckets, and the end inside of one.
        for n in [5, 16, 2] {
            fill(&handle, &mut log, n).await;
            assert_eq!(cassandra.open().await.heads(vec![id(1)]).await.unwrap(), [log.head], "{n}");
        }
        let ahead = (i64::MAX, 4_i64, 3_i64, writing.key(id(1)));
        writing.write(&writing.statements.set_tail, ahead).await.unwrap();
        let other = cassandra.open().await;
        assert_eq!(other.heads(vec![id(1)]).await.unwrap(), [log.head]);
        fill(&other, &mut log, 1).await;
        assert_eq!(bodies(&handle, 1).await.len(), 27);
    }))
    .await;
}

#[tokio::test]
async fn positions_of_senders_are_written_once_for_many_entries_and_when_the_store_is_closed() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let store = cassandra.store().await;
        let mut log = Writer::new(id(1));
        for (count, written) in [(DUE_ENTRIES - 1, 0), (1, DUE_ENTRIES), (1, DUE_ENTRIES)] {
            for _ in 0..count {
                let mut append = log.message("alice", &format!("m{}", log.head.seq), "text");
                append.positions = vec![(log.head.seq, Position::read(user("alice"), log.head.seq, log.head.seq))];
                assert_eq!(store.append(append).await.unwrap(), Appended::Stored);
            }
            store.write_waiting(store.due_now()).await;
            assert_eq!(store.hints(id(1)).await.unwrap().1, written);
            let position = vec![Position::read(user("alice"), log.head.seq, log.head.seq)];
            assert_eq!(cassandra.open().await.positions(id(1), None, 9).await.unwrap().positions, position);
        }
        store.close().await.unwrap();
        assert_eq!(store.hints(id(1)).await.unwrap().1, log.head.seq);
    }))
    .await;
}

#[tokio::test]
async fn an_id_is_found_after_four_buckets_by_whoever_is_asked() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let handle = cassandra.open().await;
        let mut log = Writer::new(id(1));
        fill(&handle, &mut log, 36).await;
        let other = cassandra.open().await;
        let asked = || vec![write_id("alice", "m1"), write_id("alice", "m35"), write_id("alice", "never")];
        let (head, found) = other.find_ids(id(1), asked(), 0).await.unwrap();
        let places: Vec<_> = found.iter().map(|found| found.map(|found| found.seq)).collect();
        assert_eq!((head, places), (log.head, vec![Some(2), Some(36), None]));
        let (_, later) = other.find_ids(id(1), asked(), 30).await.unwrap();
        assert_eq!(later[1].map(|found| found.seq), Some(36));
    }))
    .await;
}

#[tokio::test]
async fn a_batch_longer_than_a_bucket_is_stored_whole() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let (one, two) = (cassandra.open().await, cassandra.open().await);
        let mut log = Writer::new(id(1));
        fill(&one, &mut log, 5).await;
        let mut append = log.batch();
        for n in 0..20 {
            append.records.extend(log.message("bob", &format!("b{n}"), "text").records);
        }
        assert_eq!(one.append(append).await.unwrap(), Appended::Stored);
        assert_eq!(two.heads(vec![id(1)]).await.unwrap(), [log.head]);
        assert_eq!(bodies(&two, 1).await.len(), 25);
    }))
    .await;
}

#[tokio::test]
async fn what_the_first_part_of_an_append_does_to_members_outlives_a_crash_before_the_second() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let store = cassandra.store().await;
        let mut log = Writer::new(id(1));
        let mut joining = log.system("all join");
        joining.positions = ["bob", "carol", "dora"].map(|name| (1, Position::read(user(name), 1, 0))).to_vec();
        assert_eq!(store.append(joining).await.unwrap(), Appended::Stored);
        let first = 1 << SHIFT;
        while log.head.seq < first - 3 {
            let request = format!("m{}", log.head.seq);
            assert_eq!(store.append(log.message("alice", &request, &request)).await.unwrap(), Appended::Stored);
        }
        let mut whole = log.batch();
        let mut records = Vec::new();
        records.push(log.record(Kind::MESSAGE, "bob", Some("b1"), "text"));
        whole.positions.push((log.head.seq, Position::read(user("bob"), log.head.seq, log.head.message_no)));
        records.push(log.record(Kind(12), "alice", None, "carol is gone"));
        whole.departed.push((log.head.seq, user("carol")));
        records.push(log.record(Kind(12), "alice", None, "erin joins"));
        whole.positions.push((log.head.seq, Position::read(user("erin"), log.head.seq, log.head.message_no)));
        assert_eq!(log.head.seq, first, "the bucket is full");
        records.push(log.record(Kind::MESSAGE, "bob", Some("b2"), "text"));
        whole.positions.push((log.head.seq, Position::read(user("bob"), log.head.seq, log.head.message_no)));
        whole.records = records;

        let known = store.known(id(1)).await.unwrap();
        let (effects, head) = (effects::Effects::of_append(&whole), whole.expected_head);
        assert!(store.write_part(&known, head, 0, &whole.records[..3], &effects[..3]).await.unwrap());
        drop((known, store));
        let positions = cassandra.open().await.positions(id(1), None, 9).await.unwrap().positions;
        let seen: Vec<_> = positions.iter().map(|position| (position.user.as_str(), position.read_seq)).collect();
        assert_eq!(seen, [("bob", first - 2), ("dora", 1), ("erin", first)]);
    }))
    .await;
}

#[tokio::test]
async fn what_a_crash_left_undone_is_done_by_who_reads_next() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let mut log = Writer::new(id(1));
        let mut dying = cassandra.store().await;
        dying.dies_before_projecting = true;
        let dying = Arc::new(dying);
        let handle = dying.clone() as Arc<dyn Store>;
        fill(&handle, &mut log, 3).await;
        let mut joining = log.system("bob joins");
        joining.positions = vec![(log.head.seq, Position::read(user("bob"), 4, 3))];
        let edits = [log.edit(1, "e1", "secret"), log.edit(2, "e2", "two, edited")];
        let rest = [log.react("bob", 2, "+1"), log.pin("bob", 2), log.delete(1, "d1")];
        for append in [joining].into_iter().chain(edits).chain(rest) {
            assert_eq!(handle.append(append).await.unwrap(), Appended::Stored);
        }
        drop((handle, dying));

        let other = cassandra.open().await;
        let slice = other.messages_at(id(1), Some(user("bob")), vec![1, 2]).await.unwrap();
        let [deleted, edited]: [MessageRecord; 2] = slice.messages.try_into().unwrap();
        assert_eq!(deleted.delete_time, Some(Timestamp::from_millis(1_008)));
        assert_eq!(edited.edit, Some((Timestamp::from_millis(1_005), b"two, edited".as_slice().into())));
        assert_eq!((edited.reactions.len(), edited.pin.map(|pin| pin.seq)), (1, Some(8)));
        assert_eq!(other.pin_count(id(1)).await.unwrap().1, 1);
        assert_eq!(other.positions(id(1), None, 9).await.unwrap().positions.len(), 1);
        let erased: Vec<_> = other.read_log(id(1), 0, ALL).await.unwrap().records;
        let erased: Vec<u64> = erased.iter().filter(|record| record.erased).map(|record| record.head.seq).collect();
        assert_eq!(erased, [1, 5]);
        // In the rows, too, and both at once: in between the entry would be shown with what is left of it.
        let reading = cassandra.store().await;
        let times = format!(
            "SELECT WRITETIME(body), WRITETIME(erased) FROM {}.conversation_log WHERE conversation_id = ? AND bucket = 0 \
             AND section = 0 AND seq = 1",
            cassandra.0.keyspace()
        );
        let answer = reading.session.query_unpaged(times, (reading.key(id(1)),)).await.unwrap();
        let (body, erased) = answer.into_rows_result().unwrap().first_row::<(i64, i64)>().unwrap();
        assert_eq!(body, erased);
        for (seq, left) in [(1, b"m"), (5, b"e")] {
            assert_eq!(reading.entry(id(1), seq).await.unwrap().unwrap().body(), left);
        }
    }))
    .await;
}

#[tokio::test]
async fn a_projection_that_comes_late_brings_nothing_back() {
    let Some(cassandra) = Cassandra::find().await else { return };
    in_space(Box::pin(async {
        let store = Arc::new(cassandra.store().await);
        let handle = store.clone() as Arc<dyn Store>;
        let mut log = Writer::new(id(1));
        fill(&handle, &mut log, 1).await;
        for append in [log.edit(1, "e1", "first"), log.edit(1, "e2", "second"), log.delete(1, "d1")] {
            assert_eq!(handle.append(append).await.unwrap(), Appended::Stored);
        }
        // As another process would that knew of these entries and was asleep.
        let (known, _) = store.current(id(1)).await.unwrap();
        let asleep = Known::new(id(1), known.generation, log.head, 0);
        let origin = store.entry(id(1), 2).await.unwrap().unwrap();
        let edit = StateChange::Edit { message_seq: 1, edit_seq: 2 };
        let effects = effects::Effects { changes: vec![edit], ..effects::Effects::default() };
        store.project(&asleep, 2, &(&origin).into(), &effects).await.unwrap();
        let message = handle.messages_at(id(1), None, vec![1]).await.unwrap().messages.remove(0);
        assert!(message.delete_time.is_some());
        assert_eq!(message.edit, Some((Timestamp::from_millis(1_002), b"e".as_slice().into())));
    }))
    .await;
}

#[tokio::test]
async fn a_schema_may_be_made_twice_and_by_two_at_once() {
    let Some(config) = new_keyspace().await else { return };
    let planned = migrate(&config, true).await.unwrap();
    assert!(planned.iter().any(|statement| statement.contains("conversation_log")));
    assert_eq!(migrate(&config, true).await.unwrap(), planned, "a dry run changes nothing");
    let (one, two) = futures::join!(migrate(&config, false), migrate(&config, false));
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    assert!(migrate(&config, false).await.unwrap().is_empty(), "nothing is left to do");
}

#[tokio::test]
async fn who_does_not_migrate_refuses_what_is_behind_or_newer() {
    let Some(config) = new_keyspace().await else { return };
    let config = CassandraConfig { migrate_on_start: false, ..config };
    let known = schema::MIGRATIONS.len();
    let nothing = refusal(&config).await;
    assert!(matches!(nothing, OpenError::Behind { found: 0, known: at, .. } if at == known), "{nothing}");
    migrate(&config, false).await.unwrap();
    let store = Cassandra(config.clone()).store().await;
    let later = format!("INSERT INTO {}.schema_version (name, version) VALUES ('message', 900)", config.keyspace());
    store.session.query_unpaged(later, ()).await.unwrap();
    for migrate_on_start in [false, true] {
        let newer = refusal(&CassandraConfig { migrate_on_start, ..config.clone() }).await;
        assert!(matches!(newer, OpenError::TooNew { found: 900, known: at, .. } if at == known), "{newer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_that_start_at_any_time_make_one_schema() {
    let Some(config) = new_keyspace().await else { return };
    // Each begins at another moment of what the first one does.
    let starts = (0..12_u64).map(|number| {
        let config = &config;
        async move {
            sleep(Duration::from_millis(number * 40)).await;
            migrate(config, false).await
        }
    });
    for migrated in join_all(starts).await {
        assert!(migrated.is_ok(), "{migrated:?}");
    }
}

/// The node that the tests share, over TLS, and a new keyspace in it.
async fn encrypted() -> Option<CassandraConfig> {
    let config = new_keyspace().await?;
    let Some(ca_file) = Server::Cassandra.ca_file() else {
        say("SKIPPED: TLS to this Cassandra (VIBERCHAT_TEST_CASSANDRA_CA names no certificates)");
        return None;
    };
    Some(CassandraConfig { tls: true, ca_file: Some(ca_file), ..config })
}

/// Why the keyspace cannot be used.
async fn refusal(config: &CassandraConfig) -> OpenError {
    let metrics = StoreMetrics::new(&Metrics::new());
    CassandraStore::open(config, Arc::new(SystemClock), metrics).await.err().unwrap()
}

#[tokio::test]
async fn over_tls_the_log_is_the_one_that_it_is_without() {
    let Some(config) = encrypted().await else { return };
    migrate(&config, false).await.unwrap();
    let plain = CassandraConfig { tls: false, ca_file: None, ..config.clone() };
    let (over_tls, without) = (Cassandra(config), Cassandra(plain));
    in_space(Box::pin(async {
        let mut log = Writer::new(id(1));
        fill(&over_tls.open().await, &mut log, 3).await;
        fill(&without.open().await, &mut log, 1).await;
        assert_eq!(bodies(&over_tls.open().await, 1).await.len(), 4);
    }))
    .await;
}

#[tokio::test]
async fn a_node_whose_certificate_nobody_trusted_signed_gets_no_connection() {
    let Some(config) = encrypted().await else { return };
    let config = CassandraConfig { ca_file: None, ..config };
    let error = refusal(&config).await;
    assert!(matches!(&error, OpenError::Engine(why) if why.contains("UnknownIssuer")), "{error}");
    let findings = examine(&config, &SystemClock).await;
    assert!(findings.iter().any(|finding| finding.to_string().contains("UnknownIssuer")), "{findings:?}");
}

#[tokio::test]
async fn a_node_at_an_address_that_its_certificate_does_not_name_gets_no_connection() {
    let Some(mut config) = encrypted().await else { return };
    let node = config.contact_points.remove(0);
    let Ok(elsewhere) = TcpListener::bind("127.0.0.2:0").await else {
        return say("SKIPPED: a node at another address (127.0.0.2 is none of this machine)");
    };
    config.contact_points = vec![elsewhere.local_addr().unwrap().to_string()];
    let relay = async {
        loop {
            let (mut inner, mut outer) =
                (TcpStream::connect(&node).await.unwrap(), elsewhere.accept().await.unwrap().0);
            let _ = copy_bidirectional(&mut inner, &mut outer).await;
        }
    };
    let error = tokio::select! {
        () = relay => unreachable!("it has no end"),
        error = refusal(&config) => error,
    };
    assert!(matches!(&error, OpenError::Engine(why) if why.contains("not valid for name")), "{error}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let config = CassandraConfig { tls: true, ca_file: Some("/nowhere/ca.pem".into()), ..CassandraConfig::default() };
    let error = refusal(&config).await;
    assert!(matches!(error, OpenError::Tls(TlsError::File { .. })), "{error}");
    let findings = examine(&config, &SystemClock).await;
    assert!(
        findings.iter().any(|finding| finding.to_string().contains("/nowhere/ca.pem: No such file")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn doctor_looks_at_the_keyspace_that_is_there() {
    let Some(config) = new_keyspace().await else { return };
    let said = async |config: &CassandraConfig| -> Vec<String> {
        examine(config, &SystemClock).await.iter().map(ToString::to_string).collect()
    };
    let has = |findings: &[String], verdict: &str, what: &str| {
        findings.iter().any(|finding| finding.contains(verdict) && finding.contains(what))
    };
    let planned = CassandraConfig { replication_factor: 3, migrate_on_start: false, ..config.clone() };
    let before = said(&planned).await;
    assert!(
        has(&before, "ok", "copies in datacenter1: 3") && has(&before, "FAIL", "statements are missing"),
        "{before:?}"
    );
    migrate(&config, false).await.unwrap();
    let after = said(&planned).await;
    assert!(has(&after, "WARN", "copies in datacenter1: 1") && has(&after, "ok", "up to date"), "{after:?}");
    assert!(has(&after, "ok", "paxos_variant v2") && has(&after, "ok", "read_repair BLOCKING"), "{after:?}");
    let session = session::connect(&config).await.unwrap();
    let table = format!("{}.conversation_log", config.keyspace());
    session.query_unpaged(format!("ALTER TABLE {table} WITH read_repair = 'NONE'"), ()).await.unwrap();
    let changed = said(&config).await;
    assert!(has(&changed, "FAIL", "read_repair NONE"), "{changed:?}");
    let elsewhere = said(&CassandraConfig { data_center: "elsewhere".to_owned(), ..config }).await;
    assert!(has(&elsewhere, "FAIL", "data_center"), "{elsewhere:?}");
}
