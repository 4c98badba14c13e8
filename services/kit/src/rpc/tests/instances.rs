//! Several instances that come, go, and are lost.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A server on a runtime of its own, so that it can be lost with all its connections.
struct Instance {
    runtime: Option<Runtime>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Instance {
    fn start(secret: &Secret) -> Self {
        Self::start_at(secret, (Ipv4Addr::LOCALHOST, 0).into())
    }

    fn start_at(secret: &Secret, address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let incoming = TcpIncoming::bind(address).unwrap();
        let address = incoming.local_addr().unwrap();
        let config = VerifierConfig { service_secrets: vec![secret.clone()], ..VerifierConfig::default() };
        let verifier = TokenVerifier::new(config, Arc::new(SystemClock)).unwrap();
        let stop = CancellationToken::new();
        let server = tonic::transport::Server::builder()
            .layer(AuthLayer::new(Arc::new(verifier), table()))
            .add_service(Echo(u64::from(address.port())))
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        runtime.spawn(server);
        Self { runtime: Some(runtime), address, stop }
    }

    fn lose(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Instances, and the tasks of who calls them.
struct Stage {
    secret: Secret,
    instances: Vec<Instance>,
    tasks: Lifecycle,
}

impl Stage {
    fn with(count: usize) -> Self {
        let secret = Secret::generate(&SystemEntropy);
        Self { instances: (0..count).map(|_| Instance::start(&secret)).collect(), tasks: Lifecycle::new(), secret }
    }

    fn target(&self) -> Target {
        let places: Vec<_> = self.instances.iter().map(|instance| format!("http://{}", instance.address)).collect();
        places.join(",").parse().unwrap()
    }

    fn channel(&self, instances: Instances) -> Channel {
        let token = service_token(&self.secret, &[Scope::ActForUsers, Scope::Relay]);
        Channel::connect(&self.target(), instances, token, &self.tasks.handle())
    }

    fn lose(&mut self, port: u64) -> SocketAddr {
        let lost = self.instances.iter_mut().find(|instance| u64::from(instance.address.port()) == port).unwrap();
        lost.lose();
        lost.address
    }

    async fn end(self) {
        let report = self.tasks.shutdown(Duration::from_secs(5)).await;
        assert!(report.is_clean(), "{report:?}");
    }
}

/// The port of who answers.
async fn ask(channel: &Channel, key: Option<&str>) -> Result<u64> {
    let mut request = with_deadline(on_behalf_of(Request::new(asked("", 0)), &user()), LIMIT);
    if let Some(key) = key {
        affinity(&mut request, key);
    }
    Ok(unary(channel, UNARY, request).await?.correlation_id)
}

async fn ports(channel: &Channel, calls: usize, key: Option<&str>) -> BTreeSet<u64> {
    let mut ports = BTreeSet::new();
    for _ in 0..calls {
        ports.insert(ask(channel, key).await.unwrap());
    }
    ports
}

/// Until both instances have connections, keys may be elsewhere.
async fn wait_for_all(channel: &Channel, count: usize) {
    let begun = tokio::time::Instant::now();
    while ports(channel, 8, None).await.len() < count {
        assert!(begun.elapsed() < LIMIT, "not all instances are used");
    }
}

#[tokio::test]
async fn calls_with_a_key_meet_at_one_instance_and_the_others_are_spread() {
    let stage = Stage::with(3);
    let (one, other) = (stage.channel(Instances::Any), stage.channel(Instances::Any));
    wait_for_all(&one, 3).await;
    wait_for_all(&other, 3).await;
    for key in ["a", "b", "c", "d"] {
        let met = ports(&one, 5, Some(key)).await;
        assert_eq!((met.len(), &met), (1, &ports(&other, 5, Some(key)).await));
    }
    drop((one, other));
    stage.end().await;
}

#[tokio::test]
async fn when_an_instance_is_lost_the_others_take_its_calls_and_it_takes_them_again() {
    let mut stage = Stage::with(2);
    let channel = stage.channel(Instances::Any);
    wait_for_all(&channel, 2).await;
    let first = ask(&channel, Some("key")).await.unwrap();
    let address = stage.lose(first);
    // What is on its way when it happens may be lost; nothing is once the connection is known to be.
    let begun = tokio::time::Instant::now();
    while ask(&channel, Some("key")).await.is_err() {
        assert!(begun.elapsed() < LIMIT, "nobody takes the calls");
    }
    assert_ne!(ask(&channel, Some("key")).await.unwrap(), first);
    stage.instances.push(Instance::start_at(&stage.secret, address));
    while ask(&channel, Some("key")).await.unwrap() != first {
        assert!(begun.elapsed() < LIMIT, "the instance that is back is not used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_instance_that_stops_well_costs_nobody_a_call() {
    let stage = Stage::with(2);
    let channel = stage.channel(Instances::Any);
    wait_for_all(&channel, 2).await;
    let stopping = u64::from(stage.instances[0].address.port());
    stage.instances[0].stop.cancel();
    let begun = tokio::time::Instant::now();
    while ports(&channel, 20, None).await.contains(&stopping) {
        assert!(begun.elapsed() < LIMIT, "the instance that stops is used");
    }
}

#[tokio::test]
async fn a_call_that_an_instance_had_begun_is_unknown_and_not_sent_again() {
    let mut stage = Stage::with(2);
    let channel = stage.channel(Instances::One);
    let port = ask(&channel, None).await.unwrap();
    let hanging = async {
        let request = with_deadline(Request::new(asked("", 0)), LIMIT);
        unary(&channel, HANG, request).await.unwrap_err()
    };
    let losing = async {
        // Long enough to be sent; sent later, it would be retried and come to its deadline.
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.lose(port);
    };
    let (error, ()) = tokio::join!(hanging, losing);
    assert_eq!((error.reason, error.outcome), (Reason::StoreUnavailable, Outcome::Unknown));
}

#[tokio::test]
async fn where_one_instance_takes_all_calls_it_is_the_same_for_all_callers() {
    let stage = Stage::with(3);
    let one = stage.channel(Instances::Any);
    wait_for_all(&one, 3).await;
    let (one, other) = (stage.channel(Instances::One), stage.channel(Instances::One));
    let begun = tokio::time::Instant::now();
    loop {
        let (one, other) = (ports(&one, 5, Some("a")).await, ports(&other, 5, None).await);
        if one.len() == 1 && one == other {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{one:?} {other:?}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up() {
    let stage = Stage::with(1);
    let target = format!("http://localhost:{}", stage.instances[0].address.port()).parse().unwrap();
    let token = service_token(&stage.secret, &[Scope::ActForUsers]);
    let channel = Channel::connect(&target, Instances::Any, token, &stage.tasks.handle());
    assert!(ask(&channel, None).await.is_ok());
}

#[tokio::test]
async fn without_an_instance_a_call_is_refused_at_once_and_not_attempted() {
    let mut stage = Stage::with(1);
    let channel = stage.channel(Instances::Any);
    let port = ask(&channel, None).await.unwrap();
    stage.lose(port);
    let begun = tokio::time::Instant::now();
    loop {
        let error = ask(&channel, None).await.unwrap_err();
        assert_eq!(error.reason, Reason::StoreUnavailable);
        if error.outcome == Outcome::NotAttempted {
            break;
        }
        assert!(begun.elapsed() < LIMIT);
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(ask(&channel, None).await.unwrap_err().outcome, Outcome::NotAttempted);
    assert!(begun.elapsed() < Duration::from_secs(1), "it is known that nobody is there");
}

#[tokio::test]
async fn a_stream_is_opened_elsewhere_too() {
    let mut stage = Stage::with(2);
    let channel = stage.channel(Instances::One);
    let port = ask(&channel, None).await.unwrap();
    stage.lose(port);
    let begun = tokio::time::Instant::now();
    loop {
        match streamed(&channel, vec![asked("u1", 1), asked("u2", 2)]).await {
            Ok(answers) => break assert_eq!(answers.len(), 2),
            Err(error) => assert_eq!(error.reason, Reason::StoreUnavailable),
        }
        assert!(begun.elapsed() < LIMIT);
    }
}

/// The instances, and who answers at each of their channels.
async fn each_port(each: &mut EachInstance) -> Vec<(u64, u64)> {
    let mut ports = Vec::new();
    for instance in tokio::time::timeout(LIMIT, each.changed()).await.expect("they are known") {
        let port = u64::from(instance.address.expect("there are several").port());
        for _ in 0..3 {
            ports.push((port, ask(&instance.channel, Some("the same key")).await.unwrap()));
        }
    }
    ports
}

#[tokio::test]
async fn each_instance_can_be_called_by_itself() {
    let mut stage = Stage::with(3);
    let channel = stage.channel(Instances::Any);
    let mut each = channel.each_instance();
    let ports = each_port(&mut each).await;
    assert!(ports.len() == 9 && ports.iter().all(|(expected, answered)| expected == answered), "{ports:?}");
    assert!(tokio::time::timeout(Duration::from_millis(100), each.changed()).await.is_err(), "they are the same");
    let again = each_port(&mut channel.each_instance()).await;
    assert_eq!(again, ports, "whoever asks later hears of them too");

    let (lost, _) = ports[0];
    let address = stage.lose(lost);
    let mut known = channel.each_instance().changed().await;
    let one = known.swap_remove(known.iter().position(|instance| instance.address == Some(address)).unwrap());
    let begun = tokio::time::Instant::now();
    while ask(&one.channel, None).await.is_err_and(|error| error.outcome != Outcome::NotAttempted) {
        assert!(begun.elapsed() < LIMIT, "it is lost");
    }
    assert!(ask(&known[0].channel, None).await.is_ok());
    // The channel of one keeps the connections, with the others gone.
    drop((channel, each, known));
    stage.instances.push(Instance::start_at(&stage.secret, address));
    while ask(&one.channel, None).await != Ok(lost) {
        assert!(begun.elapsed() < LIMIT, "it is back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(one);
    stage.end().await;
}

#[tokio::test]
async fn where_one_instance_takes_all_calls_there_is_only_one() {
    let stage = Stage::with(3);
    let channel = stage.channel(Instances::One);
    let mut each = channel.each_instance();
    let all = each.changed().await;
    assert_eq!(all.iter().map(|instance| instance.address).collect::<Vec<_>>(), [None]);
    assert_eq!(ask(&all[0].channel, None).await.unwrap(), ask(&channel, None).await.unwrap());
    assert!(tokio::time::timeout(Duration::from_millis(100), each.changed()).await.is_err());
}
